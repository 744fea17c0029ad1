// Package operatorcondition gives every ClusterServiceVersion an OperatorCondition, by
// which its operator tells whether it can be upgraded, and the operator the right to
// write it. What operators and administrators write there is theirs; package csv reads it.
package operatorcondition

import (
	"context"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/install/kube"
)

// Options are what a Reconciler works with.
type Options struct {
	Client  client.Client // reads from a cache
	Cluster *kube.Cluster
	Clock   clock.PassiveClock
}

// OptionsFor returns Options that use mgr.
func OptionsFor(mgr ctrl.Manager) (Options, error) {
	cluster, err := kube.Connect(mgr.GetConfig(), mgr.GetScheme(), mgr.GetRESTMapper())
	return Options{Client: mgr.GetClient(), Cluster: cluster, Clock: clock.RealClock{}}, err
}

// Reconciler keeps the OperatorCondition of one ClusterServiceVersion.
type Reconciler struct {
	client  client.Client
	cluster *kube.Cluster
	clock   clock.PassiveClock
}

// New returns a Reconciler.
func New(o Options) *Reconciler {
	return &Reconciler{client: o.Client, cluster: o.Cluster, clock: o.Clock}
}

// SetupWithManager registers the controller and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("operatorcondition").
		For(&v1alpha1.ClusterServiceVersion{}).
		// What the operator reports, and what somebody changed or deleted.
		Owns(&operatorsv2.OperatorCondition{}).
		// A right that somebody took away. The names are those of the version.
		Watches(&rbacv1.Role{}, ofCondition()).
		Watches(&rbacv1.RoleBinding{}, ofCondition()).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// scope carries what one reconcile has learnt from step to step.
type scope struct {
	csv       *v1alpha1.ClusterServiceVersion
	condition *operatorsv2.OperatorCondition
}

// Reconcile keeps the OperatorCondition, the rights to it, and its status.
func (r *Reconciler) Reconcile(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (ctrl.Result, error) {
	if csv.IsCopied() || !csv.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	outcome, err := step.Run(ctx, &scope{csv: csv},
		step.Step[scope]{Name: "keep condition", Run: r.keep},
		step.Step[scope]{Name: "grant", Run: r.grant},
		step.Step[scope]{Name: "report", Run: r.report},
	)
	return step.Result(ctx, outcome, err)
}

// keep makes the OperatorCondition have the owner, Deployments and ServiceAccounts of
// the version.
func (r *Reconciler) keep(ctx context.Context, s *scope) (step.Outcome, error) {
	wanted := conditionOf(s.csv)
	have := &operatorsv2.OperatorCondition{}
	err := r.client.Get(ctx, client.ObjectKeyFromObject(wanted), have)
	if client.IgnoreNotFound(err) != nil {
		return step.Stop(), err
	}
	s.condition = have
	if err == nil && sameCondition(wanted, have) {
		return step.Continue(), nil
	}
	_, err = r.cluster.Ensure(ctx, wanted)
	return step.Stop(), err // the watch goes on with what the API server has
}

func sameCondition(wanted, have *operatorsv2.OperatorCondition) bool {
	return equality.Semantic.DeepEqual(wanted.Spec.Deployments, have.Spec.Deployments) &&
		equality.Semantic.DeepEqual(wanted.Spec.ServiceAccounts, have.Spec.ServiceAccounts) &&
		equality.Semantic.DeepEqual(wanted.OwnerReferences, have.OwnerReferences)
}

// grant lets the ServiceAccounts of the version write its OperatorCondition.
func (r *Reconciler) grant(ctx context.Context, s *scope) (step.Outcome, error) {
	role, binding := roleFor(s.condition), bindingFor(s.condition)
	haveRole, haveBinding := &rbacv1.Role{}, &rbacv1.RoleBinding{}
	err := r.client.Get(ctx, client.ObjectKeyFromObject(role), haveRole)
	if client.IgnoreNotFound(err) != nil {
		return step.Stop(), err
	}
	if !equality.Semantic.DeepEqual(role.Rules, haveRole.Rules) {
		if _, err := r.cluster.Ensure(ctx, role); err != nil {
			return step.Stop(), err
		}
	}
	err = r.client.Get(ctx, client.ObjectKeyFromObject(binding), haveBinding)
	if client.IgnoreNotFound(err) != nil {
		return step.Stop(), err
	}
	if !equality.Semantic.DeepEqual(binding.Subjects, haveBinding.Subjects) || binding.RoleRef != haveBinding.RoleRef {
		if _, err := r.cluster.Ensure(ctx, binding); err != nil {
			return step.Stop(), err
		}
	}
	return step.Continue(), nil
}

// report copies what the operator says into the status, with the generation that it was
// read from, so that a reader can tell an outdated report.
func (r *Reconciler) report(ctx context.Context, s *scope) (step.Outcome, error) {
	before := s.condition.DeepCopy()
	changed := false
	for _, said := range s.condition.Spec.Conditions {
		known := meta.FindStatusCondition(s.condition.Status.Conditions, said.Type)
		if known != nil && known.Status == said.Status && known.ObservedGeneration == s.condition.Generation {
			continue
		}
		said.ObservedGeneration = s.condition.Generation
		if said.LastTransitionTime.IsZero() {
			said.LastTransitionTime.Time = r.clock.Now()
		}
		meta.SetStatusCondition(&s.condition.Status.Conditions, said)
		changed = true
	}
	if !changed {
		return step.Stop(), nil
	}
	return step.Stop(), client.IgnoreNotFound(r.client.Status().Patch(ctx, s.condition, client.MergeFrom(before)))
}
