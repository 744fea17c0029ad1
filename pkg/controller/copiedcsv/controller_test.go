package copiedcsv_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"chandler.dev/olm/pkg/controller/copiedcsv"
)

// world is a cluster of fakes with the reconciler on it.
type world struct {
	client.WithWatch

	t          *testing.T
	reconciler *copiedcsv.Reconciler
	writes     atomic.Int32
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
	count := func() { w.writes.Add(1) }
	w.WithWatch = fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.ClusterServiceVersion{}, &operatorsv1.OperatorGroup{}, &operatorsv1.OLMConfig{}).
		WithIndex(&v1alpha1.ClusterServiceVersion{}, "metadata.name", func(obj client.Object) []string { return []string{obj.GetName()} }).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				count()
				return c.Create(ctx, obj, opts...)
			},
			Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
				count()
				return c.Update(ctx, obj, opts...)
			},
		}).Build()
	w.reconciler = copiedcsv.New(copiedcsv.Options{
		Client: w.WithWatch, Live: w.WithWatch, Recorder: events.NewFakeRecorder(100), Protected: []string{"protected"},
	})
	return w
}

func (w *world) reconcile() {
	w.t.Helper()
	request := ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "ops", Name: "v1"}}
	if _, err := w.reconciler.Reconcile(w.t.Context(), request); err != nil {
		w.t.Fatal(err)
	}
}

// copies returns the namespaces that have a copy.
func (w *world) copies() (namespaces []string) {
	w.t.Helper()
	list := &v1alpha1.ClusterServiceVersionList{}
	if err := w.List(w.t.Context(), list, client.HasLabels{v1alpha1.CopiedLabelKey}); err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		namespaces = append(namespaces, list.Items[i].Namespace)
	}
	return namespaces
}

func original(change func(*v1alpha1.ClusterServiceVersion)) *v1alpha1.ClusterServiceVersion {
	updated := metav1.NewTime(time.Unix(1000, 0))
	v := &v1alpha1.ClusterServiceVersion{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ops", Name: "v1", UID: "uid",
			Annotations: map[string]string{
				"olm.operatorGroup": "g", "olm.operatorNamespace": "ops", "olm.targetNamespaces": "",
				"kubectl.kubernetes.io/last-applied-configuration": "{}",
			},
			Labels: map[string]string{"mine": "1", "operators.coreos.com/p.ops": ""},
		},
		Status: v1alpha1.ClusterServiceVersionStatus{
			Phase: v1alpha1.CSVPhaseSucceeded, Reason: v1alpha1.CSVReasonInstallSuccessful, LastUpdateTime: &updated,
		},
	}
	v.Spec.DisplayName = "Ghosts"
	change(v)
	return v
}

func plain(*v1alpha1.ClusterServiceVersion) {}

func group(targets ...string) *operatorsv1.OperatorGroup {
	return &operatorsv1.OperatorGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: "g"}, Status: operatorsv1.OperatorGroupStatus{Namespaces: targets},
	}
}

func namespaces(names ...string) (list []client.Object) {
	for _, name := range names {
		list = append(list, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return list
}

func config(disabled bool) *operatorsv1.OLMConfig {
	return &operatorsv1.OLMConfig{
		ObjectMeta: metav1.ObjectMeta{Name: "cluster"}, Spec: operatorsv1.OLMConfigSpec{Features: &operatorsv1.Features{DisableCopiedCSVs: &disabled}},
	}
}

func many() (names []string) {
	for i := range copiedcsv.DefaultLimit {
		names = append(names, fmt.Sprintf("n%03d", i))
	}
	return names
}

func TestWhereCopiesAre(t *testing.T) {
	tests := map[string]struct {
		objects []client.Object
		want    []string
	}{
		"a global operator is everywhere":          {append(namespaces("ops", "a", "b"), original(plain), group("")), []string{"a", "b"}},
		"one with targets is there, if they exist": {append(namespaces("ops", "a", "b"), original(plain), group("a", "nowhere", "ops")), []string{"a"}},
		"one of its own namespace is nowhere else": {append(namespaces("ops", "a"), original(plain), group("ops")), nil},
		"turned off":                         {append(namespaces("ops", "a", "protected"), original(plain), group(""), config(true)), []string{"protected"}},
		"turned off, but with targets":       {append(namespaces("ops", "a"), original(plain), group("a"), config(true)), []string{"a"}},
		"too many namespaces":                {append(namespaces(append(many(), "ops", "protected")...), original(plain), group("")), []string{"protected"}},
		"too many namespaces, but turned on": {append(namespaces(append(many(), "ops")...), original(plain), group(""), config(false)), many()},
		"not while it installs":              {append(namespaces("ops", "a"), original(func(v *v1alpha1.ClusterServiceVersion) { v.Status.Phase = v1alpha1.CSVPhaseInstalling }), group("")), nil},
		"not if the group does not let it run": {append(namespaces("ops", "a"), original(func(v *v1alpha1.ClusterServiceVersion) {
			v.Status.Phase, v.Status.Reason = v1alpha1.CSVPhaseFailed, v1alpha1.CSVReasonUnsupportedOperatorGroup
		}), group("")), nil},
		"a namespace that has the version for itself": {append(namespaces("ops", "a"), original(plain), group("a"), original(func(v *v1alpha1.ClusterServiceVersion) { v.Namespace = "a" })), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.objects...)
			w.reconcile()
			if diff := cmp.Diff(tt.want, w.copies()); diff != "" {
				t.Errorf("copies (-want +got):\n%s", diff)
			}
		})
	}
}

// TestConfigSaysTheTruth covers the table of chapter 8.3.
func TestConfigSaysTheTruth(t *testing.T) {
	stray := original(func(v *v1alpha1.ClusterServiceVersion) {
		v.Namespace, v.Labels[v1alpha1.CopiedLabelKey] = "a", "ops"
	})
	tests := map[string]struct {
		objects []client.Object
		want    string
	}{
		"on, and all copies are there":    {append(namespaces("ops", "a"), original(plain), group(""), config(false), stray), "False CopiedCSVsEnabled Copied CSVs are enabled and present across the cluster"},
		"on, and a copy is missing":       {append(namespaces("ops", "a", "b"), original(plain), group(""), config(false), stray), "False CopiedCSVsEnabled Copied CSVs are enabled and at least one copied CSVs is missing"},
		"off, and no copy is there":       {append(namespaces("ops", "a"), original(plain), group(""), config(true)), "True CopiedCSVsDisabled Copied CSVs are disabled and no unexpected copied CSVs were found for operators installed in AllNamespace mode"},
		"off, and a copy is there":        {append(namespaces("ops", "a"), original(plain), group(""), config(true), stray), "False CopiedCSVsDisabled Copied CSVs are disabled and at least one unexpected copied CSV was found for an operator installed in AllNamespace mode"},
		"off, with a copy for one target": {append(namespaces("ops", "a"), original(plain), group("a"), config(true), stray), "True CopiedCSVsDisabled Copied CSVs are disabled and no unexpected copied CSVs were found for operators installed in AllNamespace mode"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.objects...)
			for range 2 {
				if _, err := w.reconciler.ReconcileConfig(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "cluster"}}); err != nil {
					t.Fatal(err)
				}
			}
			cfg := &operatorsv1.OLMConfig{}
			if err := w.Get(t.Context(), client.ObjectKey{Name: "cluster"}, cfg); err != nil {
				t.Fatal(err)
			}
			if len(cfg.Status.Conditions) != 1 {
				t.Fatalf("conditions = %+v, want one", cfg.Status.Conditions)
			}
			c := cfg.Status.Conditions[0]
			if got := fmt.Sprintf("%s %s %s", c.Status, c.Reason, c.Message); got != tt.want || c.Type != "DisabledCopiedCSVs" {
				t.Errorf("condition %s = %q, want %q", c.Type, got, tt.want)
			}
		})
	}
}

func TestCopy(t *testing.T) {
	w := newWorld(t, append(namespaces("ops", "a"), original(plain), group(""))...)
	w.reconcile()
	got := &v1alpha1.ClusterServiceVersion{}
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: "a", Name: "v1"}, got); err != nil {
		t.Fatal(err)
	}
	delete(got.Annotations, "chandler.dev/copied-state")
	want := map[string]string{"olm.operatorGroup": "g", "olm.operatorNamespace": "ops"}
	if diff := cmp.Diff(want, got.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	want = map[string]string{"mine": "1", "olm.copiedFrom": "ops", "olm.managed": "true"}
	if diff := cmp.Diff(want, got.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if got.Spec.DisplayName != "Ghosts" || got.Status.Phase != v1alpha1.CSVPhaseSucceeded || got.Status.Reason != v1alpha1.CSVReasonCopied ||
		got.Status.Message != "The operator is running in ops but is managing this namespace" || !got.IsCopied() {
		t.Errorf("copy = %+v", got)
	}
	w.writes.Store(0)
	w.reconcile()
	if n := w.writes.Load(); n > 0 {
		t.Errorf("a second look writes %d times", n)
	}
}

func TestCopiesFollowTheOriginal(t *testing.T) {
	w := newWorld(t, append(namespaces("ops", "a", "b"), original(plain), group(""))...)
	w.reconcile()
	v := original(plain)
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(v), v); err != nil {
		t.Fatal(err)
	}
	v.Annotations["new"] = "1"
	if err := w.Update(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	copied := &v1alpha1.ClusterServiceVersion{}
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: "a", Name: "v1"}, copied); err != nil {
		t.Fatal(err)
	}
	if copied.Annotations["new"] != "1" {
		t.Errorf("annotations of the copy = %v, want those of the original", copied.Annotations)
	}

	og := group()
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(og), og); err != nil {
		t.Fatal(err)
	}
	og.Status.Namespaces = []string{"a"}
	if err := w.Status().Update(t.Context(), og); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	if diff := cmp.Diff([]string{"a"}, w.copies()); diff != "" {
		t.Errorf("copies after the group narrowed (-want +got):\n%s", diff)
	}
	if err := w.Delete(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: "a", Name: "v1"}, copied); !apierrors.IsNotFound(err) {
		t.Errorf("copy without original: %v, want not found", err)
	}
}
