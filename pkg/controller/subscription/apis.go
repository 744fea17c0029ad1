package subscription

import (
	"context"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/util/workqueue"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/subscription/inventory"
)

// watchAPIs keeps the inventory up to date, from the caches that other
// controllers need too, and wakes the namespaces that an API concerns.
func (r *Reconciler) watchAPIs(b *builder.Builder) *builder.Builder {
	inv := r.options.Inventory
	return b.
		Watches(&apiextensionsv1.CustomResourceDefinition{}, noting(r, inv.Defined, inv.Undefined)).
		Watches(&apiregistrationv1.APIService{}, noting(r, inv.Registered, inv.Unregistered)).
		Watches(&operatorsv1.OperatorGroup{}, noting(r, inv.Grouped, inv.Ungrouped))
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// noting tells the inventory what is there and what is gone.
func noting[T client.Object](r *Reconciler, there, gone func(T) inventory.Change) handler.EventHandler {
	note := func(obj client.Object, tell func(T) inventory.Change, q queue) {
		if o, ok := obj.(T); ok {
			for _, namespace := range r.footprints.affected(tell(o)) {
				q.Add(request(namespace))
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { note(e.Object, there, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { note(e.ObjectNew, there, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { note(e.Object, gone, q) },
	}
}
