package installplan

import (
	"context"
	"errors"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/installplan/drift"
	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/render"
)

// ReasonCauseGone says that a failed plan is tried again.
const ReasonCauseGone v1alpha1.InstallPlanConditionReason = "CauseGone"

// failedIndex finds failed plans, all under one key.
const (
	failedIndex = "installplan.failed"
	failedKey   = "true"
)

func isFailed(obj client.Object) []string {
	if plan, ok := obj.(*v1alpha1.InstallPlan); ok && plan.Status.Phase == v1alpha1.InstallPlanPhaseFailed {
		return []string{failedKey}
	}
	return nil
}

// rightsKinds are what grants rights to a ServiceAccount.
func rightsKinds() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
		rbacv1.SchemeGroupVersion.WithKind("Role"), rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
		rbacv1.SchemeGroupVersion.WithKind("ClusterRole"), rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"),
	}
}

// watchCauses wakes failed plans when an API, a ClusterServiceVersion or a
// catalog changes that they may have failed for. Causes of other kinds are
// watched from the moment that a plan has one, see package cause.
func (r *Reconciler) watchCauses(b *builder.Builder) *builder.Builder {
	comesOrGoes := builder.WithPredicates(predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }})
	catalog := &unstructured.Unstructured{}
	catalog.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.CatalogSourceKind))
	return b.
		Watches(&apiregistrationv1.APIService{}, r.suspecting(func(obj client.Object, plan *v1alpha1.InstallPlan) bool {
			api, ok := obj.(*apiregistrationv1.APIService)
			return ok && hasStep(plan, func(res v1alpha1.StepResource) bool {
				return res.Group == api.Spec.Group && res.Version == api.Spec.Version
			})
		})).
		Watches(&apiextensionsv1.CustomResourceDefinition{}, r.suspecting(func(obj client.Object, plan *v1alpha1.InstallPlan) bool {
			crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
			return ok && hasStep(plan, func(res v1alpha1.StepResource) bool {
				return res.Kind == render.KindCRD && res.Name == crd.Name || res.Kind == crd.Spec.Names.Kind && res.Group == crd.Spec.Group
			})
		})).
		Watches(&v1alpha1.ClusterServiceVersion{}, r.suspecting(inNamespace), comesOrGoes).
		Watches(catalog, r.suspecting(func(obj client.Object, plan *v1alpha1.InstallPlan) bool {
			gone := plan.Status.GetCondition(v1alpha1.InstallPlanInstalled).Reason == ReasonContentChanged
			return gone && slices.Contains(plan.Status.CatalogSources, obj.GetName())
		}))
}

func inNamespace(obj client.Object, plan *v1alpha1.InstallPlan) bool {
	return plan.Namespace == obj.GetNamespace()
}

func hasStep(plan *v1alpha1.InstallPlan, match func(v1alpha1.StepResource) bool) bool {
	return slices.ContainsFunc(plan.Status.Plan, func(st *v1alpha1.Step) bool { return match(st.Resource) })
}

// suspecting returns a handler that has the failed plans looked at which an
// object may concern.
func (r *Reconciler) suspecting(concerns func(client.Object, *v1alpha1.InstallPlan) bool) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []reconcile.Request {
		plans := &v1alpha1.InstallPlanList{}
		if err := r.o.Client.List(ctx, plans, client.MatchingFields{failedIndex: failedKey}, client.UnsafeDisableDeepCopy); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "cannot list failed plans")
			return nil
		}
		var requests []reconcile.Request
		for i := range plans.Items {
			if concerns(obj, &plans.Items[i]) {
				key := client.ObjectKeyFromObject(&plans.Items[i])
				r.causes.Suspect(key)
				requests = append(requests, reconcile.Request{NamespacedName: key})
			}
		}
		return requests
	})
}

// reconsider looks whether a failed plan could go on now, without writing
// anything else than that it does.
func (r *Reconciler) reconsider(ctx context.Context, plan *v1alpha1.InstallPlan) (ctrl.Result, error) {
	key, self := client.ObjectKeyFromObject(plan), drift.Object{Kind: v1alpha1.InstallPlanKind, Name: plan.Name}
	now, again := r.causes.Take(key)
	if !now && r.wounds.Visited(plan.UID) {
		return ctrl.Result{}, nil
	}
	current, err := r.isCurrent(ctx, plan)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !current {
		r.causes.Forget(ctx, key)
		return ctrl.Result{}, nil
	}
	if rest := r.wounds.Rest(key, self); rest > 0 {
		r.causes.Suspect(key)
		return ctrl.Result{RequeueAfter: rest}, nil
	}
	s := &scope{plan: plan.DeepCopy(), uids: map[string]types.UID{}, bringers: map[string]operator{}}
	_, err = step.Run(ctx, s,
		step.Step[scope]{Name: "check namespace", Run: r.checkNamespace},
		step.Step[scope]{Name: "check group", Run: r.checkGroup},
		step.Step[scope]{Name: "load", Run: r.load},
		step.Step[scope]{Name: "preflight", Run: r.preflight},
		step.Step[scope]{Name: "look", Run: r.look},
		step.Step[scope]{Name: "try", Run: r.try},
	)
	r.wounds.Visit(plan.UID)
	if s.leaving {
		return ctrl.Result{}, nil
	}
	if err != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("still failed", "reason", err.Error())
		result, err := r.stillFailed(key, s, err)
		if again && result.IsZero() {
			result.RequeueAfter = waitingRetry
		}
		return result, err
	}
	r.causes.Forget(ctx, key)
	r.wounds.Mend(key, self)
	return ctrl.Result{}, r.revive(ctx, plan)
}

// stillFailed waits for what keeps a plan from going on.
func (r *Reconciler) stillFailed(key types.NamespacedName, s *scope, err error) (ctrl.Result, error) {
	if failure.KindOf(err) == failure.Waiting || failure.KindOf(err) == failure.Internal {
		r.causes.Suspect(key)
		return ctrl.Result{RequeueAfter: curableRetry}, nil
	}
	if failure.KindOf(err) == failure.NotFound && hasStep(s.plan, func(res v1alpha1.StepResource) bool { return res.Kind == render.KindSecret }) {
		s.awaits(corev1.SchemeGroupVersion.WithKind(render.KindSecret))
	}
	return ctrl.Result{}, r.causes.Await(key, s.causes...)
}

// isCurrent reports whether a plan is still what its Subscriptions refer to. A
// plan that somebody made by hand has none.
func (r *Reconciler) isCurrent(ctx context.Context, plan *v1alpha1.InstallPlan) (bool, error) {
	owned := false
	for _, ref := range plan.OwnerReferences {
		if ref.Kind != v1alpha1.SubscriptionKind {
			continue
		}
		owned = true
		sub := &v1alpha1.Subscription{}
		err := r.o.Client.Get(ctx, client.ObjectKey{Namespace: plan.Namespace, Name: ref.Name}, sub)
		if client.IgnoreNotFound(err) != nil {
			return false, err
		}
		if err == nil && sub.Status.InstallPlanRef != nil && sub.Status.InstallPlanRef.Name == plan.Name {
			return true, nil
		}
	}
	return !owned, nil
}

// look observes all steps as far as that is possible without writing.
func (r *Reconciler) look(ctx context.Context, s *scope) (step.Outcome, error) {
	for {
		switch action := install.Next(s.steps, s.seen); action.Kind {
		case install.Observe:
			if err := r.observe(ctx, s, action.Steps); err != nil {
				return step.Stop(), err
			}
		case install.Refuse:
			return step.Stop(), &verdict{reason: ReasonRefused, err: action.Reason}
		default:
			return step.Continue(), nil
		}
	}
}

// try asks the API server about the objects that it rejected, of those that the
// plan would write next.
func (r *Reconciler) try(ctx context.Context, s *scope) (step.Outcome, error) {
	for i, st := range s.plan.Status.Plan {
		state := s.seen.States[i]
		if st.Status != v1alpha1.StepStatusNotCreated || state != install.Absent && state != install.Different {
			continue
		}
		it := &s.items[i]
		var err error
		if it.manifest.Kind == render.KindCRD {
			err = r.tryCRD(ctx, it)
		} else {
			err = s.scoped.Try(ctx, it.desired)
		}
		if err != nil {
			s.awaits(it.manifest.GroupVersionKind())
			return step.Stop(), err
		}
	}
	return step.Continue(), nil
}

func (r *Reconciler) tryCRD(ctx context.Context, it *item) error {
	desired, err := render.CRD(it.manifest)
	if err != nil {
		return err
	}
	if err := r.o.Cluster.TryCRD(ctx, desired); !apierrors.IsAlreadyExists(errors.Unwrap(err)) {
		return err
	}
	return nil
}

// awaits notes a kind whose objects keep the plan from going on. Those that are
// watched anyway are left out.
func (s *scope) awaits(gvk schema.GroupVersionKind) {
	if gvk.Kind == render.KindCSV || gvk.Kind == render.KindCRD {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.causes, gvk) {
		s.causes = append(s.causes, gvk)
	}
}

// revive makes a plan be tried again.
func (r *Reconciler) revive(ctx context.Context, plan *v1alpha1.InstallPlan) error {
	before := plan.DeepCopy()
	was := plan.Status.Message
	now := metav1.NewTime(r.o.Clock.Now())
	plan.Status.Phase, plan.Status.StartTime = v1alpha1.InstallPlanPhaseInstalling, &now
	plan.Status.Message = "tried again, because what it failed for is gone: " + was
	r.setInstalled(&plan.Status, corev1.ConditionFalse, ReasonCauseGone, plan.Status.Message)
	ctrl.LoggerFrom(ctx).Info("tried again", "failed", was)
	return client.IgnoreNotFound(r.o.Client.Status().Patch(ctx, plan, client.MergeFrom(before)))
}
