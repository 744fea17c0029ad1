package apiservice_test

import (
	"testing"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"chandler.dev/olm/pkg/controller/apiservice"
)

func TestOrphans(t *testing.T) {
	owned := func(kind, name string) map[string]string {
		return map[string]string{"olm.owner.kind": kind, "olm.owner.namespace": "ns", "olm.owner": name}
	}
	tests := map[string]struct {
		labels   map[string]string
		wantGone bool
	}{
		"its version exists":  {owned("ClusterServiceVersion", "v1"), false},
		"its version is gone": {owned("ClusterServiceVersion", "v0"), true},
		"of another owner":    {owned("Something", "v0"), false},
		"of nobody":           {nil, false},
	}
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, apiregistrationv1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			api := &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1.g", UID: "uid", Labels: tt.labels}}
			c := fake.NewClientBuilder().WithScheme(s).WithObjects(api, &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "v1"}}).Build()
			if _, err := (&apiservice.Reconciler{Client: c, Live: c}).Reconcile(t.Context(), api); err != nil {
				t.Fatal(err)
			}
			err := c.Get(t.Context(), client.ObjectKeyFromObject(api), api)
			if gone := apierrors.IsNotFound(err); gone != tt.wantGone {
				t.Errorf("gone: %v, want %v", gone, tt.wantGone)
			}
		})
	}
}
