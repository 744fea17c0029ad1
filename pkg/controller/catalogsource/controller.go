// Package catalogsource connects to the servers of CatalogSources and keeps the
// last good content of each as a snapshot. It serves no content itself. While
// a server is healthy nothing is polled and nothing is written.
package catalogsource

import (
	"context"
	"fmt"
	"sync"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"chandler.dev/olm/pkg/controller/snapshot"
)

// maxReads is how many catalogs are read at once.
const maxReads = 2

// Options are what the controller works with.
type Options struct {
	Client    client.Client
	Cached    client.Reader // reads CatalogSources without their Go type
	Snapshots *snapshot.Cache
	Dial      func(address string) (Server, error) // does not wait for the connection
	Clock     clock.WithTicker                     // the real one if nil
}

// OptionsFor returns Options that use mgr.
func OptionsFor(mgr ctrl.Manager, snapshots *snapshot.Cache, dial func(address string) (Server, error)) Options {
	return Options{Client: mgr.GetClient(), Cached: mgr.GetCache(), Snapshots: snapshots, Dial: dial}
}

// Reconciler keeps one connection per CatalogSource.
type Reconciler struct {
	options Options
	reading chan struct{}

	mu          sync.Mutex
	connections map[types.NamespacedName]*connection
	ctx         context.Context //nolint:containedctx // the life of all connections, not of a call
	enqueue     func(types.NamespacedName)
	unpruned    bool // content changed since old content was last removed
}

// New returns a Reconciler whose connections live until Stop.
func New(o Options) *Reconciler {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	return &Reconciler{
		options: o, reading: make(chan struct{}, maxReads), connections: map[types.NamespacedName]*connection{},
		ctx: context.Background(), enqueue: func(types.NamespacedName) {}, unpruned: true,
	}
}

// SetupWithManager registers the controller. It looks at a CatalogSource when
// its spec changed, when it went, and when its connection has news.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		r.Stop()
		return nil
	})); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("catalogsource").
		For(NewObject(), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Func(r.news)).
		Complete(r)
}

// news lets connections enqueue their catalog, as long as the manager runs.
func (r *Reconciler) news(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx = ctx
	r.enqueue = func(catalog types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: catalog}) }
	return r.options.Snapshots.Reload()
}

// Stop ends all connections.
func (r *Reconciler) Stop() {
	r.mu.Lock()
	connections := r.connections
	r.connections = map[types.NamespacedName]*connection{}
	r.mu.Unlock()
	for _, c := range connections {
		c.stop()
	}
}

// Reconcile observes one catalog and its connection, and writes its status if
// that changes something.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	object := NewObject()
	err := r.options.Cached.Get(ctx, req.NamespacedName, object)
	if apierrors.IsNotFound(err) || err == nil && object.GetDeletionTimestamp() != nil {
		r.disconnect(req.NamespacedName)
		return reconcile.Result{}, r.options.Snapshots.Forget(req.NamespacedName)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	cs, err := Decode(object)
	if err != nil {
		return reconcile.Result{}, reconcile.TerminalError(err)
	}
	seen, refused := r.observe(ctx, cs)
	if err := r.writeStatus(ctx, cs, nextStatus(cs, seen, refused, r.options.Clock.Now())); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, r.prune(ctx)
}

// observe returns what the connection of a catalog knows, making or replacing
// the connection if the spec asks for another one.
func (r *Reconciler) observe(ctx context.Context, cs *v1alpha1.CatalogSource) (observation, *refusal) {
	catalog := client.ObjectKeyFromObject(cs)
	want, refused := targetOf(cs.Spec)
	r.mu.Lock()
	have := r.connections[catalog]
	r.mu.Unlock()
	if refused != nil || have != nil && have.target != want {
		r.disconnect(catalog)
		have = nil
	}
	if refused != nil {
		return observation{}, refused
	}
	if have == nil {
		server, err := r.options.Dial(want.address)
		if err != nil {
			return observation{}, invalid(fmt.Sprintf("spec.address %q is not a host and port: %v", want.address, err))
		}
		have = r.connect(ctx, catalog, want, server)
	}
	return have.observe(), nil
}

func (r *Reconciler) connect(ctx context.Context, catalog types.NamespacedName, want target, server Server) *connection {
	c := &connection{
		catalog: catalog, target: want, server: server, snapshots: r.options.Snapshots, clock: r.options.Clock, reading: r.reading,
		seen: observation{address: want.address},
	}
	if s, err := r.options.Snapshots.Open(ctx, catalog); err == nil {
		s.Close()
		c.seen.snapshot = true
	}
	c.changed = func() {
		r.mu.Lock()
		enqueue := r.enqueue
		r.unpruned = true
		r.mu.Unlock()
		enqueue(catalog)
	}
	r.mu.Lock()
	r.connections[catalog] = c
	life := r.ctx
	r.mu.Unlock()
	c.start(ctrl.LoggerInto(life, ctrl.LoggerFrom(ctx)))
	return c
}

func (r *Reconciler) disconnect(catalog types.NamespacedName) {
	r.mu.Lock()
	c := r.connections[catalog]
	delete(r.connections, catalog)
	r.mu.Unlock()
	if c != nil {
		c.stop()
	}
}

// writeStatus patches the status of a catalog if it differs.
func (r *Reconciler) writeStatus(ctx context.Context, cs *v1alpha1.CatalogSource, next v1alpha1.CatalogSourceStatus) error {
	if equality.Semantic.DeepEqual(cs.Status, next) {
		return nil
	}
	before := cs.DeepCopy()
	cs.Status = next
	patch, err := client.MergeFrom(before).Data(cs)
	if err != nil {
		return err
	}
	target := NewObject()
	target.SetNamespace(cs.Namespace)
	target.SetName(cs.Name)
	err = r.options.Client.Status().Patch(ctx, target, client.RawPatch(types.MergePatchType, patch))
	return client.IgnoreNotFound(err)
}
