package drift

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"chandler.dev/olm/pkg/install/render"
)

// Object is one that others changed or deleted.
type Object struct {
	Kind      string
	Namespace string // empty for a cluster-scoped one
	Name      string
}

// Report is told about an object and returns the plans that are to look at it.
type Report func(context.Context, Object) []reconcile.Request

// Watcher watches kinds from the moment that a plan brings the first object of
// them, with one connection each.
type Watcher struct {
	cache      cache.Cache
	controller controller.Controller
	report     Report

	mu      sync.Mutex
	started map[schema.GroupVersionKind]bool
}

// NewCache returns a cache for NewWatcher of the metadata of what the lifecycle
// made, and adds it to mgr.
func NewCache(mgr ctrl.Manager) (cache.Cache, error) {
	c, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
		DefaultLabelSelector: labels.SelectorFromSet(labels.Set{render.LabelManaged: "true"}),
		DefaultTransform:     strip,
	})
	if err != nil {
		return nil, err
	}
	return c, mgr.Add(c)
}

// NewWatcher returns a Watcher that enqueues what report answers with.
func NewWatcher(c cache.Cache, enqueueTo controller.Controller, report Report) *Watcher {
	return &Watcher{cache: c, controller: enqueueTo, report: report, started: map[schema.GroupVersionKind]bool{}}
}

// Watch begins to watch a kind, once.
func (w *Watcher) Watch(gvk schema.GroupVersionKind) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started[gvk] {
		return nil
	}
	if err := w.controller.Watch(source.Kind(w.cache, metadataOf(gvk), w.handler(gvk.Kind))); err != nil {
		return err
	}
	w.started[gvk] = true
	return nil
}

// patience is how long a kind that is watched may take to be listed.
const patience = 30 * time.Second

// Exists reports whether there is an object of a kind that is watched.
func (w *Watcher) Exists(ctx context.Context, gvk schema.GroupVersionKind, key client.ObjectKey) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := w.cache.Get(ctx, key, metadataOf(gvk))
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return false, nil
	}
	return err == nil, err
}

func metadataOf(gvk schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(gvk)
	return m
}

type (
	queue       = workqueue.TypedRateLimitingInterface[reconcile.Request]
	createEvent = event.TypedCreateEvent[*metav1.PartialObjectMetadata]
	updateEvent = event.TypedUpdateEvent[*metav1.PartialObjectMetadata]
	deleteEvent = event.TypedDeleteEvent[*metav1.PartialObjectMetadata]
)

// handler reports changes by others, deletions, and, because nobody watched
// before the start, objects in which others have set something.
func (w *Watcher) handler(kind string) handler.TypedEventHandler[*metav1.PartialObjectMetadata, reconcile.Request] {
	tell := func(ctx context.Context, m *metav1.PartialObjectMetadata, q queue) {
		for _, r := range w.report(ctx, Object{Kind: kind, Namespace: m.Namespace, Name: m.Name}) {
			q.Add(r)
		}
	}
	return handler.TypedFuncs[*metav1.PartialObjectMetadata, reconcile.Request]{
		CreateFunc: func(ctx context.Context, e createEvent, q queue) {
			if len(Others(e.Object)) > 0 {
				tell(ctx, e.Object, q)
			}
		},
		UpdateFunc: func(ctx context.Context, e updateEvent, q queue) {
			if changed(e.ObjectOld, e.ObjectNew) {
				tell(ctx, e.ObjectNew, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e deleteEvent, q queue) { tell(ctx, e.Object, q) },
	}
}
