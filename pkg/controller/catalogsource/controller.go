// Package catalogsource connects to the servers of CatalogSources and keeps the
// last good content of each as a snapshot. It serves no content itself. While
// a server is healthy nothing is polled and nothing is written.
package catalogsource

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
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
	Live      client.Reader // reads what is not cached
	Snapshots *snapshot.Cache
	Hosting   Hosting
	// Dial returns a server without waiting for the connection. The authority
	// names the catalog on a server of many; it is empty for others.
	Dial func(address, authority string) (Server, error)
	// KubeVersion returns the version of the cluster, such as "v1.36.3".
	KubeVersion func() (string, error)
	Clock       clock.WithTicker // the real one if nil
}

// OptionsFor returns Options that use mgr.
func OptionsFor(mgr ctrl.Manager, snapshots *snapshot.Cache, dial func(address, authority string) (Server, error)) (Options, error) {
	server, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return Options{}, err
	}
	return Options{
		Client: mgr.GetClient(), Cached: mgr.GetCache(), Live: mgr.GetAPIReader(), Snapshots: snapshots, Dial: dial,
		KubeVersion: func() (string, error) {
			info, err := server.ServerVersion()
			if err != nil {
				return "", err
			}
			return info.GitVersion, nil
		},
	}, nil
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
// its spec or its Service changed, when it went, and when its connection has news.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		r.Stop()
		return nil
	})); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("catalogsource").
		For(NewObject(), builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Owns(&corev1.Service{}, builder.MatchEveryOwner, builder.WithPredicates(predicate.NewPredicateFuncs(isCatalogService))).
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
	var v view
	changed, err := r.followTemplate(ctx, cs, &v)
	if err != nil || changed {
		return reconcile.Result{}, err // what was changed comes back as an event
	}
	v.observation, v.refused = r.observe(ctx, cs)
	if err := r.shape(ctx, cs, &v); err != nil {
		return reconcile.Result{}, err
	}
	if err := r.writeStatus(ctx, cs, nextStatus(cs, v, r.options.Clock.Now())); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: v.again()}, r.prune(ctx)
}

func isCatalogService(object client.Object) bool { return object.GetLabels()[labelCatalog] != "" }

// followTemplate makes spec.image what the template of a catalog says for this
// version of the cluster. changed reports that it was something else; then the
// catalog is not the one that was read any more.
func (r *Reconciler) followTemplate(ctx context.Context, cs *v1alpha1.CatalogSource, v *view) (changed bool, err error) {
	template := cs.Annotations[annotationTemplate]
	if template == "" {
		return false, nil
	}
	version, err := r.options.KubeVersion()
	if err != nil {
		return false, fmt.Errorf("ask for the version of the cluster: %w", err)
	}
	got := resolveTemplate(template, version)
	v.template = &got
	if got.ok() && got.image != cs.Spec.Image {
		return true, r.writeImage(ctx, cs, got.image)
	}
	return false, nil
}

func (r *Reconciler) writeImage(ctx context.Context, cs *v1alpha1.CatalogSource, image string) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"image": image}})
	if err != nil {
		return err
	}
	target := NewObject()
	target.SetNamespace(cs.Namespace)
	target.SetName(cs.Name)
	ctrl.LoggerFrom(ctx).Info("the image of a catalog follows its template", "image", image)
	err = r.options.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch))
	return client.IgnoreNotFound(err)
}

// shape makes the Service of a catalog, or removes it, and looks at the
// ConfigMap that it is made from.
func (r *Reconciler) shape(ctx context.Context, cs *v1alpha1.CatalogSource, v *view) error {
	if !v.hosted {
		return r.removeService(ctx, cs)
	}
	var err error
	if v.foreign, err = r.ensureService(ctx, cs); err != nil {
		return err
	}
	if cs.Spec.SourceType == v1alpha1.SourceTypeGrpc {
		return nil
	}
	from := &metav1.PartialObjectMetadata{}
	from.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	err = r.options.Live.Get(ctx, types.NamespacedName{Namespace: cs.Namespace, Name: cs.Spec.ConfigMap}, from)
	if apierrors.IsNotFound(err) {
		v.absent = &refusal{v1alpha1.CatalogSourceConfigMapError, fmt.Sprintf("failed to get catalog config map %s: %v", cs.Spec.ConfigMap, err)}
		return nil
	}
	v.from = from
	return err
}

// observe returns what the connection of a catalog knows, making or replacing
// the connection if the spec asks for another one.
func (r *Reconciler) observe(ctx context.Context, cs *v1alpha1.CatalogSource) (observation, *refusal) {
	catalog := client.ObjectKeyFromObject(cs)
	want, refused := targetOf(cs, r.options.Hosting.Address)
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
		server, err := r.options.Dial(want.address, want.authority)
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
		seen: observation{address: want.address, shown: want.shown(), hosted: want.hosted()},
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
