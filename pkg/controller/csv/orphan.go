package csv

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

// orphans deletes APIServices whose ClusterServiceVersion is gone, for example with its
// finalizer removed by hand: one that leads nowhere keeps every namespace of the cluster
// from being deleted.
type orphans struct {
	client client.Client
	live   client.Reader
}

func (o *orphans) setupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("apiservice-orphans").
		For(&apiregistrationv1.APIService{}).
		// The APIServices of a version that disappears.
		Watches(&v1alpha1.ClusterServiceVersion{}, handler.EnqueueRequestsFromMapFunc(ownedAPIs)).
		Complete(reconcile.AsReconciler(mgr.GetClient(), o))
}

// Reconcile deletes api if the API server knows no version that its labels name.
func (o *orphans) Reconcile(ctx context.Context, api *apiregistrationv1.APIService) (ctrl.Result, error) {
	if api.Labels[render.LabelOwnerKind] != v1alpha1.ClusterServiceVersionKind || !api.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	owner := &metav1.PartialObjectMetadata{}
	owner.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.ClusterServiceVersionKind))
	err := o.live.Get(ctx, client.ObjectKey{Namespace: api.Labels[render.LabelOwnerNamespace], Name: api.Labels[render.LabelOwner]}, owner)
	if !apierrors.IsNotFound(err) {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, client.IgnoreNotFound(o.client.Delete(ctx, api, client.Preconditions{UID: &api.UID}))
}

func ownedAPIs(_ context.Context, obj client.Object) []reconcile.Request {
	csv, ok := obj.(*v1alpha1.ClusterServiceVersion)
	if !ok {
		return nil
	}
	var requests []reconcile.Request
	for _, desc := range csv.GetOwnedAPIServiceDescriptions() {
		requests = append(requests, request("", desc.GetName()))
	}
	return requests
}
