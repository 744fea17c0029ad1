package csv_test

import (
	"context"
	"sync"
	"testing"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"chandler.dev/olm/pkg/controller/csv"
	"chandler.dev/olm/pkg/install/kube"
)

// fakeWorld is a cluster of fakes with the reconciler on it.
type fakeWorld struct {
	client.Client
	t          *testing.T
	reconciler *csv.Reconciler
	clock      *clocktesting.FakeClock
	events     chan string
	writes     []string
	refuse     func(obj client.Object) error // what the API server says to a write
	actedAs    []types.NamespacedName        // ServiceAccounts whose rights were used
}

type serverVersion string

func (v serverVersion) ServerVersion() (*version.Info, error) {
	return &version.Info{GitVersion: string(v)}, nil
}

func newFakeWorld(t *testing.T, objects ...client.Object) *fakeWorld {
	t.Helper()
	w := &fakeWorld{t: t, clock: clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	var mu sync.Mutex // some objects are written at the same time
	wrote := func(verb string, obj client.Object) error {
		mu.Lock()
		defer mu.Unlock()
		w.writes = append(w.writes, verb+" "+obj.GetName())
		if w.refuse == nil {
			return nil
		}
		return w.refuse(obj)
	}
	w.Client = fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(objects...).WithReturnManagedFields().
		WithStatusSubresource(&v1alpha1.ClusterServiceVersion{}, &operatorsv1.OperatorGroup{}, &appsv1.Deployment{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				if err := wrote("create", obj); err != nil {
					return err
				}
				return c.Create(ctx, obj, opts...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
				if err := wrote("delete", obj); err != nil {
					return err
				}
				return c.Delete(ctx, obj, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
				if err := wrote("patch", obj); err != nil {
					return err
				}
				return c.Patch(ctx, obj, patch, opts...)
			},
			Apply: func(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				if named, ok := obj.(client.Object); ok {
					if err := wrote("apply", named); err != nil {
						return err
					}
				}
				return c.Apply(ctx, obj, opts...)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
				if err := wrote(sub, obj); err != nil {
					return err
				}
				return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
			},
		}).Build()
	recorder := events.NewFakeRecorder(100)
	w.events = recorder.Events
	w.reconciler = csv.New(csv.Options{
		Client: w.Client, Live: w.Client, Cluster: kube.New(w.Client),
		As: func(account types.NamespacedName) (*kube.Cluster, error) {
			w.actedAs = append(w.actedAs, account)
			return kube.New(w.Client), nil
		},
		Version: serverVersion("v1.36.3"), Recorder: recorder, Clock: w.clock,
	})
	return w
}

// reconcile reconciles the named version once.
func (w *fakeWorld) reconcile(name string) (ctrl.Result, error) {
	w.t.Helper()
	w.clock.Step(10 * time.Second)
	current := &v1alpha1.ClusterServiceVersion{}
	if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: "ns", Name: name}, current); err != nil {
		w.t.Fatal(err)
	}
	return w.reconciler.Reconcile(w.t.Context(), current)
}

func (w *fakeWorld) mustReconcile(names ...string) {
	w.t.Helper()
	for _, name := range names {
		if _, err := w.reconcile(name); err != nil {
			w.t.Fatalf("reconcile %s: %v", name, err)
		}
	}
}

func (w *fakeWorld) get(obj client.Object, name string) bool {
	w.t.Helper()
	err := w.Get(w.t.Context(), client.ObjectKey{Namespace: "ns", Name: name}, obj)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	return err == nil
}

// state is phase and reason of the named version.
func (w *fakeWorld) state(name string) string {
	w.t.Helper()
	got := &v1alpha1.ClusterServiceVersion{}
	if !w.get(got, name) {
		return "gone"
	}
	return string(got.Status.Phase) + "/" + string(got.Status.Reason)
}

func (w *fakeWorld) want(name, state string) {
	w.t.Helper()
	if got := w.state(name); got != state {
		current := &v1alpha1.ClusterServiceVersion{}
		w.get(current, name)
		w.t.Fatalf("%s is %s (%s), want %s", name, got, current.Status.Message, state)
	}
}

// makeReady plays the Deployment controller for the Deployment of every test.
func (w *fakeWorld) makeReady() {
	w.t.Helper()
	d := &appsv1.Deployment{}
	if !w.get(d, "op") {
		w.t.Fatal("the Deployment does not exist")
	}
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}},
	}
	if err := w.Status().Update(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
}

func group(name string, targets ...string) *operatorsv1.OperatorGroup {
	now := metav1.Now()
	return &operatorsv1.OperatorGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)},
		Spec:       operatorsv1.OperatorGroupSpec{TargetNamespaces: targets},
		Status:     operatorsv1.OperatorGroupStatus{Namespaces: targets, LastUpdated: &now},
	}
}

func fakeCSV(name string, change func(*v1alpha1.ClusterServiceVersion)) *v1alpha1.ClusterServiceVersion {
	v := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)}}
	v.Spec.InstallStrategy.StrategyName = v1alpha1.InstallStrategyNameDeployment
	labels := map[string]string{"app": "op"}
	v.Spec.InstallStrategy.StrategySpec.DeploymentSpecs = []v1alpha1.StrategyDeploymentSpec{{Name: "op", Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "op", Image: "op:" + name}}},
		},
	}}}
	for _, mode := range []v1alpha1.InstallModeType{v1alpha1.InstallModeTypeOwnNamespace, v1alpha1.InstallModeTypeAllNamespaces, v1alpha1.InstallModeTypeMultiNamespace} {
		v.Spec.InstallModes = append(v.Spec.InstallModes, v1alpha1.InstallMode{Type: mode, Supported: true})
	}
	change(v)
	return v
}

func plain(*v1alpha1.ClusterServiceVersion) {}

func ownsGhosts(v *v1alpha1.ClusterServiceVersion) {
	v.Spec.CustomResourceDefinitions.Owned = []v1alpha1.CRDDescription{{Name: "ghosts.ghouls.example.com", Version: "v1", Kind: "Ghost"}}
}

func ghosts() *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "ghosts.ghouls.example.com", UID: "uid-ghosts"}}
	crd.Spec.Group, crd.Spec.Names.Plural, crd.Spec.Names.Kind = "ghouls.example.com", "ghosts", "Ghost"
	crd.Spec.Versions = []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true}}
	crd.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{
		{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue},
		{Type: apiextensionsv1.NamesAccepted, Status: apiextensionsv1.ConditionTrue},
	}
	return crd
}

func (w *fakeWorld) drain() []string {
	var got []string
	for {
		select {
		case e := <-w.events:
			got = append(got, e)
		default:
			return got
		}
	}
}

func without(labels map[string]string, key string) map[string]string {
	out := map[string]string{}
	for k, v := range labels {
		if k != key {
			out[k] = v
		}
	}
	return out
}
