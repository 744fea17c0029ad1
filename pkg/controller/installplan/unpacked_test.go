package installplan_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/installplan"
)

// TestReconcileUnpackedBundle runs a plan of v0 whose steps refer to the
// ConfigMap into which a Job unpacked the bundle.
func TestReconcileUnpackedBundle(t *testing.T) {
	b := realBundle(t, "etcd", "0.9.4")
	compressed := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "unpacked", Namespace: "olm"}, BinaryData: map[string][]byte{}}
	plain := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "unpacked", Namespace: "olm"}, Data: map[string]string{"notes.txt": ": not YAML"}}
	for i, o := range b.Content.Objects {
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		if _, err := w.Write(o); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprintf("%d.yaml", i)
		compressed.BinaryData[key] = []byte(base64.StdEncoding.EncodeToString(zipped.Bytes()))
		plain.Data[key] = string(o)
	}
	for name, cm := range map[string]*corev1.ConfigMap{"compressed": compressed, "plain": plain} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, group(), cm)
			plan, err := installplan.Build(decision(b))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range plan.Status.Plan {
				s.Resource.Manifest = `{"kind":"ConfigMap","name":"unpacked","namespace":"olm","catalogSourceName":"cat",` +
					`"catalogSourceNamespace":"olm","replaces":"etcdoperator.v0.9.2","properties":"{\"properties\":[]}"}`
			}
			w.add(plan)
			if _, err := w.pass(plan.Name); err != nil {
				t.Fatal(err)
			}
			w.establish()
			got, err := w.pass(plan.Name)
			if err != nil || got.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
				t.Fatalf("phase %q, %q, %v", got.Status.Phase, got.Status.Message, err)
			}
			csv := &v1alpha1.ClusterServiceVersion{}
			if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: b.Name}, csv); err != nil {
				t.Fatal(err)
			}
			if csv.Spec.Replaces != "etcdoperator.v0.9.2" || csv.Annotations["operatorframework.io/properties"] != `{"properties":[]}` {
				t.Errorf("replaces %q, annotations %v", csv.Spec.Replaces, csv.Annotations)
			}
		})
	}
}

func TestReconcileUnpackedBundleGone(t *testing.T) {
	w := newWorld(t, group())
	plan := handMade("p", &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "c"}})
	plan.Status.Plan[0].Resource.Manifest = `{"kind":"ConfigMap","name":"unpacked","namespace":"olm","catalogSourceName":"cat","catalogSourceNamespace":"olm"}`
	w.add(plan)
	got, err := w.pass("p")
	if want := `ConfigMap "unpacked" in namespace "olm", which holds the bundle of this plan, is gone`; err != nil || !strings.Contains(got.Status.Message, want) {
		t.Errorf("message %q, %v; want %q", got.Status.Message, err, want)
	}
}

// TestReconcileCopiesSecret runs the step of kind Secret, by which v0 copies a
// Secret of the catalog namespace.
func TestReconcileCopiesSecret(t *testing.T) {
	from := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "olm"}, Data: map[string][]byte{"k": []byte("v")}, Type: corev1.SecretTypeOpaque}
	step := &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Name: "s"}}

	w := newWorld(t, group(), from)
	w.add(handMade("p", step))
	plan, err := w.pass("p")
	if err != nil || plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Fatalf("phase %q, %q, %v", plan.Status.Phase, plan.Status.Message, err)
	}
	copied := &corev1.Secret{}
	if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "s"}, copied); err != nil || string(copied.Data["k"]) != "v" {
		t.Errorf("copy = %v, %v", copied.Data, err)
	}

	w = newWorld(t, group())
	w.add(handMade("p", step))
	if plan, err = w.pass("p"); err != nil || !strings.Contains(plan.Status.Message, "secret s does not exist") {
		t.Errorf("without the source: %q, %v", plan.Status.Message, err)
	}
}
