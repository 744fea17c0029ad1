package operatorgroup_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"chandler.dev/olm/pkg/controller/operatorgroup"
)

// world is a cluster of fakes with the reconciler on it.
type world struct {
	client.Client

	t          *testing.T
	reconciler *operatorgroup.Reconciler
	writes     int
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, operatorsv1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t}
	w.Client = fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).WithStatusSubresource(&operatorsv1.OperatorGroup{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
				w.writes++
				return c.Patch(ctx, obj, patch, opts...)
			},
			Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				w.writes++
				return c.Create(ctx, obj, opts...)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
				w.writes++
				return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
			},
		}).Build()
	w.reconciler = operatorgroup.New(operatorgroup.Options{Client: w.Client, Live: w.Client, Clock: clocktesting.NewFakePassiveClock(time.Unix(1, 0))})
	return w
}

func (w *world) reconcile() *operatorsv1.OperatorGroup {
	w.t.Helper()
	key := client.ObjectKey{Namespace: "ns", Name: "g"}
	if _, err := w.reconciler.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
		w.t.Fatal(err)
	}
	got := &operatorsv1.OperatorGroup{}
	if err := client.IgnoreNotFound(w.Get(w.t.Context(), key, got)); err != nil {
		w.t.Fatal(err)
	}
	return got
}

func group(name string, change func(*operatorsv1.OperatorGroup)) *operatorsv1.OperatorGroup {
	g := &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)}}
	change(g)
	return g
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func TestTargets(t *testing.T) {
	blue := map[string]string{"team": "blue"}
	tests := map[string]struct {
		spec operatorsv1.OperatorGroupSpec
		want []string
	}{
		"nothing said: all namespaces":   {operatorsv1.OperatorGroupSpec{}, []string{""}},
		"an empty selector means all":    {operatorsv1.OperatorGroupSpec{Selector: &metav1.LabelSelector{}}, []string{""}},
		"named, sorted, may not exist":   {operatorsv1.OperatorGroupSpec{TargetNamespaces: []string{"x", "a"}}, []string{"a", "x"}},
		"by labels":                      {operatorsv1.OperatorGroupSpec{Selector: &metav1.LabelSelector{MatchLabels: blue}}, []string{"a", "b"}},
		"by labels that nobody has":      {operatorsv1.OperatorGroupSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "red"}}}, nil},
		"names come before the selector": {operatorsv1.OperatorGroupSpec{TargetNamespaces: []string{"x"}, Selector: &metav1.LabelSelector{MatchLabels: blue}}, []string{"x"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, namespace("b", blue), namespace("a", blue), namespace("c", nil), group("g", func(g *operatorsv1.OperatorGroup) { g.Spec = tt.spec }))
			got := w.reconcile()
			if diff := cmp.Diff(tt.want, got.Status.Namespaces); diff != "" {
				t.Errorf("status.namespaces (-want +got):\n%s", diff)
			}
			if got.Status.LastUpdated == nil {
				t.Error("status.lastUpdated is missing, the API requires it")
			}
			w.writes = 0
			w.reconcile()
			if w.writes > 0 {
				t.Errorf("a second look writes %d times", w.writes)
			}
		})
	}
}

func TestConditions(t *testing.T) {
	withAccount := func(g *operatorsv1.OperatorGroup) { g.Spec.ServiceAccountName = "sa" }
	plain := func(*operatorsv1.OperatorGroup) {}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "sa", UID: "uid-sa"}}
	type condition struct{ Type, Reason, Message string }
	tests := map[string]struct {
		objects []client.Object
		want    []condition
	}{
		"alone": {[]client.Object{group("g", plain)}, nil},
		"one of two": {
			[]client.Object{group("g", plain), group("h", plain)},
			[]condition{{"MultipleOperatorGroup", "MultipleOperatorGroupsFound", "Multiple OperatorGroup found in the same namespace"}},
		},
		"no ServiceAccount": {
			[]client.Object{group("g", withAccount)},
			[]condition{{"OperatorGroupServiceAccount", "ServiceAccountNotFound", "ServiceAccount sa not found"}},
		},
		"with its ServiceAccount": {[]client.Object{group("g", withAccount), account}, nil},
		"all namespaces by name": {
			[]client.Object{group("g", func(g *operatorsv1.OperatorGroup) { g.Spec.TargetNamespaces = []string{""} })},
			[]condition{{"InvalidTargetNamespaces", "InvalidTarget", "TargetNamespaces cannot contain NamespaceAll: []"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []condition
			for _, c := range newWorld(t, tt.objects...).reconcile().Status.Conditions {
				got = append(got, condition{c.Type, c.Reason, c.Message})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceAccountIsReferredTo(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "sa", UID: "uid-sa"}}
	w := newWorld(t, account, group("g", func(g *operatorsv1.OperatorGroup) { g.Spec.ServiceAccountName = "sa" }))
	want := &corev1.ObjectReference{APIVersion: "v1", Kind: "ServiceAccount", Namespace: "ns", Name: "sa", UID: "uid-sa"}
	if diff := cmp.Diff(want, w.reconcile().Status.ServiceAccountRef); diff != "" {
		t.Errorf("serviceAccountRef (-want +got):\n%s", diff)
	}
}

func provider(name string, phase v1alpha1.ClusterServiceVersionPhase, kind string) *v1alpha1.ClusterServiceVersion {
	csv := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	csv.Spec.CustomResourceDefinitions.Owned = []v1alpha1.CRDDescription{{Name: "plural.g", Version: "v1", Kind: kind}}
	csv.Status.Phase = phase
	return csv
}

func TestPrune(t *testing.T) {
	const both = "A.v1.g,B.v1.g"
	tests := map[string]struct {
		csvs   []client.Object
		static bool
		want   string
	}{
		"all provided":             {[]client.Object{provider("a", "Succeeded", "A"), provider("b", "Succeeded", "B")}, false, both},
		"one gone":                 {[]client.Object{provider("a", "Succeeded", "A")}, false, "A.v1.g"},
		"all gone":                 {nil, false, ""},
		"static groups stay":       {nil, true, both},
		"a newcomer claims first":  {[]client.Object{provider("c", "Pending", "C")}, false, both},
		"an unclaimed one is left": {[]client.Object{provider("a", "Succeeded", "A"), provider("c", "Succeeded", "C")}, false, "A.v1.g"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append(tt.csvs, group("g", func(g *operatorsv1.OperatorGroup) {
				g.Annotations = map[string]string{"olm.providedAPIs": both}
				g.Spec.StaticProvidedAPIs = tt.static
			}))...)
			got, ok := w.reconcile().Annotations["olm.providedAPIs"]
			if got != tt.want || !ok {
				t.Errorf("olm.providedAPIs = %q (exists: %v), want %q", got, ok, tt.want)
			}
		})
	}
}

func TestClusterRoles(t *testing.T) {
	w := newWorld(t, namespace("ns", nil), group("my-og", func(g *operatorsv1.OperatorGroup) {
		g.Namespace = "my-ns"
		g.Spec.StaticProvidedAPIs = true
		g.Annotations = map[string]string{"olm.providedAPIs": "Ghost.v1alpha1.ghouls"}
	}))
	request := ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "my-ns", Name: "my-og"}}
	if _, err := w.reconciler.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.ClusterRole{}
	if err := w.Get(t.Context(), client.ObjectKey{Name: "olm.og.my-og.admin-4qwj2f0O3W2gbGfiJDJP8JQjIvTYepzJ8oAZt4"}, role); err != nil {
		t.Fatal(err)
	}
	want := []metav1.LabelSelector{{MatchLabels: map[string]string{"olm.opgroup.permissions/aggregate-to-6435ab0d7c6bda64-admin": "true"}}}
	if diff := cmp.Diff(want, role.AggregationRule.ClusterRoleSelectors); diff != "" {
		t.Errorf("selectors (-want +got):\n%s", diff)
	}
	wantLabels := map[string]string{"olm.owner": "my-og", "olm.owner.namespace": "my-ns", "olm.owner.kind": "OperatorGroup", "olm.managed": "true"}
	if diff := cmp.Diff(wantLabels, role.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if err := w.Delete(t.Context(), group("my-og", func(g *operatorsv1.OperatorGroup) { g.Namespace = "my-ns" })); err != nil {
		t.Fatal(err)
	}
	if _, err := w.reconciler.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	roles := &rbacv1.ClusterRoleList{}
	if err := w.List(t.Context(), roles); err != nil || len(roles.Items) > 0 {
		t.Errorf("%d ClusterRoles after the group is gone (%v), want none", len(roles.Items), err)
	}
}
