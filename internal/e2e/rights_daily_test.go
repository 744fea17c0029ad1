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
	w.waitAllowed(t, ns, user, rules[len(rules)-1])
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
