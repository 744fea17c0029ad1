package csv

import (
	"context"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/install/render"
)

// unreachable are the kinds that an owner reference cannot or does not always cover,
// because they are cluster-scoped or in the namespaces of others. An APIService goes
// first: while it leads nowhere, no namespace can be deleted.
var unreachable = []schema.GroupVersionKind{
	apiregistrationv1.SchemeGroupVersion.WithKind("APIService"),
	rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"),
	rbacv1.SchemeGroupVersion.WithKind("ClusterRole"),
	rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
	rbacv1.SchemeGroupVersion.WithKind("Role"),
	admissionv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"),
	admissionv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration"),
}

// cleanUp deletes what has the owner labels of the ClusterServiceVersion and lets it go.
// What it lists comes from the API server: nothing that was just made may stay behind.
func (r *Reconciler) cleanUp(ctx context.Context, s *scope) (step.Outcome, error) {
	if !controllerutil.ContainsFinalizer(s.csv, Finalizer) {
		return step.Stop(), nil
	}
	if err := r.exposer.Reset(ctx, s.csv); err != nil {
		return step.Stop(), err
	}
	for _, gvk := range unreachable {
		if err := r.deleteOwned(ctx, gvk, s.csv); err != nil {
			return step.Stop(), err
		}
	}
	before := s.csv.DeepCopy()
	controllerutil.RemoveFinalizer(s.csv, Finalizer)
	body, err := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}).Data(s.csv)
	if err != nil {
		return step.Stop(), err
	}
	reply := &v1alpha1.ClusterServiceVersion{ObjectMeta: *s.csv.ObjectMeta.DeepCopy()}
	if err := r.client.Patch(ctx, reply, client.RawPatch(types.MergePatchType, body)); err != nil {
		return step.Stop(), client.IgnoreNotFound(err)
	}
	r.memory.note(reply)
	return step.Stop(), nil
}

func (r *Reconciler) deleteOwned(ctx context.Context, gvk schema.GroupVersionKind, csv *v1alpha1.ClusterServiceVersion) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	if err := r.live.List(ctx, list, client.MatchingLabels(render.OwnerOf(csv).Labels())); err != nil {
		return err
	}
	for i := range list.Items {
		obj := &list.Items[i]
		if obj.Namespace == csv.Namespace {
			continue // owner references cover what is ours
		}
		obj.SetGroupVersionKind(gvk)
		if err := client.IgnoreNotFound(r.client.Delete(ctx, obj)); err != nil {
			return err
		}
	}
	return nil
}
