package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// route is a request by which somebody could come to rights that they do not have.
type route struct {
	// rights in the namespace, in addition to the ClusterRole edit.
	rights []rbacv1.PolicyRule
	// home is the namespace; empty for one of its own.
	home string
	// plain users have these rights only, and not the ClusterRole edit.
	plain bool
	// before is made by an administrator.
	before func(ns string) []client.Object
	// try is the request.
	try func(t *testing.T, c client.Client, ns string) error
	// want is in the answer.
	want string
}

// policyRoutes are the routes that the API server closes by itself, whether or not a
// controller runs.
var policyRoutes = map[string]route{
	"an OperatorGroup for all namespaces": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			group := ownGroup(ns)
			group.Spec.TargetNamespaces = nil
			return c.Create(t.Context(), group)
		},
		want: `cannot escalate resource "clusterroles" in API group "rbac.authorization.k8s.io" at the cluster scope`,
	},
	"an OperatorGroup for the namespaces of others": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			group := ownGroup(ns)
			group.Spec.TargetNamespaces = []string{ns, "default", "kube-system"}
			return c.Create(t.Context(), group)
		},
		want: `cannot escalate resource "roles" in API group "rbac.authorization.k8s.io" in the namespace "default"`,
	},
	"an OperatorGroup that selects namespaces": {
		rights: olmAdmin, before: func(ns string) []client.Object { return []client.Object{ownGroup(ns)} },
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, ownGroup(ns), `{"spec":{"targetNamespaces":null,"selector":{"matchLabels":{"a":"b"}}}}`)
		},
		want: `cannot escalate resource "clusterroles"`,
	},
	"an OperatorGroup with a service account of somebody else": {
		rights: olmAdmin, plain: true,
		before: func(ns string) []client.Object {
			return []client.Object{&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "mighty"}}}
		},
		try: func(t *testing.T, c client.Client, ns string) error {
			group := ownGroup(ns)
			group.Spec.ServiceAccountName = "mighty"
			return c.Create(t.Context(), group)
		},
		want: `cannot impersonate resource "serviceaccounts" in API group "" in the namespace`,
	},
	"an InstallPlan of one's own": {
		rights: olmAdmin,
		try:    func(t *testing.T, c client.Client, ns string) error { return c.Create(t.Context(), plan(ns)) },
		want:   "only the lifecycle makes InstallPlans",
	},
	"the content of an InstallPlan": {
		rights: olmAdmin, before: func(ns string) []client.Object { return []client.Object{plan(ns)} },
		try: func(t *testing.T, c client.Client, ns string) error {
			p := plan(ns)
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
				t.Fatal(err)
			}
			p.Status = operatorsv1alpha1.InstallPlanStatus{
				Phase: operatorsv1alpha1.InstallPlanPhaseInstalling, CatalogSources: []string{"c"},
				Plan: []*operatorsv1alpha1.Step{{Resolving: "x", Status: operatorsv1alpha1.StepStatusUnknown, Resource: operatorsv1alpha1.StepResource{
					CatalogSource: "c", CatalogSourceNamespace: ns,
					Group: rbacv1.GroupName, Version: "v1", Kind: "ClusterRoleBinding", Name: "jane-is-root",
					Manifest: `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"jane-is-root"}}`,
				}}},
			}
			return c.Status().Update(t.Context(), p)
		},
		want: "only the lifecycle writes this status",
	},
	"what an InstallPlan installs": {
		rights: olmAdmin, before: func(ns string) []client.Object { return []client.Object{plan(ns)} },
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, plan(ns), `{"spec":{"clusterServiceVersionNames":["x","y"]}}`)
		},
		want: "persons approve an InstallPlan and change nothing else in it",
	},
	"for whom an InstallPlan is": {
		rights: olmAdmin, before: func(ns string) []client.Object { return []client.Object{plan(ns)} },
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, plan(ns), `{"metadata":{"ownerReferences":[{"apiVersion":"operators.coreos.com/v1alpha1","kind":"Subscription","name":"of-an-admin","uid":"u"}]}}`)
		},
		want: "the owners of an InstallPlan say for whom it is",
	},
	"the status of a Subscription": {
		rights: olmAdmin, before: func(ns string) []client.Object { return []client.Object{subscription(ns, "p", "olm", "c")} },
		try: func(t *testing.T, c client.Client, ns string) error {
			sub := subscription(ns, "p", "olm", "c")
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(sub), sub); err != nil {
				t.Fatal(err)
			}
			sub.Status.InstalledCSV, sub.Status.LastUpdated = "other", metav1.Now()
			return c.Status().Update(t.Context(), sub)
		},
		want: "only the lifecycle writes this status",
	},
	"a Subscription for somebody else": {
		try: func(t *testing.T, c client.Client, ns string) error {
			sub := subscription(ns, "p", "olm", "c")
			sub.Annotations = map[string]string{"chandler.dev/requested-for": `[{"username":"admin","groups":["system:masters"]}]`}
			return c.Create(t.Context(), sub)
		},
		want: "the annotation chandler.dev/requested-for says whose rights count",
	},
	"the pods of an operator by spec.config": {
		rights: olmAdmin, plain: true,
		try: func(t *testing.T, c client.Client, ns string) error {
			sub := subscription(ns, "p", "olm", "c")
			sub.Spec.Config = &operatorsv1alpha1.SubscriptionConfig{EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "password"},
			}}}}
			return c.Create(t.Context(), sub)
		},
		want: `cannot create resource "deployments" in API group "apps" in the namespace`,
	},
	"the pods of an operator by a later spec.config": {
		rights: olmAdmin, plain: true, before: func(ns string) []client.Object { return []client.Object{subscription(ns, "p", "olm", "c")} },
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, subscription(ns, "p", "olm", "c"), `{"spec":{"config":{"env":[{"name":"LD_PRELOAD","value":"/x.so"}]}}}`)
		},
		want: `cannot create resource "deployments" in API group "apps" in the namespace`,
	},
	"a ClusterServiceVersion with Deployments": {
		rights: olmAdmin, plain: true,
		try: func(t *testing.T, c client.Client, ns string) error {
			return c.Create(t.Context(), ownCSV(ns, operator{pkg: "mine", version: "1.0.0"}))
		},
		want: `cannot create resource "deployments" in API group "apps" in the namespace`,
	},
	"a ClusterServiceVersion with a webhook": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			return c.Create(t.Context(), ownCSV(ns, operator{pkg: "mine", version: "1.0.0", webhook: true}))
		},
		want: `cannot create resource "validatingwebhookconfigurations" in API group "admissionregistration.k8s.io" at the cluster scope`,
	},
	"a webhook in the ClusterServiceVersion of somebody else": {
		rights: olmAdmin, before: func(ns string) []client.Object {
			return []client.Object{ownCSV(ns, operator{pkg: "mine", version: "1.0.0"})}
		},
		try: func(t *testing.T, c client.Client, ns string) error {
			csv := ownCSV(ns, operator{pkg: "mine", version: "1.0.0"})
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(csv), csv); err != nil {
				t.Fatal(err)
			}
			csv.Spec.WebhookDefinitions = []operatorsv1alpha1.WebhookDescription{webhookOnPods("mine")}
			return c.Update(t.Context(), csv)
		},
		want: `cannot create resource "validatingwebhookconfigurations"`,
	},
	"a ClusterServiceVersion that owns the custom resources of others": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			return c.Create(t.Context(), ownCSV(ns, operator{pkg: "mine", version: "1.0.0", crd: "subscriptions.operators.coreos.com"}))
		},
		want: "for which everybody with the role edit or admin gets rights",
	},
	"a ClusterServiceVersion that owns the API of Kubernetes itself": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			csv := ownCSV(ns, operator{pkg: "mine", version: "1.0.0"})
			csv.Spec.APIServiceDefinitions.Owned = []operatorsv1alpha1.APIServiceDescription{{
				Name: "secrets", Group: "", Version: "v1", Kind: "Secret", DeploymentName: "mine",
			}}
			return c.Create(t.Context(), csv)
		},
		want: "brings an APIService, and roles for all who use it",
	},
	"a copied ClusterServiceVersion as an operator of one's own": {
		rights: olmAdmin,
		before: func(ns string) []client.Object {
			csv := ownCSV(ns, operator{pkg: "mine", version: "1.0.0", webhook: true})
			csv.Labels = map[string]string{"olm.copiedFrom": "elsewhere"}
			return []client.Object{csv}
		},
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, ownCSV(ns, operator{pkg: "mine", version: "1.0.0"}), `{"metadata":{"labels":{"olm.copiedFrom":null}}}`)
		},
		want: `cannot create resource "validatingwebhookconfigurations"`,
	},
	"a CatalogSource with secrets that one cannot read": {
		rights: olmAdmin, plain: true,
		try: func(t *testing.T, c client.Client, ns string) error {
			source := catalogAt(ns, "127.0.0.1:1")
			source.Spec.Secrets = []string{"registry"}
			return c.Create(t.Context(), source)
		},
		want: `cannot get resource "secrets" in API group "" in the namespace`,
	},
	"a CatalogSource of a ConfigMap that one cannot read": {
		rights: olmAdmin, plain: true,
		try: func(t *testing.T, c client.Client, ns string) error {
			source := catalogAt(ns, "")
			source.Spec.SourceType, source.Spec.ConfigMap = operatorsv1alpha1.SourceTypeConfigmap, "settings"
			return c.Create(t.Context(), source)
		},
		want: `cannot get resource "configmaps" in API group "" in the namespace`,
	},
	"a CatalogSource that everybody trusts": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			source := catalogAt(ns, "127.0.0.1:1")
			source.Annotations = map[string]string{relax: "*"}
			return c.Create(t.Context(), source)
		},
		want: "lets others install what they could not grant",
	},
	"a catalog for all": {
		home: "olm", rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			source := catalogAt(ns, "127.0.0.1:1")
			source.Name = "for-all"
			return c.Create(t.Context(), source)
		},
		want: `cannot create resource "catalogsources" in API group "operators.coreos.com" at the cluster scope`,
	},
	"a namespace in which everything may be installed": {
		rights: []rbacv1.PolicyRule{rule("", "namespaces", "get", "update", "patch")},
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, `{"metadata":{"annotations":{"`+relax+`":"*/*/*"}}}`)
		},
		want: "lets others install what they could not grant",
	},
	"a Role that looks like one of an operator for all namespaces": {
		rights: []rbacv1.PolicyRule{rule(rbacv1.GroupName, "roles", "*"), rule(rbacv1.GroupName, "rolebindings", "*")},
		try: func(t *testing.T, c client.Client, ns string) error {
			return c.Create(t.Context(), &rbacv1.Role{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "wide", Labels: map[string]string{
					"olm.owner": "global.v1", "olm.owner.namespace": ns, "olm.owner.kind": "ClusterServiceVersion",
				}},
				Rules: []rbacv1.PolicyRule{rule("", "configmaps", "get")},
			})
		},
		want: "may extend to other namespaces",
	},
	"a RoleBinding that looks like one of an operator for all namespaces": {
		rights: []rbacv1.PolicyRule{rule(rbacv1.GroupName, "rolebindings", "*")},
		before: func(ns string) []client.Object { return []client.Object{binding(ns, nil)} },
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, binding(ns, nil), `{"metadata":{"labels":{"olm.owner":"global.v1","olm.owner.namespace":"`+ns+`","olm.owner.kind":"ClusterServiceVersion"}}}`)
		},
		want: "may extend to other namespaces",
	},
}

// TestPoliciesCloseRoutes tries every route twice: somebody with the ClusterRole edit, or
// less, is refused with a sentence that names the right; an administrator is not.
func TestPoliciesCloseRoutes(t *testing.T) {
	env := testkit.Cluster(t)
	w := &tenancy{&stack{Env: env}}
	for name, r := range policyRoutes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := r.home
			if ns == "" {
				ns = env.Namespace(t, "route")
			}
			if r.plain {
				w.allowOnly(t, ns, "jane", r.rights...)
			} else {
				w.allow(t, ns, "jane", r.rights...)
			}
			if r.before != nil {
				for _, obj := range r.before(ns) {
					w.create(t, obj)
				}
			}
			err := r.try(t, w.as(t, "jane"), ns)
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), r.want) || !strings.Contains(err.Error(), "jane") {
				t.Errorf("refused with %v, want a sentence about jane with %s", err, r.want)
			}
			if err := r.try(t, env.Client, ns); err != nil {
				t.Errorf("an administrator is refused: %v", err)
			}
		})
	}
}

// TestPoliciesLetPersonsBe makes the requests that people with the ClusterRole edit, or
// with all rights on the lifecycle's kinds in their namespace, make every day.
func TestPoliciesLetPersonsBe(t *testing.T) {
	env := testkit.Cluster(t)
	w := &tenancy{&stack{Env: env}}
	ns := env.Namespace(t, "daily")
	w.allow(t, ns, "jane", append(slices.Clone(olmAdmin), rule("", "namespaces", "get", "patch"), rule(rbacv1.GroupName, "rolebindings", "*"), rule(rbacv1.GroupName, "roles", "*"))...)
	w.create(t, plan(ns))
	w.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "installer"}})
	labels := map[string]string{"olm.owner": "x", "olm.owner.namespace": ns, "olm.owner.kind": "ClusterServiceVersion"}
	w.create(t, binding(ns, labels))
	jane := w.as(t, "jane")
	group, sub, source := ownGroup(ns), subscription(ns, "p", "olm", "c"), catalogAt(ns, "127.0.0.1:1")
	group.Spec.ServiceAccountName = "installer"
	sub.Spec.Config = &operatorsv1alpha1.SubscriptionConfig{Env: []corev1.EnvVar{{Name: "A", Value: "b"}}}
	source.Spec.Secrets = []string{"registry"}
	csv := ownCSV(ns, operator{pkg: "mine", version: "1.0.0", namespaced: modest})
	for _, obj := range []client.Object{group, sub, source, csv} {
		if err := jane.Create(t.Context(), obj); err != nil {
			t.Errorf("%T: %v", obj, err)
		}
	}
	for what, err := range map[string]error{
		"approve a plan":               merge(t, jane, plan(ns), `{"spec":{"approved":true}}`),
		"another channel":              merge(t, jane, subscription(ns, "p", "olm", "c"), `{"spec":{"channel":"beta"}}`),
		"a label on a group":           merge(t, jane, ownGroup(ns), `{"metadata":{"labels":{"a":"b"}}}`),
		"a label on the namespace":     merge(t, jane, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, `{"metadata":{"labels":{"a":"b"}}}`),
		"a note on an operator's role": merge(t, jane, binding(ns, nil), `{"metadata":{"annotations":{"a":"b"}}}`),
		"a finalizer on a plan":        merge(t, jane, plan(ns), `{"metadata":{"annotations":{"a":"b"}}}`),
		"a role of one's own":          jane.Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "own"}, Rules: []rbacv1.PolicyRule{rule("", "configmaps", "get")}}),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestRecordsAreTrue looks at who is recorded when several people touch a Subscription,
// and at what people cannot make of an approval.
func TestRecordsAreTrue(t *testing.T) {
	env := testkit.Cluster(t)
	w := &tenancy{&stack{Env: env}}
	ns := env.Namespace(t, "records")
	for _, user := range []string{"jane", "mallory"} {
		w.allow(t, ns, user, olmAdmin...)
	}
	jane, mallory := w.as(t, "jane"), w.as(t, "mallory")
	sub := subscription(ns, "p", "olm", "c")
	sub.Annotations = map[string]string{requester: `{"username":"mallory"}`}
	if err := jane.Create(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name  string
		c     client.Client
		patch string
		want  string
	}{
		{"a label changes nothing", mallory, `{"metadata":{"labels":{"a":"b"}}}`, "jane"},
		{"a change of spec is a wish", mallory, `{"spec":{"channel":"beta"}}`, "mallory"},
		{"so is a range of versions", jane, `{"metadata":{"annotations":{"chandler.dev/version-range":">1.0.0"}}}`, "jane"},
		{"who writes the record takes over", mallory, `{"metadata":{"annotations":{"chandler.dev/requester":"{\"username\":\"admin\"}"}}}`, "mallory"},
		{"also who removes it", jane, `{"metadata":{"annotations":{"chandler.dev/requester":null}}}`, "jane"},
		{"an administrator takes over", env.Client, `{"spec":{"channel":"stable"}}`, "admin"},
	}
	for _, s := range steps {
		got := subscription(ns, "p", "olm", "c")
		if err := merge(t, s.c, got, s.patch); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if user := userIn(t, got.Annotations[requester]); user != s.want {
			t.Errorf("%s: the record says %q, want %q", s.name, user, s.want)
		}
	}
	const approver = "chandler.dev/approver"
	pending := plan(ns)
	pending.Annotations = map[string]string{approver: `{"username":"admin"}`}
	w.create(t, pending)
	if text, ok := pending.Annotations[approver]; ok {
		t.Errorf("a plan was made as approved by %s", text)
	}
	for _, s := range []struct {
		name  string
		c     client.Client
		patch string
		want  string
	}{
		{"an approver out of nowhere", mallory, `{"metadata":{"annotations":{"chandler.dev/approver":"{\"username\":\"admin\"}"}}}`, ""},
		{"an approval", mallory, `{"spec":{"approved":true},"metadata":{"annotations":{"chandler.dev/approver":"{\"username\":\"admin\"}"}}}`, "mallory"},
		{"another name for it", jane, `{"metadata":{"annotations":{"chandler.dev/approver":"{\"username\":\"admin\"}"}}}`, "mallory"},
		{"a plan that became Automatic", env.Client, `{"spec":{"approved":false}}`, "mallory"},
		{"nobody approves by policy", env.Client, `{"spec":{"approved":true,"approval":"Automatic"}}`, "mallory"},
	} {
		got := plan(ns)
		if err := merge(t, s.c, got, s.patch); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if user := userIn(t, got.Annotations[approver]); user != s.want {
			t.Errorf("%s: the record says %q, want %q", s.name, user, s.want)
		}
	}
}

// TestDefaultRoles looks at what the roles that come with the lifecycle let somebody do
// who may edit a namespace.
func TestDefaultRoles(t *testing.T) {
	env := testkit.Cluster(t)
	w := &tenancy{&stack{Env: env}}
	ns := env.Namespace(t, "defaults")
	w.allow(t, ns, "jane")
	w.create(t, plan(ns))
	jane := w.as(t, "jane")
	if err := jane.Create(t.Context(), subscription(ns, "p", "olm", "c")); err != nil {
		t.Errorf("an editor cannot subscribe: %v", err)
	}
	for what, err := range map[string]error{
		"make an OperatorGroup":          jane.Create(t.Context(), ownGroup(ns)),
		"make a CatalogSource":           jane.Create(t.Context(), catalogAt(ns, "127.0.0.1:1")),
		"make a ClusterServiceVersion":   jane.Create(t.Context(), ownCSV(ns, operator{pkg: "mine", version: "1.0.0"})),
		"make an InstallPlan":            jane.Create(t.Context(), &operatorsv1alpha1.InstallPlan{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "b"}}),
		"approve an InstallPlan":         merge(t, jane, plan(ns), `{"spec":{"approved":true}}`),
		"subscribe in another place":     jane.Create(t.Context(), subscription("operators", "p", "olm", "c")),
		"annotate their namespace":       merge(t, jane, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, `{"metadata":{"annotations":{"a":"b"}}}`),
		"make an OperatorCondition":      jane.Create(t.Context(), &operatorsv1.OLMConfig{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}}),
		"serve a catalog to the cluster": jane.Create(t.Context(), catalogAt("olm", "127.0.0.1:1")),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("an editor can %s (%v)", what, err)
		}
	}
}

// allowOnly gives a user rules in a namespace and nothing else.
func (w *tenancy) allowOnly(t *testing.T, ns, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: ns, Name: user + "-only"}
	w.create(t, &rbacv1.Role{ObjectMeta: meta, Rules: rules})
	w.create(t, &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	})
}

func merge(t *testing.T, c client.Client, obj client.Object, patch string) error {
	t.Helper()
	return c.Patch(t.Context(), obj, client.RawPatch(types.MergePatchType, []byte(patch)))
}

func userIn(t *testing.T, record string) string {
	t.Helper()
	if record == "" {
		return ""
	}
	var r struct{ Username string }
	if err := json.Unmarshal([]byte(record), &r); err != nil {
		t.Fatalf("record %s: %v", record, err)
	}
	return r.Username
}

func plan(ns string) *operatorsv1alpha1.InstallPlan {
	return &operatorsv1alpha1.InstallPlan{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "plan"},
		Spec: operatorsv1alpha1.InstallPlanSpec{
			Approval: operatorsv1alpha1.ApprovalManual, ClusterServiceVersionNames: []string{"x"},
		},
	}
}

func ownCSV(ns string, o operator) *operatorsv1alpha1.ClusterServiceVersion {
	csv := o.csv()
	csv.Namespace = ns
	return csv
}

func catalogAt(ns, address string) *operatorsv1alpha1.CatalogSource {
	source := &operatorsv1alpha1.CatalogSource{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "own"}}
	source.Spec.SourceType, source.Spec.Address = operatorsv1alpha1.SourceTypeGrpc, address
	return source
}

func binding(ns string, labels map[string]string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "some", Labels: labels},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}},
	}
}
