// Package apiservice deletes APIServices whose ClusterServiceVersion is gone, for
// example with its finalizer removed by hand: one that leads nowhere keeps every
// namespace of the cluster from being deleted.
package apiservice

import (
	"context"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/install/render"
)

// Reconciler deletes APIServices that a ClusterServiceVersion left behind.
type Reconciler struct {
	Client client.Client // reads from a cache
	Live   client.Reader // reads from the API server
}

// SetupWithManager registers the controller and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("apiservice-orphans").
		For(&apiregistrationv1.APIService{}).
		// The APIServices of a version that disappears.
		Watches(&v1alpha1.ClusterServiceVersion{}, handler.EnqueueRequestsFromMapFunc(ownedAPIs)).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile deletes api if the API server knows no version that its labels name.
func (r *Reconciler) Reconcile(ctx context.Context, api *apiregistrationv1.APIService) (ctrl.Result, error) {
	if api.Labels[render.LabelOwnerKind] != v1alpha1.ClusterServiceVersionKind || !api.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	owner := &metav1.PartialObjectMetadata{}
	owner.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.ClusterServiceVersionKind))
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: api.Labels[render.LabelOwnerNamespace], Name: api.Labels[render.LabelOwner]}, owner)
	if !apierrors.IsNotFound(err) {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.Client.Delete(ctx, api, client.Preconditions{UID: &api.UID}))
}

func ownedAPIs(_ context.Context, obj client.Object) []reconcile.Request {
	csv, ok := obj.(*v1alpha1.ClusterServiceVersion)
	if !ok {
		return nil
	}
	var requests []reconcile.Request
	for _, desc := range csv.GetOwnedAPIServiceDescriptions() {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Name: desc.GetName()}})
	}
	return requests
}
