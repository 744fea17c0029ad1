// Package installplan makes InstallPlans from decisions and executes them:
// what a plan would break is refused before anything is written, and what was
// applied is found again by looking at the cluster, so that a plan continues
// after a crash. It decides nothing about which bundle is installed.
package installplan

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/installplan/cause"
	"chandler.dev/olm/pkg/controller/installplan/drift"
	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/kube"
	"chandler.dev/olm/pkg/install/render"
	"chandler.dev/olm/pkg/registry"
)

const (
	component = "installplan"
	// DefaultRetryWindow is how long a plan is retried whose errors may be
	// cured by somebody else.
	DefaultRetryWindow = time.Minute
	// workers is how many plans are executed at once.
	workers = 4
	// An error that nobody classified is retried after firstRetry, then twice
	// that, and so on up to lastRetry.
	firstRetry = 500 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Contents finds the manifests that plans refer to: failure.NotFound if they
// are gone or have changed, failure.Waiting if that cannot be told now.
type Contents interface {
	Content(ctx context.Context, ref install.ContentRef) (registry.Content, error)
}

// Options are what a Reconciler works with.
type Options struct {
	Client   client.Client // reads InstallPlans and OperatorGroups, may be cached; writes statuses
	Cluster  *kube.Cluster // reads and writes what plans install, live
	Contents Contents
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	// As returns the cluster with the rights of a ServiceAccount only.
	As func(serviceAccount types.NamespacedName) (*kube.Cluster, error)
	// CatalogNamespace holds the Secrets that plans of v0 copy; empty for none.
	CatalogNamespace string
	RetryWindow      time.Duration // zero means DefaultRetryWindow
	// ConvertDefinitions lets CustomResourceDefinitions of v1beta1 become v1 where
	// that loses nothing. Otherwise bundles with them are refused.
	ConvertDefinitions bool
	Warned             func(n int) // counts warnings of the API server; may be nil
	// Authority is asked before a plan is executed; nil lets every plan be.
	Authority Authority
	// Advisory lets a plan go on that the Authority refuses, with a warning.
	Advisory bool
}

// Reconciler executes InstallPlans.
type Reconciler struct {
	o       Options
	settled settled
	wounds  drift.Wounds
	drift   *drift.Watcher // nil until the reconciler is set up with a manager
	causes  cause.Watcher

	mu     sync.Mutex
	scoped map[types.NamespacedName]*kube.Cluster // by ServiceAccount
}

// New returns a Reconciler.
func New(o Options) *Reconciler {
	if o.RetryWindow == 0 {
		o.RetryWindow = DefaultRetryWindow
	}
	return &Reconciler{o: o, wounds: drift.Wounds{Clock: o.Clock}}
}

// OptionsFor returns Options that use mgr.
func OptionsFor(mgr ctrl.Manager, contents Contents) (Options, error) {
	cfg := kube.HandleWarnings(mgr.GetConfig())
	cluster, err := kube.Connect(cfg, mgr.GetScheme(), mgr.GetRESTMapper())
	if err != nil {
		return Options{}, err
	}
	return Options{
		Client: mgr.GetClient(), Cluster: cluster, Contents: contents,
		Recorder: mgr.GetEventRecorder(component), Clock: clock.RealClock{},
		As: func(sa types.NamespacedName) (*kube.Cluster, error) {
			return kube.Connect(kube.As(cfg, sa), mgr.GetScheme(), mgr.GetRESTMapper())
		},
	}, nil
}

// as returns the cluster with the rights of a ServiceAccount, always the same
// for the same.
func (r *Reconciler) as(sa types.NamespacedName) (*kube.Cluster, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.scoped[sa]; ok {
		return c, nil
	}
	c, err := r.o.As(sa)
	if err != nil {
		return nil, err
	}
	if r.scoped == nil {
		r.scoped = map[types.NamespacedName]*kube.Cluster{}
	}
	r.scoped[sa] = c
	return c, nil
}

// crdIndex finds unfinished plans by the CustomResourceDefinitions that they bring.
const crdIndex = "installplan.crds"

func plannedCRDs(obj client.Object) []string {
	plan, ok := obj.(*v1alpha1.InstallPlan)
	if !ok || plan.Status.Phase != v1alpha1.InstallPlanPhaseInstalling {
		return nil
	}
	var names []string
	for _, s := range plan.Status.Plan {
		if s.Resource.Kind == render.KindCRD {
			names = append(names, s.Resource.Name)
		}
	}
	return names
}

// SetupWithManager starts the reconciler with mgr. A plan is woken by itself,
// by the OperatorGroup of its namespace, without which it cannot run, by the
// CustomResourceDefinitions that it waits for, when somebody changes or deletes
// what it installed, and when what it failed for changes.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	indexer := mgr.GetFieldIndexer()
	if err := errors.Join(
		indexer.IndexField(context.Background(), &v1alpha1.InstallPlan{}, crdIndex, plannedCRDs),
		indexer.IndexField(context.Background(), &v1alpha1.InstallPlan{}, operatorIndex, plannedOperators),
		indexer.IndexField(context.Background(), &v1alpha1.InstallPlan{}, objectIndex, plannedObjects),
		indexer.IndexField(context.Background(), &v1alpha1.InstallPlan{}, failedIndex, isFailed),
	); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named(component).
		For(&v1alpha1.InstallPlan{}).
		Watches(&operatorsv1.OperatorGroup{}, handler.EnqueueRequestsFromMapFunc(r.plansOfNamespace)).
		Watches(&operatorsv1.OperatorGroup{}, r.suspecting(inNamespace)).
		Watches(&apiextensionsv1.CustomResourceDefinition{}, handler.EnqueueRequestsFromMapFunc(r.plansOfCRD)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)})
	c, err := r.watchCauses(r.watchUnmet(b)).Build(reconcile.AsReconciler(mgr.GetClient(), r))
	if err != nil {
		return err
	}
	made, err := drift.NewCache(mgr)
	if err != nil {
		return err
	}
	r.drift = drift.NewWatcher(made, c, r.reported)
	return r.causes.Start(mgr, c)
}

func (r *Reconciler) plansOfNamespace(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.unfinished(ctx, client.InNamespace(obj.GetNamespace()))
}

func (r *Reconciler) plansOfCRD(ctx context.Context, obj client.Object) []reconcile.Request {
	if crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition); ok && !isEstablished(crd) {
		return nil
	}
	return r.unfinished(ctx, client.MatchingFields{crdIndex: obj.GetName()})
}

func (r *Reconciler) unfinished(ctx context.Context, options ...client.ListOption) []reconcile.Request {
	plans := &v1alpha1.InstallPlanList{}
	if err := r.o.Client.List(ctx, plans, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list plans")
		return nil
	}
	var requests []reconcile.Request
	for i := range plans.Items {
		if !isOver(&plans.Items[i]) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&plans.Items[i])})
		}
	}
	return requests
}

func isOver(plan *v1alpha1.InstallPlan) bool {
	return plan.Status.Phase == v1alpha1.InstallPlanPhaseComplete || plan.Status.Phase == v1alpha1.InstallPlanPhaseFailed
}

// scope carries what one reconcile has learnt from step to step.
type scope struct {
	plan     *v1alpha1.InstallPlan
	group    *operatorsv1.OperatorGroup
	scoped   *kube.Cluster // with the rights of the OperatorGroup's ServiceAccount
	items    []item        // by index of status.plan
	bringers map[string]operator
	uids     map[string]types.UID // of ClusterServiceVersions in the namespace
	steps    install.Plan
	alive    answers
	mu       sync.Mutex // guards seen.Refusals and written while steps run side by side
	seen     install.Observation
	done     bool
	leaving  bool                      // the namespace is being deleted
	causes   []schema.GroupVersionKind // of objects that keep it from going on, guarded by mu

	// For a plan that is over.
	living  map[string]bool       // operators, by name
	wounds  map[drift.Object]bool // what to look at
	written []int                 // indexes of items that were changed
}

func (s *scope) wrote(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = append(s.written, i)
}

// Reconcile runs the steps, then writes status once.
func (r *Reconciler) Reconcile(ctx context.Context, plan *v1alpha1.InstallPlan) (ctrl.Result, error) {
	switch {
	case !plan.DeletionTimestamp.IsZero(), len(plan.Status.Plan) == 0:
		r.causes.Forget(ctx, client.ObjectKeyFromObject(plan))
		return ctrl.Result{}, nil
	case plan.Status.Phase == v1alpha1.InstallPlanPhaseFailed:
		return r.reconsider(ctx, plan)
	case plan.Status.Phase == v1alpha1.InstallPlanPhaseComplete:
		return r.heal(ctx, plan)
	}
	before := plan.DeepCopy()
	s := &scope{plan: plan, uids: map[string]types.UID{}, bringers: map[string]operator{}}
	_, err := step.Run(ctx, s,
		step.Step[scope]{Name: "check group", Run: r.checkGroup},
		step.Step[scope]{Name: "approve", Run: r.approve},
		step.Step[scope]{Name: "await", Run: r.await},
		step.Step[scope]{Name: "load", Run: r.load},
		step.Step[scope]{Name: "preflight", Run: r.preflight},
		step.Step[scope]{Name: "authorize", Run: r.authorize},
		step.Step[scope]{Name: "execute", Run: r.execute},
	)
	result, err := r.conclude(ctx, s, err)
	if !equality.Semantic.DeepEqual(before.Status, plan.Status) {
		if err := r.o.Client.Status().Patch(ctx, plan, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, fmt.Errorf("write status: %w", err)
		}
	}
	if isOver(plan) {
		r.collect(ctx, plan)
	}
	return result, err
}

var _ reconcile.ObjectReconciler[*v1alpha1.InstallPlan] = &Reconciler{}

// answers remembers questions that many steps of one reconcile ask.
type answers struct {
	mu    sync.Mutex
	known map[string]bool
}

func (a *answers) ask(name string, find func() (bool, error)) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if answer, ok := a.known[name]; ok {
		return answer, nil
	}
	answer, err := find()
	if err != nil {
		return false, err
	}
	if a.known == nil {
		a.known = map[string]bool{}
	}
	a.known[name] = answer
	return answer, nil
}

// warn tells about something that does not stop the plan.
func (r *Reconciler) warn(plan *v1alpha1.InstallPlan, reason, message string) {
	if r.o.Recorder != nil {
		r.o.Recorder.Eventf(plan, nil, corev1.EventTypeWarning, reason, "Install", "%s", message)
	}
}
