package requirement_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"chandler.dev/olm/pkg/controller/csv/requirement"
	"chandler.dev/olm/pkg/failure"
)

func newCSV(change func(*v1alpha1.ClusterServiceVersion)) *v1alpha1.ClusterServiceVersion {
	csv := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "op.v2", UID: "csv"}}
	change(csv)
	return csv
}

func newCRD(change func(*apiextensionsv1.CustomResourceDefinition)) map[string]*apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "ghosts.ghouls", UID: "crd"}}
	crd.Spec.Versions = []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1", Served: true}, {Name: "v1alpha1"}}
	crd.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{
		{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue},
		{Type: apiextensionsv1.NamesAccepted, Status: apiextensionsv1.ConditionTrue},
	}
	change(crd)
	return map[string]*apiextensionsv1.CustomResourceDefinition{crd.Name: crd}
}

// line is what a test compares of a requirement.
type line struct {
	Name    string
	Status  v1alpha1.StatusReason
	Message string
}

func lines(r requirement.Result) (out []line) {
	for _, s := range r.Statuses {
		out = append(out, line{s.Name, s.Status, s.Message})
	}
	return out
}

func TestCheckCRD(t *testing.T) {
	type crd = apiextensionsv1.CustomResourceDefinition
	owns := func(version string) *v1alpha1.ClusterServiceVersion {
		return newCSV(func(csv *v1alpha1.ClusterServiceVersion) {
			csv.Spec.CustomResourceDefinitions.Owned = []v1alpha1.CRDDescription{{Name: "ghosts.ghouls", Version: version, Kind: "Ghost"}}
		})
	}
	requires := newCSV(func(csv *v1alpha1.ClusterServiceVersion) {
		csv.Spec.CustomResourceDefinitions.Required = []v1alpha1.CRDDescription{{Name: "ghosts.ghouls", Version: "v1", Kind: "Ghost"}}
	})
	alongside := func(values ...string) func(*crd) {
		return func(c *crd) {
			c.Annotations = map[string]string{}
			for _, v := range values {
				c.Annotations["operatorframework.io/installed-alongside-"+v] = v
			}
		}
	}
	tests := map[string]struct {
		csv       *v1alpha1.ClusterServiceVersion
		crds      map[string]*crd
		ancestors sets.Set[string]
		want      line
	}{
		"missing":             {owns("v1"), nil, nil, line{"", "NotPresent", "CRD is not present"}},
		"present":             {owns("v1"), newCRD(func(*crd) {}), nil, line{"", "Present", "CRD is present and Established condition is true"}},
		"required":            {requires, newCRD(func(*crd) {}), nil, line{"", "Present", "CRD is present and Established condition is true"}},
		"version not served":  {owns("v1alpha1"), newCRD(func(*crd) {}), nil, line{"", "NotPresent", "CRD version not served"}},
		"version not defined": {owns("v2"), newCRD(func(*crd) {}), nil, line{"", "NotPresent", "CRD version not served"}},
		"names not accepted": {
			owns("v1"), newCRD(func(c *crd) { c.Status.Conditions[1].Status = apiextensionsv1.ConditionFalse }), nil,
			line{"", "PresentNotAvailable", "CRD is present but the Established condition is False (not available)"},
		},
		"still that of the old version": {
			owns("v1"), newCRD(alongside("ns/op.v1")), sets.New("op.v1"), line{"", "PresentNotSatisfied", "CRD installed alongside other CSV(s): op.v1"},
		},
		"updated for this version": {
			owns("v1"), newCRD(alongside("ns/op.v1", "ns/op.v2")), sets.New("op.v1"), line{"", "Present", "CRD is present and Established condition is true"},
		},
		"of an old version, but only required": {
			requires, newCRD(alongside("ns/op.v1")), sets.New("op.v1"), line{"", "Present", "CRD is present and Established condition is true"},
		},
		"of another namespace": {
			owns("v1"), newCRD(alongside("other/op.v1")), sets.New("op.v1"), line{"", "Present", "CRD is present and Established condition is true"},
		},
		"of a version that this one does not replace": {
			owns("v1"), newCRD(alongside("ns/op.v3")), sets.New("op.v1"), line{"", "Present", "CRD is present and Established condition is true"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := requirement.Check(tt.csv, requirement.Facts{CRDs: tt.crds, Ancestors: tt.ancestors})
			tt.want.Name = "ghosts.ghouls"
			if diff := cmp.Diff([]line{tt.want}, lines(got)); diff != "" {
				t.Errorf("Check() (-want +got):\n%s", diff)
			}
			if got.Met != (tt.want.Status == "Present") {
				t.Errorf("Check().Met = %v with status %s", got.Met, tt.want.Status)
			}
		})
	}
}

func TestCheckVersion(t *testing.T) {
	tests := map[string]struct {
		min, server string
		want        line
	}{
		"met":             {"1.11.0", "v1.36.3", line{"op.v2", "Present", "CSV minKubeVersion (1.11.0) less than server version (v1.36.3)"}},
		"two parts":       {"1.11", "v1.36.3", line{"op.v2", "Present", "CSV minKubeVersion (1.11) less than server version (v1.36.3)"}},
		"vendor suffix":   {"1.36.3", "v1.36.3-gke.100", line{"op.v2", "Present", "CSV minKubeVersion (1.36.3) less than server version (v1.36.3-gke.100)"}},
		"build suffix":    {"1.36.3", "v1.36.3+k3s1", line{"op.v2", "Present", "CSV minKubeVersion (1.36.3) less than server version (v1.36.3+k3s1)"}},
		"not met":         {"99.0.0", "v1.36.3", line{"op.v2", "PresentNotSatisfied", "CSV version requirement not met: minKubeVersion (99.0.0) > server version (1.36.3)"}},
		"no version":      {"new", "v1.36.3", line{"op.v2", "PresentNotSatisfied", "CSV version parsing error"}},
		"unknown cluster": {"1.11.0", "", line{"op.v2", "PresentNotSatisfied", "Server version parsing error"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			csv := newCSV(func(csv *v1alpha1.ClusterServiceVersion) { csv.Spec.MinKubeVersion = tt.min })
			if diff := cmp.Diff([]line{tt.want}, lines(requirement.Check(csv, requirement.Facts{ServerVersion: tt.server}))); diff != "" {
				t.Errorf("Check() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckAPIs(t *testing.T) {
	ghost := schema.GroupVersionKind{Group: "ghouls", Version: "v1", Kind: "Ghost"}
	required := newCSV(func(csv *v1alpha1.ClusterServiceVersion) {
		csv.Spec.APIServiceDefinitions.Required = []v1alpha1.APIServiceDescription{{Group: "ghouls", Version: "v1", Kind: "Ghost"}}
	})
	owned := newCSV(func(csv *v1alpha1.ClusterServiceVersion) {
		csv.Spec.APIServiceDefinitions.Owned = []v1alpha1.APIServiceDescription{{Group: "ghouls", Version: "v1", Kind: "Ghost", DeploymentName: "d"}}
	})
	deployed := owned.DeepCopy()
	deployed.Spec.InstallStrategy.StrategySpec.DeploymentSpecs = []v1alpha1.StrategyDeploymentSpec{{Name: "d"}}
	native := newCSV(func(csv *v1alpha1.ClusterServiceVersion) {
		csv.Spec.NativeAPIs = []metav1.GroupVersionKind{{Group: "ghouls", Version: "v1", Kind: "Ghost"}}
	})
	served := sets.New(ghost)
	tests := map[string]struct {
		csv   *v1alpha1.ClusterServiceVersion
		facts requirement.Facts
		want  v1alpha1.StatusReason
	}{
		"required and missing": {required, requirement.Facts{Served: served}, "NotPresent"},
		"required, not available": {
			required, requirement.Facts{Served: served, APIServices: map[string]requirement.APIService{"v1.ghouls": {}}}, "NotPresent",
		},
		"required, available, kind not served": {
			required, requirement.Facts{APIServices: map[string]requirement.APIService{"v1.ghouls": {Available: true}}}, "NotPresent",
		},
		"required and available": {
			required, requirement.Facts{Served: served, APIServices: map[string]requirement.APIService{"v1.ghouls": {Available: true}}}, "Present",
		},
		"owned without Deployment": {owned, requirement.Facts{}, "DeploymentNotFound"},
		"owned with Deployment":    {deployed, requirement.Facts{}, "DeploymentFound"},
		"native and missing":       {native, requirement.Facts{}, "NotPresent"},
		"native and served":        {native, requirement.Facts{Served: served}, "Present"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := requirement.Check(tt.csv, tt.facts)
			if len(got.Statuses) != 1 || got.Statuses[0].Status != tt.want {
				t.Errorf("Check() = %+v, want one status %s", got.Statuses, tt.want)
			}
			if met := tt.want == "Present" || tt.want == "DeploymentFound"; got.Met != met {
				t.Errorf("Check().Met = %v, want %v", got.Met, met)
			}
		})
	}
}

func rule(verbs, resources string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{verbs}, APIGroups: []string{""}, Resources: []string{resources}}
}

func TestCheckPermissions(t *testing.T) {
	csv := newCSV(func(csv *v1alpha1.ClusterServiceVersion) {
		csv.Spec.InstallStrategy.StrategySpec.Permissions = []v1alpha1.StrategyDeploymentPermissions{{ServiceAccountName: "sa", Rules: []rbacv1.PolicyRule{rule("get", "pods")}}}
		csv.Spec.InstallStrategy.StrategySpec.ClusterPermissions = []v1alpha1.StrategyDeploymentPermissions{{ServiceAccountName: "sa", Rules: []rbacv1.PolicyRule{rule("list", "nodes")}}}
	})
	account := func(owners ...metav1.OwnerReference) map[string]*corev1.ServiceAccount {
		return map[string]*corev1.ServiceAccount{"sa": {ObjectMeta: metav1.ObjectMeta{Name: "sa", OwnerReferences: owners}}}
	}
	rights := func(namespaced, cluster []rbacv1.PolicyRule) map[string]requirement.Rights {
		return map[string]requirement.Rights{"sa": {Namespaced: namespaced, Cluster: cluster}}
	}
	full := rights([]rbacv1.PolicyRule{rule("get", "pods")}, []rbacv1.PolicyRule{rule("list", "nodes")})
	owner := func(kind, uid string) metav1.OwnerReference {
		return metav1.OwnerReference{Kind: kind, Name: "op.v2", UID: types.UID(uid)}
	}
	tests := map[string]struct {
		facts requirement.Facts
		want  line
	}{
		"no account":              {requirement.Facts{Rights: full}, line{"sa", "NotPresent", "Service account does not exist"}},
		"no rights":               {requirement.Facts{ServiceAccounts: account()}, line{"sa", "PresentNotSatisfied", "Policy rule not satisfied for service account"}},
		"all rights":              {requirement.Facts{ServiceAccounts: account(), Rights: full}, line{"sa", "Present", ""}},
		"cluster rights suffice":  {requirement.Facts{ServiceAccounts: account(), Rights: rights(nil, []rbacv1.PolicyRule{rule("*", "*")})}, line{"sa", "Present", ""}},
		"namespaced do not":       {requirement.Facts{ServiceAccounts: account(), Rights: rights([]rbacv1.PolicyRule{rule("*", "*")}, nil)}, line{"sa", "PresentNotSatisfied", "Policy rule not satisfied for service account"}},
		"owned by this CSV":       {requirement.Facts{ServiceAccounts: account(owner("ClusterServiceVersion", "csv")), Rights: full}, line{"sa", "Present", ""}},
		"owned by a former one":   {requirement.Facts{ServiceAccounts: account(owner("ClusterServiceVersion", "old")), Rights: full}, line{"sa", "PresentNotSatisfied", "Service account is owned by another ClusterServiceVersion"}},
		"owned by something else": {requirement.Facts{ServiceAccounts: account(owner("ConfigMap", "old")), Rights: full}, line{"sa", "Present", ""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]line{tt.want}, lines(requirement.Check(csv, tt.facts))); diff != "" {
				t.Errorf("Check() (-want +got):\n%s", diff)
			}
		})
	}
	dependents := requirement.Check(csv, requirement.Facts{ServiceAccounts: account(), Rights: full}).Statuses[0].Dependents
	want := []v1alpha1.DependentStatus{
		{Group: rbacv1.GroupName, Version: "v1", Kind: "PolicyRule", Status: "Satisfied", Message: `namespaced rule:{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}`},
		{Group: rbacv1.GroupName, Version: "v1", Kind: "PolicyRule", Status: "Satisfied", Message: `cluster rule:{"verbs":["list"],"apiGroups":[""],"resources":["nodes"]}`},
	}
	if diff := cmp.Diff(want, dependents); diff != "" {
		t.Errorf("dependents (-want +got):\n%s", diff)
	}
}

func TestValidateRules(t *testing.T) {
	tests := map[string]struct {
		rule rbacv1.PolicyRule
		want string
	}{
		"no verbs": {rbacv1.PolicyRule{Resources: []string{"pods"}}, "rule invalid: policy rule must have at least one verb"},
		"both kinds": {
			rbacv1.PolicyRule{Verbs: []string{"get"}, Resources: []string{"pods"}, NonResourceURLs: []string{"/"}},
			"rule invalid: rule cannot apply to both regular resources and non-resource URLs",
		},
		"fine": {rule("get", "pods"), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			csv := newCSV(func(csv *v1alpha1.ClusterServiceVersion) {
				csv.Spec.InstallStrategy.StrategySpec.Permissions = []v1alpha1.StrategyDeploymentPermissions{{Rules: []rbacv1.PolicyRule{tt.rule}}}
			})
			err := requirement.ValidateRules(csv)
			if tt.want == "" {
				if err != nil {
					t.Errorf("ValidateRules() = %v, want no error", err)
				}
				return
			}
			if err == nil || err.Error() != tt.want || failure.KindOf(err) != failure.Invalid {
				t.Errorf("ValidateRules() = %v, want Invalid %q", err, tt.want)
			}
		})
	}
}
