package operatorcondition_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"chandler.dev/olm/pkg/controller/operatorcondition"
	"chandler.dev/olm/pkg/install/kube"
)

// world is a cluster of fakes with the reconciler on it.
type world struct {
	client.Client

	t          *testing.T
	reconciler *operatorcondition.Reconciler
	writes     int
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, operatorsv2.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t}
	w.Client = fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).WithReturnManagedFields().
		WithStatusSubresource(&operatorsv2.OperatorCondition{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Apply: func(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				w.writes++
				return c.Apply(ctx, obj, opts...)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
				w.writes++
				return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
			},
		}).Build()
	w.reconciler = operatorcondition.New(operatorcondition.Options{
		Client: w.Client, Cluster: kube.New(w.Client), Clock: clocktesting.NewFakePassiveClock(time.Unix(1000, 0)),
	})
	return w
}

func (w *world) reconcile() {
	w.t.Helper()
	v := &v1alpha1.ClusterServiceVersion{}
	w.get(v)
	if _, err := w.reconciler.Reconcile(w.t.Context(), v); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(obj client.Object) {
	w.t.Helper()
	if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: "ns", Name: "v1"}, obj); err != nil {
		w.t.Fatal(err)
	}
}

func newCSV(accounts ...string) *v1alpha1.ClusterServiceVersion {
	v := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "v1", UID: "uid"}}
	v.Spec.InstallStrategy.StrategySpec.DeploymentSpecs = []v1alpha1.StrategyDeploymentSpec{{Name: "d"}}
	for _, account := range accounts {
		v.Spec.InstallStrategy.StrategySpec.Permissions = append(v.Spec.InstallStrategy.StrategySpec.Permissions, v1alpha1.StrategyDeploymentPermissions{ServiceAccountName: account})
	}
	return v
}

func TestGrantsItsOperator(t *testing.T) {
	tests := map[string]struct {
		accounts     []string
		wantAccounts []string
		wantSubjects []string
	}{
		"with its own ServiceAccounts": {[]string{"a", "b", "a"}, []string{"a", "b", "a"}, []string{"a", "b"}},
		"with none":                    {nil, []string{"default"}, []string{"default"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newCSV(tt.accounts...))
			w.reconcile() // makes the condition
			w.reconcile() // and the rights to it
			condition, role, binding := &operatorsv2.OperatorCondition{}, &rbacv1.Role{}, &rbacv1.RoleBinding{}
			w.get(condition)
			w.get(role)
			w.get(binding)
			if diff := cmp.Diff(tt.wantAccounts, condition.Spec.ServiceAccounts); diff != "" {
				t.Errorf("spec.serviceAccounts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"d"}, condition.Spec.Deployments); diff != "" {
				t.Errorf("spec.deployments (-want +got):\n%s", diff)
			}
			if owner := metav1.GetControllerOf(condition); owner == nil || owner.UID != "uid" {
				t.Errorf("controller = %v, want the version", owner)
			}
			want := []rbacv1.PolicyRule{{
				Verbs: []string{"get", "update", "patch"}, APIGroups: []string{"operators.coreos.com"},
				Resources: []string{"operatorconditions"}, ResourceNames: []string{"v1"},
			}}
			if diff := cmp.Diff(want, role.Rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			var subjects []string
			for _, s := range binding.Subjects {
				subjects = append(subjects, s.Name)
			}
			if diff := cmp.Diff(tt.wantSubjects, subjects); diff != "" {
				t.Errorf("subjects (-want +got):\n%s", diff)
			}
			w.writes = 0
			w.reconcile()
			if w.writes > 0 {
				t.Errorf("a third look writes %d times", w.writes)
			}
		})
	}
}

func TestReportsWhatTheOperatorSays(t *testing.T) {
	w := newWorld(t, newCSV())
	w.reconcile()
	said := &operatorsv2.OperatorCondition{}
	w.get(said)
	said.Generation = 3
	said.Spec.Conditions = []metav1.Condition{{Type: "Upgradeable", Status: metav1.ConditionFalse, Reason: "Busy", Message: "a backup runs", LastTransitionTime: metav1.Unix(1, 0)}}
	said.Spec.Overrides = []metav1.Condition{{Type: "Upgradeable", Status: metav1.ConditionTrue}}
	if err := w.Update(t.Context(), said); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	got := &operatorsv2.OperatorCondition{}
	w.get(got)
	if len(got.Status.Conditions) != 1 || got.Status.Conditions[0].Message != "a backup runs" || got.Status.Conditions[0].ObservedGeneration != got.Generation {
		t.Errorf("status.conditions = %+v, want what the operator says, of generation %d", got.Status.Conditions, got.Generation)
	}
	if len(got.Spec.Overrides) != 1 || len(got.Spec.Conditions) != 1 {
		t.Errorf("spec = %+v, want what others wrote untouched", got.Spec)
	}
	w.writes = 0
	w.reconcile()
	if w.writes > 0 {
		t.Errorf("a second look writes %d times", w.writes)
	}
}

func TestPutsBackWhatSomebodyDeleted(t *testing.T) {
	w := newWorld(t, newCSV("a"))
	w.reconcile()
	w.reconcile()
	if err := w.Delete(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "v1"}}); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	w.get(&rbacv1.Role{})
}

func TestLeavesCopiesAlone(t *testing.T) {
	copied := newCSV()
	copied.Labels = map[string]string{"olm.copiedFrom": "elsewhere"}
	w := newWorld(t, copied)
	w.reconcile()
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "v1"}, &operatorsv2.OperatorCondition{}); !apierrors.IsNotFound(err) {
		t.Errorf("OperatorCondition of a copy: %v, want not found", err)
	}
}
