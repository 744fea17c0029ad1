package copiedcsv

import (
	"testing"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestRepair(t *testing.T) {
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	v := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ops", Name: "v1", Annotations: map[string]string{"olm.operatorNamespace": "ops"},
	}}
	v.Status.Phase, v.Status.Reason = v1alpha1.CSVPhaseSucceeded, v1alpha1.CSVReasonInstallSuccessful
	state, err := stateOf(v)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*v1alpha1.ClusterServiceVersion){
		"an untouched copy stays": func(*v1alpha1.ClusterServiceVersion) {},
		"an edited status":        func(c *v1alpha1.ClusterServiceVersion) { c.Status.Message = "x" },
		"an edited spec":          func(c *v1alpha1.ClusterServiceVersion) { c.Spec.DisplayName = "x" },
		"an edited annotation":    func(c *v1alpha1.ClusterServiceVersion) { c.Annotations["olm.operatorNamespace"] = c.Namespace },
		"target namespaces":       func(c *v1alpha1.ClusterServiceVersion) { c.Annotations["olm.targetNamespaces"] = "" },
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			edited, want := copyOf(v, "a", state), copyOf(v, "a", state)
			edit(edited)
			c := fake.NewClientBuilder().WithScheme(s).WithObjects(v.DeepCopy(), edited).WithStatusSubresource(&v1alpha1.ClusterServiceVersion{}).Build()
			r := New(Options{Client: c, Live: c})
			if _, err := r.repair(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(edited)}); err != nil {
				t.Fatal(err)
			}
			got := &v1alpha1.ClusterServiceVersion{}
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(edited), got); err != nil {
				t.Fatal(err)
			}
			if object, status := conform(got, want); object || status {
				t.Errorf("the copy still differs: %+v", got)
			}
		})
	}
}
