package installplan_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// TestFailedPlansAreRevived lets plans fail and then removes the cause. Before
// that a plan has to stay failed, whatever else happens.
func TestFailedPlansAreRevived(t *testing.T) {
	r := start(t)
	object := func(apiVersion, kind, name string, fields map[string]any) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: map[string]any{}}
		maps.Copy(u.Object, fields)
		u.SetAPIVersion(apiVersion)
		u.SetKind(kind)
		u.SetName(name)
		return u
	}
	sized := func(limit float64) *apiextensionsv1.CustomResourceDefinition {
		crd := crdV1("sizes.revive.example", "v1")
		crd.Spec.Names.Kind = "Size"
		crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties = map[string]apiextensionsv1.JSONSchemaProps{
			"spec": {Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"n": {Type: "integer", Maximum: &limit}}},
		}
		return crd
	}
	binding := func(role string) *rbacv1.RoleBinding {
		return &rbacv1.RoleBinding{
			TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"}, ObjectMeta: metav1.ObjectMeta{Name: "b"},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
		}
	}
	owned := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "c"}}
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.ClusterServiceVersionAPIVersion, Kind: v1alpha1.ClusterServiceVersionKind, Name: "late.v1"}}
	tests := map[string]struct {
		prepare func(ns string) []client.Object // made before the plan
		object  client.Object
		want    string // in the message of the failed plan
		cure    func(t *testing.T, ns string)
	}{
		"an API is missing": {
			object: object("monitors.revive.example/v1", "ServiceMonitor", "m", nil),
			want:   "needs an API that this cluster does not serve",
			cure: func(t *testing.T, _ string) {
				crd := crdV1("servicemonitors.monitors.revive.example", "v1")
				crd.Spec.Names.Kind = "ServiceMonitor"
				mustCreate(t, r, crd)
			},
		},
		"an object does not fit the new schema": {
			prepare: func(ns string) []client.Object {
				size := object("revive.example/v1", "Size", "s", map[string]any{"spec": map[string]any{"n": int64(9)}})
				size.SetNamespace(ns)
				return []client.Object{sized(10), size}
			},
			object: sized(5),
			want:   "too restrictive",
			cure: func(t *testing.T, ns string) {
				size := object("revive.example/v1", "Size", "s", nil)
				size.SetNamespace(ns)
				if err := r.Client.Patch(t.Context(), size, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"n":4}}`))); err != nil {
					t.Fatal(err)
				}
			},
		},
		"the API server rejects an object, because there is another": {
			prepare: func(ns string) []client.Object {
				b := binding("theirs")
				b.Namespace = ns
				return []client.Object{b}
			},
			object: binding("ours"),
			want:   "the API server rejects it",
			cure: func(t *testing.T, ns string) {
				if err := r.Client.Delete(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "b"}}); err != nil {
					t.Fatal(err)
				}
			},
		},
		"the owner of an object is missing": {
			object: owned,
			want:   `is owned by ClusterServiceVersion "late.v1", which does not exist`,
			cure: func(t *testing.T, ns string) {
				csv := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "late.v1"}}
				csv.Spec.InstallStrategy.StrategyName = v1alpha1.InstallStrategyNameDeployment
				csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs = []v1alpha1.StrategyDeploymentSpec{}
				mustCreate(t, r, csv)
			},
		},
		"a Secret to copy is missing": {
			object: &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Name: "late"}},
			want:   "secret late does not exist",
			cure: func(t *testing.T, _ string) {
				mustCreate(t, r, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "late"}})
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := r.space(t)
			if tt.prepare != nil {
				mustCreate(t, r, tt.prepare(ns)...)
			}
			plan := handMade("p", tt.object)
			plan.Namespace = ns
			r.run(t, plan)
			failed := plan.Status.GetCondition(v1alpha1.InstallPlanInstalled)
			if plan.Status.Phase != v1alpha1.InstallPlanPhaseFailed || !strings.Contains(failed.Message, tt.want) {
				t.Fatalf("%s: %+v, want a failure that says %q", plan.Status.Phase, failed, tt.want)
			}
			version := plan.ResourceVersion
			r.stir(t, ns)
			if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(plan), plan); err != nil {
				t.Fatal(err)
			}
			if plan.ResourceVersion != version {
				t.Errorf("the plan was written while nothing was cured: %s %q", plan.Status.Phase, plan.Status.Message)
			}
			tt.cure(t, ns)
			testkit.Eventually(t, time.Minute, func(ctx context.Context) error {
				if err := r.Client.Get(ctx, client.ObjectKeyFromObject(plan), plan); err != nil {
					return err
				}
				if plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
					return fmt.Errorf("%s: %s", plan.Status.Phase, plan.Status.Message)
				}
				return nil
			})
		})
	}
}

// stir does something in a namespace that has failed plans looked at, and
// waits until they were: a plan that is made afterwards is complete.
func (r *running) stir(t *testing.T, ns string) {
	t.Helper()
	g := &operatorsv1.OperatorGroup{}
	if err := r.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "g"}, g); err != nil {
		t.Fatal(err)
	}
	g.Labels = map[string]string{"stirred": "true"}
	if err := r.Client.Update(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	later := handMade("later", &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "later"}})
	later.Namespace = ns
	if r.run(t, later); later.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Fatalf("another plan: %+v", later.Status)
	}
}

// mustCreate makes objects, of kinds that may only just have been defined.
func mustCreate(t *testing.T, r *running, objects ...client.Object) {
	t.Helper()
	for _, obj := range objects {
		testkit.Eventually(t, 30*time.Second, func(ctx context.Context) error { return r.Client.Create(ctx, obj) })
	}
}
