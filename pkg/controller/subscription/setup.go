package subscription

import (
	"context"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"chandler.dev/olm/pkg/controller/catalogsource"
	"chandler.dev/olm/pkg/controller/snapshot"
	"chandler.dev/olm/pkg/controller/subscription/inventory"
	"chandler.dev/olm/pkg/resolver"
)

const component = "subscription"

// OptionsFor returns Options that use mgr.
func OptionsFor(mgr ctrl.Manager, snapshots *snapshot.Cache, globalNamespace string) (Options, error) {
	version, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return Options{}, err
	}
	return Options{
		Client: mgr.GetClient(), Cached: mgr.GetCache(), Live: mgr.GetAPIReader(),
		Snapshots: snapshots, GlobalNamespace: globalNamespace, Inventory: inventory.New(inventory.Discover(version)),
		KubeVersion: kubeVersion(version, clock.RealClock{}), Recorder: mgr.GetEventRecorder(component),
	}, nil
}

// SetupWithManager registers the controller. Requests carry the name of a
// namespace, which is looked at when something happens that can change its
// answer.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	byNamespace := handler.EnqueueRequestsFromMapFunc(namespaceOf)
	b := ctrl.NewControllerManagedBy(mgr).Named(component).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		// A wish changes, or a status is not what was written.
		Watches(&v1alpha1.Subscription{}, byNamespace, builder.WithPredicates(changes(sameSubscription))).
		// A version appears, becomes healthy, fails or goes.
		Watches(&v1alpha1.ClusterServiceVersion{}, byNamespace, builder.WithPredicates(changes(sameCSV))).
		// A plan is approved, done, failed or deleted.
		Watches(&v1alpha1.InstallPlan{}, byNamespace, builder.WithPredicates(changes(samePlan))).
		// The OperatorGroup appears, goes or changes its upgrade strategy.
		Watches(&operatorsv1.OperatorGroup{}, byNamespace, builder.WithPredicates(changes(sameGroup))).
		// A catalog that it sees appears, goes, or changes its health.
		Watches(catalogsource.NewObject(), handler.EnqueueRequestsFromMapFunc(r.seeing), builder.WithPredicates(changes(sameCatalog))).
		// The content of a catalog changes that its answer depends on.
		WatchesRawSource(source.Func(r.contentChanges))
	// An API that its bundles ask for or bring appears, goes or gets another owner.
	return r.watchAPIs(b).Complete(r)
}

func namespaceOf(_ context.Context, obj client.Object) []reconcile.Request {
	return []reconcile.Request{request(obj.GetNamespace())}
}

func request(namespace string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: namespace}}
}

// changes passes updates of which something counts.
func changes[T client.Object](same func(before, after T) bool) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(T)
		after, ok2 := e.ObjectNew.(T)
		return !ok1 || !ok2 || !same(before, after)
	}}
}

func sameSubscription(a, b *v1alpha1.Subscription) bool {
	return a.Generation == b.Generation && equality.Semantic.DeepEqual(a.Annotations, b.Annotations) &&
		equality.Semantic.DeepEqual(a.Status, b.Status)
}

func sameCSV(a, b *v1alpha1.ClusterServiceVersion) bool {
	return a.Generation == b.Generation && a.Status.Phase == b.Status.Phase && a.Annotations[propertiesAnnotation] == b.Annotations[propertiesAnnotation]
}

func samePlan(a, b *v1alpha1.InstallPlan) bool {
	return a.Generation == b.Generation && a.Status.Phase == b.Status.Phase &&
		equality.Semantic.DeepEqual(a.Status.Conditions, b.Status.Conditions) &&
		(len(a.Status.Plan) == 0) == (len(b.Status.Plan) == 0)
}

func sameGroup(a, b *operatorsv1.OperatorGroup) bool {
	return a.Spec.UpgradeStrategy == b.Spec.UpgradeStrategy && a.Annotations[excludeGlobal] == b.Annotations[excludeGlobal]
}

// sameCatalog compares what a namespace sees of a catalog.
func sameCatalog(a, b client.Object) bool {
	before, after := catalogOfObject(a), catalogOfObject(b)
	return before != nil && after != nil && *before == *after
}

// seeing returns the namespaces that a catalog is visible from.
func (r *Reconciler) seeing(ctx context.Context, obj client.Object) []reconcile.Request {
	if obj.GetNamespace() != r.options.GlobalNamespace {
		return namespaceOf(ctx, obj)
	}
	var subs v1alpha1.SubscriptionList
	if err := r.options.Client.List(ctx, &subs, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list subscriptions for a catalog", "catalog", obj.GetName())
		return nil
	}
	seen := map[string]bool{}
	var requests []reconcile.Request
	for i := range subs.Items {
		if namespace := subs.Items[i].Namespace; !seen[namespace] {
			seen[namespace] = true
			requests = append(requests, request(namespace))
		}
	}
	return requests
}

// contentChanges enqueues the namespaces whose answer can change with the
// content of a catalog, as long as the controller runs.
func (r *Reconciler) contentChanges(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	stop := r.options.Snapshots.Watch(func(name types.NamespacedName) {
		for _, namespace := range r.footprints.concerned(resolver.CatalogRef{Namespace: name.Namespace, Name: name.Name}) {
			queue.Add(request(namespace))
		}
	})
	context.AfterFunc(ctx, stop)
	return nil
}
