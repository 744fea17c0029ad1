// Package controller makes ProductionReadyDatabases real: it turns each into
// StatefulSets of etcd members with their Services and settings. It is not the
// member program, which is package member. Each reconcile observes the
// cluster, lets the pure function Next choose one action, and does it.
package controller

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/examples/database/api/v1alpha1"
)

// Finalizer keeps a database object until its members are stopped.
const Finalizer = "database.example.com/members"

// askAgain is how long to wait before members are asked again; changes of
// pods are watched, changes inside etcd are not.
const askAgain = 3 * time.Second

// Release is what a release of the operator brings.
type Release struct {
	Version string // of the operator
	Engine  string // version of etcd that its image contains
	Image   string // what members run
}

// Members asks the etcd members of a database. The first address that answers
// speaks for all.
type Members interface {
	List(ctx context.Context, addresses []string) ([]Member, error)
	Remove(ctx context.Context, addresses []string, id uint64) error
}

// Reconciler reconciles ProductionReadyDatabases.
type Reconciler struct {
	client  client.Client
	events  events.EventRecorder
	members Members // nil when pods are simulated
	release Release
}

// New returns a reconciler. Without members it moves on as soon as pods are
// ready, which is right only where pods are simulated.
func New(c client.Client, recorder events.EventRecorder, members Members, release Release) *Reconciler {
	return &Reconciler{client: c, events: recorder, members: members, release: release}
}

// SetupWithManager registers the reconciler and its watches: a database is
// reconciled when it changes and when one of the objects it owns does.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.ProductionReadyDatabase{}).
		Owns(&appsv1.StatefulSet{}).
		Owns(&corev1.Service{}).
		Owns(&corev1.ConfigMap{}).
		Owns(&policyv1.PodDisruptionBudget{}).
		Complete(reconcile.AsReconciler[*v1alpha1.ProductionReadyDatabase](mgr.GetClient(), r))
}

// Reconcile takes one step with one database.
func (r *Reconciler) Reconcile(ctx context.Context, db *v1alpha1.ProductionReadyDatabase) (ctrl.Result, error) {
	if db.DeletionTimestamp.IsZero() && !controllerutil.ContainsFinalizer(db, Finalizer) {
		return ctrl.Result{}, quiet(r.patchFinalizer(ctx, db, controllerutil.AddFinalizer))
	}
	if !controllerutil.ContainsFinalizer(db, Finalizer) {
		return ctrl.Result{}, nil
	}
	observed, err := r.observe(ctx, db)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("observe: %w", err)
	}
	action := Next(wanted(db, r.release, observed), observed)
	action = r.evict(ctx, db, observed, action)
	if err := r.act(ctx, db, observed, action); err != nil {
		return ctrl.Result{}, quiet(fmt.Errorf("act: %w", err))
	}
	if action.Verb == LetGo {
		return ctrl.Result{}, nil
	}
	if err := r.patchStatus(ctx, db, observed, action); err != nil {
		return ctrl.Result{}, quiet(fmt.Errorf("write status: %w", err))
	}
	if action.Verb == Hold && observed.Attendance != Unasked {
		return ctrl.Result{RequeueAfter: askAgain}, nil
	}
	return ctrl.Result{}, nil
}

func (r *Reconciler) patchFinalizer(
	ctx context.Context, db *v1alpha1.ProductionReadyDatabase, change func(client.Object, string) bool,
) error {
	after := db.DeepCopy()
	if !change(after, Finalizer) {
		return nil
	}
	return r.client.Patch(ctx, after, client.MergeFromWithOptions(db, client.MergeFromWithOptimisticLock{}))
}

func (r *Reconciler) patchStatus(
	ctx context.Context, db *v1alpha1.ProductionReadyDatabase, o Observation, action Action,
) error {
	after := db.DeepCopy()
	after.Status = statusOf(db, r.release, o, action)
	if equality.Semantic.DeepEqual(db.Status, after.Status) {
		return nil
	}
	return r.client.Status().Patch(ctx, after, client.MergeFrom(db))
}

// quiet drops what a watch repeats by itself: somebody else changed the object
// first, or it is gone.
func quiet(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
