// Package copiedcsv copies ClusterServiceVersions into the namespaces that they manage,
// where users without rights to the operator's namespace find them. Copies are seen by
// their metadata only and never kept in memory, so that their number costs none. With
// more namespaces than DefaultLimit, global operators are copied only if the OLMConfig
// asks for it.
package copiedcsv

import (
	"context"
	"slices"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"chandler.dev/olm/pkg/install/kube"
)

const (
	// DefaultLimit is the number of namespaces up to which a global operator is copied
	// although nobody asked for it.
	DefaultLimit = 100

	configName = "cluster" // of the only OLMConfig that counts
	component  = "operator-lifecycle-manager"
	pageSize   = 500
	writers    = 8
	action     = "Copy"
	// reasonDisabled is the reason of the event on a version that is not copied.
	reasonDisabled = "DisabledCopiedCSVs"
)

// Options are what a Reconciler works with.
type Options struct {
	Client   client.Client    // reads from a cache
	Live     client.WithWatch // talks to the API server
	Recorder events.EventRecorder
	// Protected namespaces have copies even if copying is off.
	Protected []string
}

// OptionsFor returns Options that use mgr.
func OptionsFor(mgr ctrl.Manager) (Options, error) {
	live, err := client.NewWithWatch(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	return Options{Client: mgr.GetClient(), Live: live, Recorder: mgr.GetEventRecorder(component)}, err
}

// Reconciler keeps the copies of one ClusterServiceVersion.
type Reconciler struct{ o Options }

// New returns a Reconciler.
func New(o Options) *Reconciler { return &Reconciler{o: o} }

// SetupWithManager registers the controller and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	copies := newFeed(r.o.Live)
	err := ctrl.NewControllerManagedBy(mgr).Named("copiedcsv").
		For(&v1alpha1.ClusterServiceVersion{}).
		// The targets of a group are where its members are copied to.
		Watches(&operatorsv1.OperatorGroup{}, handler.EnqueueRequestsFromMapFunc(r.membersOf)).
		// A global operator is copied to a namespace that appears.
		WatchesMetadata(namespace, handler.EnqueueRequestsFromMapFunc(r.globals)).
		// An administrator turns copies on or off.
		Watches(&operatorsv1.OLMConfig{}, handler.EnqueueRequestsFromMapFunc(r.globals)).
		// At start every copy, so that one without original goes; later, those that somebody deletes.
		WatchesRawSource(source.Func(copies.originals)).
		Complete(r)
	if err != nil {
		return err
	}
	if err := mgr.Add(copies); err != nil {
		return err
	}
	if err := r.setupConfig(mgr); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("copiedcsv-repair").
		WatchesRawSource(source.Func(copies.changed)).
		Complete(reconcile.Func(r.repair))
}

// Reconcile brings the copies of one version to the namespaces that its group targets.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	existing, err := r.copiesOf(ctx, req)
	if err != nil {
		return ctrl.Result{}, err
	}
	csv := &v1alpha1.ClusterServiceVersion{}
	if err := r.o.Client.Get(ctx, req.NamespacedName, csv); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	} else if apierrors.IsNotFound(err) || csv.IsCopied() {
		return ctrl.Result{}, r.remove(ctx, existing)
	}
	reach, err := r.reachOf(ctx, csv)
	if err != nil {
		return ctrl.Result{}, err
	}
	if reach.disabled && copiable(csv) {
		r.o.Recorder.Eventf(csv, nil, corev1.EventTypeWarning, reasonDisabled, action, "CSV copying disabled for %s/%s", csv.Namespace, csv.Name)
	}
	state, wanted := "", reach.namespaces
	switch {
	case copiable(csv):
		if state, err = stateOf(csv); err != nil {
			return ctrl.Result{}, err
		}
	case !keepsCopies(csv):
		wanted = nil
	}
	p := compare(existing, wanted, state)
	if err := r.remove(ctx, p.remove); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.write(ctx, csv, p.write, state)
}

// copiesOf returns the metadata of the copies of a version.
func (r *Reconciler) copiesOf(ctx context.Context, req ctrl.Request) ([]metav1.PartialObjectMetadata, error) {
	var all []metav1.PartialObjectMetadata
	list := newMetadataList()
	for {
		err := r.o.Live.List(ctx, list, client.MatchingLabels{v1alpha1.CopiedLabelKey: req.Namespace},
			client.MatchingFields{"metadata.name": req.Name}, client.Limit(pageSize), client.Continue(list.Continue))
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			list.Items[i].ManagedFields = nil
		}
		all = append(all, list.Items...)
		if list.Continue == "" {
			return all, nil
		}
	}
}

// reach is where a version is to be copied to.
type reach struct {
	namespaces []string // other than its own
	global     bool     // its group targets all namespaces
	disabled   bool     // it is global and global versions are not copied
}

func (r *Reconciler) reachOf(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (reach, error) {
	groups := &operatorsv1.OperatorGroupList{}
	if err := r.o.Client.List(ctx, groups, client.InNamespace(csv.Namespace), client.UnsafeDisableDeepCopy); err != nil || len(groups.Items) != 1 {
		return reach{}, err
	}
	targets := groups.Items[0].Status.Namespaces
	existing, err := r.namespaces(ctx)
	if err != nil {
		return reach{}, err
	}
	others := keep(existing, func(name string) bool { return name != csv.Namespace })
	if !slices.Contains(targets, metav1.NamespaceAll) {
		return reach{namespaces: keep(others, func(name string) bool { return slices.Contains(targets, name) })}, nil
	}
	disabled, err := r.disabled(ctx, len(existing))
	if disabled {
		others = keep(others, func(name string) bool { return slices.Contains(r.o.Protected, name) })
	}
	return reach{namespaces: others, global: true, disabled: disabled}, err
}

// disabled tells whether global operators are not copied: as the OLMConfig says, and if
// it says nothing, in clusters with many namespaces.
func (r *Reconciler) disabled(ctx context.Context, namespaces int) (bool, error) {
	cfg := &operatorsv1.OLMConfig{}
	if err := r.o.Client.Get(ctx, client.ObjectKey{Name: configName}, cfg); client.IgnoreNotFound(err) != nil {
		return false, err
	}
	var choice *bool
	if cfg.Spec.Features != nil {
		choice = cfg.Spec.Features.DisableCopiedCSVs
	}
	return ptr.Deref(choice, namespaces > DefaultLimit), nil
}

// namespaces returns the names of the namespaces that are not being deleted.
func (r *Reconciler) namespaces(ctx context.Context) ([]string, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := r.o.Client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp.IsZero() {
			names = append(names, list.Items[i].Name)
		}
	}
	return names, nil
}

func keep(names []string, match func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !match(name) })
}

func (r *Reconciler) remove(ctx context.Context, copies []metav1.PartialObjectMetadata) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(writers)
	for i := range copies {
		copied := &copies[i]
		copied.SetGroupVersionKind(csvKind)
		tasks.Go(func() error { return client.IgnoreNotFound(r.o.Live.Delete(ctx, copied)) })
	}
	return tasks.Wait()
}

// write makes or updates the copies in namespaces. The cache has no complete original;
// it is read once for all.
func (r *Reconciler) write(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, namespaces []string, state string) error {
	if len(namespaces) == 0 {
		return nil
	}
	full := &v1alpha1.ClusterServiceVersion{}
	if err := r.o.Live.Get(ctx, client.ObjectKeyFromObject(csv), full); err != nil {
		return client.IgnoreNotFound(err)
	}
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(writers)
	for _, namespace := range namespaces {
		tasks.Go(func() error { return r.put(ctx, copyOf(full, namespace, state)) })
	}
	return tasks.Wait()
}

// put makes a copy exist as wanted. What disappears meanwhile, or a namespace on its way
// out, is left to the next event.
func (r *Reconciler) put(ctx context.Context, wanted *v1alpha1.ClusterServiceVersion) error {
	have := wanted.DeepCopy()
	err := r.o.Live.Create(ctx, have, client.FieldOwner(kube.FieldManager))
	switch {
	case apierrors.IsAlreadyExists(err):
		err = r.o.Live.Get(ctx, client.ObjectKeyFromObject(wanted), have)
	case apierrors.IsForbidden(err) && apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	}
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if have.Labels[v1alpha1.CopiedLabelKey] == "" {
		return nil // somebody installed the same version there
	}
	object, status := conform(have, wanted)
	if object {
		if err := r.o.Live.Update(ctx, have, client.FieldOwner(kube.FieldManager)); err != nil {
			return client.IgnoreNotFound(err)
		}
		have.Status, status = wanted.Status, true
	}
	if status {
		return client.IgnoreNotFound(r.o.Live.Status().Update(ctx, have, client.FieldOwner(kube.FieldManager)))
	}
	return nil
}

// repair compares one copy that was written with its original.
func (r *Reconciler) repair(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	have := &v1alpha1.ClusterServiceVersion{}
	if err := r.o.Live.Get(ctx, req.NamespacedName, have); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	from := have.Labels[v1alpha1.CopiedLabelKey]
	if from == "" {
		return ctrl.Result{}, nil
	}
	csv := &v1alpha1.ClusterServiceVersion{}
	if err := r.o.Live.Get(ctx, client.ObjectKey{Namespace: from, Name: req.Name}, csv); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	} else if err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(r.o.Live.Delete(ctx, have))
	}
	state, err := stateOf(csv)
	if err != nil || !copiable(csv) || have.Annotations[annotationSource] != state {
		return ctrl.Result{}, err // the original is the one to be looked at, and it will be
	}
	return ctrl.Result{}, r.put(ctx, copyOf(csv, req.Namespace, state))
}

func (r *Reconciler) membersOf(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.versions(ctx, obj.GetNamespace())
}

// globals returns the versions in the namespaces of groups that select by something else
// than names.
func (r *Reconciler) globals(ctx context.Context, _ client.Object) []reconcile.Request {
	groups := &operatorsv1.OperatorGroupList{}
	if err := r.o.Client.List(ctx, groups, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list OperatorGroups")
		return nil
	}
	var requests []reconcile.Request
	for i := range groups.Items {
		requests = append(requests, r.versions(ctx, groups.Items[i].Namespace)...)
	}
	return requests
}

func (r *Reconciler) versions(ctx context.Context, namespace string) []reconcile.Request {
	list := &v1alpha1.ClusterServiceVersionList{}
	if err := r.o.Client.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list ClusterServiceVersions")
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

var csvKind = v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.ClusterServiceVersionKind)

func newMetadataList() *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(csvKind.GroupVersion().WithKind(csvKind.Kind + "List"))
	return list
}
