// Package cause watches what keeps plans from going on: kinds of which nobody
// knows beforehand that they matter, such as the custom resources that do not
// fit a new schema, or roles while a plan lacks rights. A plan is looked at
// again when something of such a kind changes; whether that cures it is not
// decided here.
package cause

import (
	"context"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// tries is how often a plan is looked at after a sign that its cause is gone:
// what an API server tells its watchers, it does not always act upon at once.
const tries = 5

// Watcher knows which plans wait for which kinds. The zero value remembers
// plans, and watches once Start was called.
type Watcher struct {
	mu         sync.Mutex
	cache      cache.Cache
	controller controller.Controller
	waiting    map[schema.GroupVersionKind]map[types.NamespacedName]bool
	watched    map[schema.GroupVersionKind]bool
	suspects   map[types.NamespacedName]int // how often they are to be looked at
}

// Start makes w watch with a cache of its own that it adds to mgr, and wake
// plans through c.
func (w *Watcher) Start(mgr ctrl.Manager, c controller.Controller) error {
	made, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), DefaultTransform: strip,
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.cache, w.controller = made, c
	w.mu.Unlock()
	return mgr.Add(made)
}

// strip leaves the name of an object.
func strip(obj any) (any, error) {
	if m, ok := obj.(*metav1.PartialObjectMetadata); ok {
		m.ObjectMeta = metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}
	}
	return obj, nil
}

// Await notes that a plan waits for changes of objects of some kinds. It is
// looked at once more when the watch has begun.
func (w *Watcher) Await(plan types.NamespacedName, kinds ...schema.GroupVersionKind) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.controller == nil {
		return nil
	}
	for _, gvk := range kinds {
		if w.waiting == nil {
			w.waiting = map[schema.GroupVersionKind]map[types.NamespacedName]bool{}
			w.watched = map[schema.GroupVersionKind]bool{}
		}
		if w.waiting[gvk] == nil {
			w.waiting[gvk] = map[types.NamespacedName]bool{}
		}
		w.waiting[gvk][plan] = true
		if w.watched[gvk] {
			continue
		}
		m := &metav1.PartialObjectMetadata{}
		m.SetGroupVersionKind(gvk)
		wake := handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, m *metav1.PartialObjectMetadata) []reconcile.Request {
			return w.wake(gvk, m.Namespace)
		})
		if err := w.controller.Watch(source.Kind(w.cache, m, wake)); err != nil {
			return err
		}
		w.watched[gvk] = true
	}
	return nil
}

// wake suspects the plans that wait for a kind. Rights in other namespaces than
// that of a plan do not concern it.
func (w *Watcher) wake(gvk schema.GroupVersionKind, namespace string) []reconcile.Request {
	local := namespace != "" && (gvk.Group == rbacv1.GroupName || gvk.Kind == rbacv1.ServiceAccountKind)
	w.mu.Lock()
	defer w.mu.Unlock()
	requests := make([]reconcile.Request, 0, len(w.waiting[gvk]))
	for plan := range w.waiting[gvk] {
		if local && plan.Namespace != namespace {
			continue
		}
		w.suspect(plan)
		requests = append(requests, reconcile.Request{NamespacedName: plan})
	}
	return requests
}

// Suspect notes that the cause why a plan failed may be gone.
func (w *Watcher) Suspect(plan types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.suspect(plan)
}

func (w *Watcher) suspect(plan types.NamespacedName) {
	if w.suspects == nil {
		w.suspects = map[types.NamespacedName]int{}
	}
	w.suspects[plan] = tries
}

// Take reports whether a plan is to be looked at, and whether that is to be
// done once more if nothing is found.
func (w *Watcher) Take(plan types.NamespacedName) (now, again bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.suspects[plan]
	if left == 0 {
		return false, false
	}
	w.suspects[plan] = left - 1
	if left == 1 {
		delete(w.suspects, plan)
	}
	return true, left > 1
}

// Forget drops a plan that waits no longer. Kinds that nobody waits for are
// watched no longer.
func (w *Watcher) Forget(ctx context.Context, plan types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.suspects, plan)
	for gvk, plans := range w.waiting {
		delete(plans, plan)
		if len(plans) > 0 {
			continue
		}
		delete(w.waiting, gvk)
		m := &metav1.PartialObjectMetadata{}
		m.SetGroupVersionKind(gvk)
		if err := w.cache.RemoveInformer(ctx, m); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "cannot end a watch", "kind", gvk.Kind)
			continue
		}
		delete(w.watched, gvk)
	}
}
