package admission_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"chandler.dev/olm/pkg/controller/admission"
	"chandler.dev/olm/pkg/install/render"
)

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

// csv has one ServiceAccount, sa, and one Deployment, main.
func csv(change func(*v1alpha1.ClusterServiceVersionSpec)) *v1alpha1.ClusterServiceVersion {
	c := &v1alpha1.ClusterServiceVersion{}
	c.Name = "x.v1"
	if change != nil {
		change(&c.Spec)
	}
	return c
}

func permissions(rules ...rbacv1.PolicyRule) []v1alpha1.StrategyDeploymentPermissions {
	return []v1alpha1.StrategyDeploymentPermissions{{ServiceAccountName: "sa", Rules: rules}}
}

func object(group, kind, name, resource string, content map[string]any) admission.Object {
	u := &unstructured.Unstructured{Object: content}
	if u.Object == nil {
		u.Object = map[string]any{}
	}
	u.SetName(name)
	return admission.Object{
		Manifest: render.Manifest{Group: group, Version: "v1", Kind: kind, Name: name}, Content: u, Resource: resource,
		Namespaced: kind != "ClusterRole" && kind != "ClusterRoleBinding" && kind != "PriorityClass", Item: 7,
	}
}

// text writes a need as one line.
func text(n admission.Need) string {
	s := fmt.Sprintf("%s in %q", n.Rule.Verbs, n.Namespace)
	for i, resource := range n.Rule.Resources {
		s += " " + resource + "." + n.Rule.APIGroups[i]
	}
	for _, url := range n.Rule.NonResourceURLs {
		s += " " + url
	}
	if len(n.Rule.ResourceNames) > 0 {
		s += fmt.Sprint(" named ", n.Rule.ResourceNames)
	}
	if n.Role != nil {
		s += " " + n.Role.Kind + " " + n.Role.Name
	}
	if n.Granted {
		s += " to " + n.Account
	}
	if n.Unless != "" {
		s += " unless " + n.Unless
	}
	if n.Item >= 0 {
		s += fmt.Sprint(" by ", n.Item)
	}
	if n.Lifecycle {
		s += " itself"
	}
	return s
}

func TestNeeds(t *testing.T) {
	aggregated := map[string]any{"aggregationRule": map[string]any{"clusterRoleSelectors": []any{map[string]any{"matchLabels": map[string]any{"a": "b"}}}}}
	rules := map[string]any{"rules": []any{map[string]any{"verbs": []any{"get"}, "apiGroups": []any{""}, "resources": []any{"pods"}}}}
	binding := func(kind, name, account string) map[string]any {
		return map[string]any{
			"roleRef":  map[string]any{"apiGroup": rbacv1.GroupName, "kind": kind, "name": name},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": account}},
		}
	}
	webhook := func(kind v1alpha1.WebhookAdmissionType, resource string) v1alpha1.WebhookDescription {
		return v1alpha1.WebhookDescription{Type: kind, ConversionCRDs: []string{"things.example.com"}, Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}},
		}}}
	}
	tests := map[string]struct {
		operator admission.Operator
		want     []string
	}{
		"namespaced rules count in the namespace": {
			admission.Operator{CSV: csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
				s.InstallStrategy.StrategySpec.Permissions = permissions(rule("", "pods", "get"))
			}), Targets: []string{"ns"}},
			[]string{`[get] in "ns" pods. to sa`},
		},
		"and in every target of the group": {
			admission.Operator{CSV: csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
				s.InstallStrategy.StrategySpec.Permissions = permissions(rule("", "pods", "get"))
			}), Targets: []string{"b", "a"}},
			[]string{`[get] in "a" pods. to sa`, `[get] in "b" pods. to sa`, `[get] in "ns" pods. to sa`},
		},
		"and at the cluster scope if these are all": {
			admission.Operator{CSV: csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
				s.InstallStrategy.StrategySpec.Permissions = permissions(rule("", "pods", "get"))
			}), Targets: []string{""}},
			[]string{`[get] in "" pods. to sa`, `[get list watch] in "" namespaces. to sa`},
		},
		"cluster rules, each once": {
			admission.Operator{CSV: csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
				s.InstallStrategy.StrategySpec.ClusterPermissions = permissions(rule("", "nodes", "get"), rule("", "nodes", "get"))
			}), Targets: []string{"ns"}},
			[]string{`[get] in "" nodes. to sa`},
		},
		"Deployments of a new operator": {
			admission.Operator{CSV: csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
				s.InstallStrategy.StrategySpec.DeploymentSpecs = []v1alpha1.StrategyDeploymentSpec{{Name: "main"}}
			})},
			[]string{`[create] in "ns" deployments.apps`},
		},
		"but not of one that replaces another": {
			admission.Operator{CSV: csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
				s.InstallStrategy.StrategySpec.DeploymentSpecs = []v1alpha1.StrategyDeploymentSpec{{Name: "main"}}
			}), Predecessor: csv(nil)},
			nil,
		},
		"webhooks": {
			admission.Operator{CSV: csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
				s.WebhookDefinitions = []v1alpha1.WebhookDescription{
					webhook(v1alpha1.ValidatingAdmissionWebhook, "pods"), webhook(v1alpha1.MutatingAdmissionWebhook, "pods"), webhook(v1alpha1.ConversionWebhook, ""),
				}
			})},
			[]string{
				`[create] in "" validatingwebhookconfigurations.admissionregistration.k8s.io`,
				`[create] in "" mutatingwebhookconfigurations.admissionregistration.k8s.io`,
				`[update] in "" customresourcedefinitions.apiextensions.k8s.io named [things.example.com] itself`,
			},
		},
		"webhooks that see more than before": {
			admission.Operator{
				CSV: csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
					s.WebhookDefinitions = []v1alpha1.WebhookDescription{webhook(v1alpha1.ValidatingAdmissionWebhook, "pods"), webhook(v1alpha1.ValidatingAdmissionWebhook, "secrets")}
				}),
				Predecessor: csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
					s.WebhookDefinitions = []v1alpha1.WebhookDescription{webhook(v1alpha1.ValidatingAdmissionWebhook, "pods")}
				}),
			},
			[]string{`[create] in "" validatingwebhookconfigurations.admissionregistration.k8s.io`},
		},
		"what everybody gets for owned custom resources": {
			admission.Operator{CSV: csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
				s.CustomResourceDefinitions.Owned = []v1alpha1.CRDDescription{{Name: "things.example.com", Version: "v1", Kind: "Thing"}}
			})},
			[]string{`[*] in "" things.example.com to  unless things.example.com-v1-admin itself`},
		},
		"an APIService": {
			admission.Operator{CSV: csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
				s.APIServiceDefinitions.Owned = []v1alpha1.APIServiceDescription{{Name: "secrets", Version: "v1", Kind: "Secret", DeploymentName: "main"}}
			})},
			[]string{
				`[create] in "" apiservices.apiregistration.k8s.io`, `[*] in "" secrets. to  itself`,
				`[create] in "" tokenreviews.authentication.k8s.io to default`, `[create] in "" subjectaccessreviews.authorization.k8s.io to default`,
				`[get list watch] in "kube-system" configmaps. named [extension-apiserver-authentication] to default`,
			},
		},
		"a definition": {
			admission.Operator{CSV: csv(nil), Objects: []admission.Object{object("apiextensions.k8s.io", "CustomResourceDefinition", "things.example.com", "customresourcedefinitions", nil)}},
			[]string{`[create patch] in "" customresourcedefinitions.apiextensions.k8s.io by 7 itself`},
		},
		"objects in the namespace and outside": {
			admission.Operator{CSV: csv(nil), Objects: []admission.Object{
				object("", "ConfigMap", "c", "configmaps", nil), object("scheduling.k8s.io", "PriorityClass", "p", "priorityclasses", nil),
			}},
			[]string{`[create patch] in "ns" configmaps. by 7`, `[create patch] in "" priorityclasses.scheduling.k8s.io by 7`},
		},
		"an object of a kind that comes with the plan": {
			admission.Operator{CSV: csv(nil), Objects: []admission.Object{object("example.com", "Thing", "c", "", nil)}},
			[]string{`[create patch] in "ns" *.example.com by 7`},
		},
		"a Secret of the catalog namespace": {
			admission.Operator{CSV: csv(nil), Objects: []admission.Object{object("", "Secret", "pull", "secrets", nil)}},
			[]string{`[get] in "olm" secrets. named [pull]`, `[create patch] in "ns" secrets. by 7`},
		},
		"a role of the bundle": {
			admission.Operator{CSV: csv(nil), Objects: []admission.Object{object(rbacv1.GroupName, "ClusterRole", "r", "clusterroles", rules)}},
			[]string{`[create patch] in "" clusterroles.rbac.authorization.k8s.io by 7`, `[get] in "" pods. to  by 7`},
		},
		"a role that collects others may grant anything": {
			admission.Operator{CSV: csv(nil), Objects: []admission.Object{object(rbacv1.GroupName, "ClusterRole", "r", "clusterroles", aggregated)}},
			[]string{`[create patch] in "" clusterroles.rbac.authorization.k8s.io by 7`, `[*] in "" *.* to  by 7`, `[*] in "" * to  by 7`},
		},
		"a binding to a role of the bundle": {
			admission.Operator{CSV: csv(nil), Objects: []admission.Object{
				object(rbacv1.GroupName, "RoleBinding", "b", "rolebindings", binding("ClusterRole", "r", "sa")),
				object(rbacv1.GroupName, "ClusterRole", "r", "clusterroles", rules),
			}},
			[]string{
				`[create patch] in "ns" rolebindings.rbac.authorization.k8s.io by 7`, `[get] in "ns" pods. to sa by 7`,
				`[create patch] in "" clusterroles.rbac.authorization.k8s.io by 7`, `[get] in "" pods. to  by 7`,
			},
		},
		"a binding to a role of the cluster": {
			admission.Operator{CSV: csv(nil), Objects: []admission.Object{
				object(rbacv1.GroupName, "ClusterRoleBinding", "b", "clusterrolebindings", binding("ClusterRole", "cluster-admin", "sa")),
			}},
			[]string{`[create patch] in "" clusterrolebindings.rbac.authorization.k8s.io by 7`, `[] in "" ClusterRole cluster-admin to sa by 7`},
		},
		"a role with the label of an operator counts where that operator is": {
			admission.Operator{CSV: csv(nil), Targets: []string{""}, Objects: []admission.Object{
				object(rbacv1.GroupName, "Role", "r", "roles", map[string]any{
					"rules": rules["rules"], "metadata": map[string]any{"labels": map[string]any{"olm.owner": "x.v1"}},
				}),
			}},
			[]string{`[create patch] in "ns" roles.rbac.authorization.k8s.io by 7`, `[get] in "" pods. to  by 7`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.operator.Namespace, tt.operator.CatalogNamespace = "ns", "olm"
			if tt.operator.Targets == nil {
				tt.operator.Targets = []string{"ns"}
			}
			needs, err := admission.Needs(tt.operator)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range needs {
				got = append(got, text(n))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Needs() (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNeedsOfGeneratedRoles checks that what is made from the permissions of a bundle is
// not asked about a second time, and that nothing else passes under its name.
func TestNeedsOfGeneratedRoles(t *testing.T) {
	c := csv(func(s *v1alpha1.ClusterServiceVersionSpec) {
		s.InstallStrategy.StrategySpec.Permissions = permissions(rule("", "pods", "get"))
	})
	c.Namespace = "ns"
	made, err := render.PermissionsOf(c)
	if err != nil {
		t.Fatal(err)
	}
	o := admission.Operator{Namespace: "ns", Targets: []string{"ns"}, CSV: c, Objects: []admission.Object{
		object(rbacv1.GroupName, "Role", made.Roles[0].Name, "roles", nil),
		object(rbacv1.GroupName, "RoleBinding", made.RoleBindings[0].Name, "rolebindings", nil),
		object("", "ServiceAccount", "sa", "serviceaccounts", nil),
		object("example.com", "Role", made.Roles[0].Name, "roles", nil),
	}}
	needs, err := admission.Needs(o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range needs {
		got = append(got, text(n))
	}
	want := []string{`[get] in "ns" pods. to sa`, `[create patch] in "ns" roles.example.com by 7`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Needs() (-want +got):\n%s", diff)
	}
}
