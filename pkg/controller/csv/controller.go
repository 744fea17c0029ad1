// Package csv reconciles ClusterServiceVersions: it observes what one needs and what
// runs for it, lets package phase decide, and acts: Deployments, rights, certificates,
// webhooks, cleanup. It does not install CRDs, ServiceAccounts and roles of a bundle;
// the install plan does. It writes nothing when nothing changed.
package csv

import (
	"context"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/csv/expose"
	"chandler.dev/olm/pkg/controller/csv/phase"
	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/install/kube"
)

const (
	// Finalizer keeps a ClusterServiceVersion until what no owner reference covers is deleted.
	Finalizer = "operators.coreos.com/csv-cleanup"

	workers = 8
	// staleRetry is how long to wait for a watch to deliver what this process wrote.
	staleRetry = 500 * time.Millisecond
)

// VersionReader asks an API server for its version.
type VersionReader interface {
	ServerVersion() (*version.Info, error)
}

// Options are what a Reconciler works with.
type Options struct {
	Client  client.Client // reads from a cache with CacheOptions
	Live    client.Reader // reads from the API server
	Cluster *kube.Cluster // installs what runs for a ClusterServiceVersion
	// As returns the cluster with the rights of a ServiceAccount only.
	As       func(types.NamespacedName) (*kube.Cluster, error)
	Version  VersionReader
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
}

// Reconciler takes one ClusterServiceVersion through its phases.
type Reconciler struct {
	client   client.Client
	live     client.Reader
	scopes   *scopes
	version  *serverVersion
	recorder events.EventRecorder
	clock    clock.PassiveClock
	memory   *memory
	claims   *claims
	exposer  *expose.Exposer
}

// New returns a Reconciler.
func New(o Options) *Reconciler {
	return &Reconciler{
		client: o.Client, live: o.Live, scopes: &scopes{full: o.Cluster, as: o.As}, recorder: o.Recorder, clock: o.Clock,
		version: &serverVersion{reader: o.Version, clock: o.Clock},
		memory:  newMemory(o.Clock),
		claims:  &claims{client: o.Client, live: o.Live},
		exposer: &expose.Exposer{Client: o.Client, Live: o.Live, Full: o.Cluster, Clock: o.Clock},
	}
}

// OptionsFor returns Options that use mgr.
func OptionsFor(mgr ctrl.Manager) (Options, error) {
	server, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return Options{}, err
	}
	cluster, err := kube.Connect(mgr.GetConfig(), mgr.GetScheme(), mgr.GetRESTMapper())
	if err != nil {
		return Options{}, err
	}
	return Options{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Cluster: cluster, As: impersonate(mgr), Version: server,
		Recorder: mgr.GetEventRecorder(component), Clock: clock.RealClock{},
	}, nil
}

// scope carries what one reconcile has learnt from step to step.
type scope struct {
	csv     *v1alpha1.ClusterServiceVersion
	group   membership
	path    []phase.Decision // the transitions of this pass, for events
	failure error            // why the action of the last transition failed
	recheck time.Duration
}

// Reconcile runs the steps, then writes status once.
func (r *Reconciler) Reconcile(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (ctrl.Result, error) {
	if csv.IsCopied() {
		return ctrl.Result{}, nil
	}
	if r.memory.behind(csv, csv) {
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	}
	s := &scope{csv: csv}
	if !csv.DeletionTimestamp.IsZero() {
		outcome, err := step.Run(ctx, s, step.Step[scope]{Name: "clean up", Run: r.cleanUp})
		return result(ctx, outcome, err)
	}
	before := csv.DeepCopy()
	outcome, err := step.Run(ctx, s,
		step.Step[scope]{Name: "join", Run: r.join},
		step.Step[scope]{Name: "advance", Run: r.advance},
	)
	if err != nil {
		return result(ctx, outcome, err)
	}
	if err := r.record(ctx, before, s); err != nil {
		return result(ctx, outcome, err)
	}
	if err := r.maintain(ctx, s); err != nil {
		return result(ctx, outcome, err)
	}
	if s.failure != nil {
		ctrl.LoggerFrom(ctx).Info("the install failed", "reason", s.failure.Error(), "again", s.recheck)
	}
	if s.recheck > 0 {
		return ctrl.Result{RequeueAfter: s.recheck}, nil
	}
	return result(ctx, outcome, nil)
}

// maintain keeps what a Succeeded version has beside its Deployments.
func (r *Reconciler) maintain(ctx context.Context, s *scope) error {
	if s.csv.Status.Phase != v1alpha1.CSVPhaseSucceeded {
		return nil
	}
	if err := r.extendRights(ctx, s.csv, s.group.group); err != nil {
		return err
	}
	return r.openAPIs(ctx, s.csv)
}

var _ reconcile.ObjectReconciler[*v1alpha1.ClusterServiceVersion] = &Reconciler{}
