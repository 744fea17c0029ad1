// Package operatorgroup reconciles OperatorGroups: which namespaces a group targets, who
// may use the APIs of its operators, and which namespaces carry its label. Membership of
// ClusterServiceVersions is the work of package csv; this package writes none of them.
package operatorgroup

import (
	"context"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/install/render"
)

// kind is the owner kind in the labels of generated ClusterRoles.
const kind = operatorsv1.OperatorGroupKind

// Options are what the reconcilers of this package work with.
type Options struct {
	Client client.Client // reads from a cache
	Live   client.Reader // reads from the API server
	Clock  clock.PassiveClock
}

// OptionsFor returns Options that use mgr.
func OptionsFor(mgr ctrl.Manager) Options {
	return Options{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: clock.RealClock{}}
}

// Reconciler keeps one OperatorGroup up to date.
type Reconciler struct {
	client client.Client
	live   client.Reader
	clock  clock.PassiveClock
}

// New returns a Reconciler.
func New(o Options) *Reconciler {
	return &Reconciler{client: o.Client, live: o.Live, clock: o.Clock}
}

// SetupWithManager registers the controllers for groups and for the labels of
// namespaces, and their watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	err := ctrl.NewControllerManagedBy(mgr).
		For(&operatorsv1.OperatorGroup{}).
		// A second group in a namespace changes the conditions of the first.
		Watches(&operatorsv1.OperatorGroup{}, handler.EnqueueRequestsFromMapFunc(r.neighboursOf)).
		// A namespace that appears, disappears or changes its labels may be selected.
		WatchesMetadata(namespace, handler.EnqueueRequestsFromMapFunc(r.selecting)).
		// The APIs of the members are those that the group provides.
		Watches(&v1alpha1.ClusterServiceVersion{}, handler.EnqueueRequestsFromMapFunc(r.groupsOf)).
		// A generated ClusterRole that was changed is put right; one whose group is gone is deleted.
		Watches(&rbacv1.ClusterRole{}, handler.EnqueueRequestsFromMapFunc(ownerOf)).
		// The ServiceAccount that installs for the group appears or disappears.
		Watches(&corev1.ServiceAccount{}, handler.EnqueueRequestsFromMapFunc(r.groupsOf)).
		Complete(r)
	if err != nil {
		return err
	}
	return newLabeler(r.client).setupWithManager(mgr)
}

// scope carries what one reconcile has learnt from step to step.
type scope struct {
	group   *operatorsv1.OperatorGroup
	failure error // what the author of the group has to cure
}

// Reconcile runs the steps, then writes status once.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	group := &operatorsv1.OperatorGroup{}
	if err := r.client.Get(ctx, req.NamespacedName, group); apierrors.IsNotFound(err) {
		return ctrl.Result{}, r.forget(ctx, req)
	} else if err != nil {
		return ctrl.Result{}, err
	}
	if !group.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before, s := group.DeepCopy(), &scope{group: group}
	outcome, err := step.Run(ctx, s,
		step.Step[scope]{Name: "count groups", Run: r.count},
		step.Step[scope]{Name: "select namespaces", Run: r.target},
		step.Step[scope]{Name: "find service account", Run: r.findServiceAccount},
	)
	if err != nil {
		return step.Result(ctx, outcome, err)
	}
	if err := r.patchStatus(ctx, before, group); err != nil {
		return step.Result(ctx, outcome, err)
	}
	outcome, err = step.Run(ctx, s,
		step.Step[scope]{Name: "prune APIs", Run: r.prune},
		step.Step[scope]{Name: "aggregate roles", Run: r.aggregate},
	)
	if err == nil {
		err = s.failure
	}
	return step.Result(ctx, outcome, err)
}

// patchStatus writes the status if it changed. lastUpdated is part of the first status
// even if nothing is selected: the API requires it, and members wait for it.
func (r *Reconciler) patchStatus(ctx context.Context, before, group *operatorsv1.OperatorGroup) error {
	if !before.Status.LastUpdated.IsZero() && equality.Semantic.DeepEqual(before.Status, group.Status) {
		return nil
	}
	now := metav1.NewTime(r.clock.Now())
	group.Status.LastUpdated = &now
	return client.IgnoreNotFound(r.client.Status().Patch(ctx, group, client.MergeFrom(before)))
}

// neighboursOf returns the other groups in the namespace of obj.
func (r *Reconciler) neighboursOf(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.selectGroups(ctx, obj.GetNamespace(), func(group *operatorsv1.OperatorGroup) bool { return group.Name != obj.GetName() })
}

// groupsOf returns the groups in the namespace of obj.
func (r *Reconciler) groupsOf(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.selectGroups(ctx, obj.GetNamespace(), func(*operatorsv1.OperatorGroup) bool { return true })
}

// selecting returns the groups that choose namespaces by labels.
func (r *Reconciler) selecting(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.selectGroups(ctx, "", selects)
}

func (r *Reconciler) selectGroups(ctx context.Context, namespace string, match func(*operatorsv1.OperatorGroup) bool) []reconcile.Request {
	groups := &operatorsv1.OperatorGroupList{}
	if err := r.client.List(ctx, groups, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list OperatorGroups")
		return nil
	}
	var requests []reconcile.Request
	for i := range groups.Items {
		if group := &groups.Items[i]; match(group) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(group)})
		}
	}
	return requests
}

// ownerOf returns the group that a generated ClusterRole belongs to.
func ownerOf(_ context.Context, obj client.Object) []reconcile.Request {
	labels := obj.GetLabels()
	if labels[render.LabelOwnerKind] != kind {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: labels[render.LabelOwnerNamespace], Name: labels[render.LabelOwner]}}}
}
