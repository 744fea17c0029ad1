package installplan_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// TestCompletePlansHeal deletes what a plan installed: plans restore what somebody deletes, as long as their operator exists.
func TestCompletePlansHeal(t *testing.T) {
	b := realBundle(t, "etcd", "0.9.4")
	r := start(t, b)
	ns := r.space(t)
	plan := r.plan(t, ns, b, 0)
	if plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Fatalf("%+v", plan.Status)
	}
	csv := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: b.Name}}
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "etcd-operator"}}
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "etcdbackups.etcd.database.coreos.com"}}
	for _, obj := range []client.Object{sa, crd} {
		if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			t.Fatal(err)
		}
		before := obj.GetUID()
		if err := r.Client.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, 30*time.Second, func(ctx context.Context) error {
			if err := r.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
				return err
			}
			if obj.GetUID() == before || obj.GetDeletionTimestamp() != nil {
				return fmt.Errorf("%s is still the old one", obj.GetName())
			}
			return nil
		})
	}
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(csv), csv); err != nil {
		t.Fatal(err)
	}
	if len(sa.OwnerReferences) != 1 || sa.OwnerReferences[0].UID != csv.UID {
		t.Errorf("owners of the ServiceAccount: %+v", sa.OwnerReferences)
	}

	if err := r.Client.Delete(t.Context(), csv); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 30*time.Second, func(ctx context.Context) error {
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(sa), sa); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("the ServiceAccount of a deleted operator is there"), err)
		}
		return nil
	})
	writes := r.writes.Load()
	if err := r.Client.Delete(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	again := handMade("other", &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "c"}})
	again.Namespace = ns
	if r.run(t, again); r.writes.Load() != writes+1 {
		t.Errorf("%d writes after the operator was deleted, want those of the other plan only", r.writes.Load()-writes)
	}
}
