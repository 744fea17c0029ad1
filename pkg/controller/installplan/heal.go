package installplan

import (
	"context"
	"slices"
	"sync"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/render"
)

// operatorIndex finds complete plans by "<namespace>/<ClusterServiceVersion>".
const operatorIndex = "installplan.operators"

func plannedOperators(obj client.Object) []string {
	plan, ok := obj.(*v1alpha1.InstallPlan)
	if !ok || plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		return nil
	}
	names := make([]string, 0, len(plan.Spec.ClusterServiceVersionNames))
	for _, name := range plan.Spec.ClusterServiceVersionNames {
		names = append(names, plan.Namespace+"/"+name)
	}
	return names
}

// wounded are the complete plans of which something is missing. After a
// restart the ClusterServiceVersions tell again.
type wounded struct {
	mu    sync.Mutex
	plans map[types.NamespacedName]bool
}

func (w *wounded) add(plan types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.plans == nil {
		w.plans = map[types.NamespacedName]bool{}
	}
	w.plans[plan] = true
}

// take reports whether a plan was added, and forgets it.
func (w *wounded) take(plan types.NamespacedName) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer delete(w.plans, plan)
	return w.plans[plan]
}

// watchHealth wakes complete plans when something that they installed was
// deleted, or when the requirements of their operator are no longer met.
func (r *Reconciler) watchHealth(b *builder.Builder) *builder.Builder {
	deleted := handler.Funcs{DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		for _, owner := range ownersOf(e.Object) {
			r.wound(ctx, owner, q)
		}
	}}
	for _, kind := range []client.Object{
		&corev1.ServiceAccount{}, &rbacv1.Role{}, &rbacv1.RoleBinding{}, &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleBinding{}, &apiextensionsv1.CustomResourceDefinition{},
	} {
		b = b.Watches(kind, deleted)
	}
	unmet := func(ctx context.Context, obj client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		csv, ok := obj.(*v1alpha1.ClusterServiceVersion)
		if ok && csv.Status.Reason == v1alpha1.CSVReasonRequirementsNotMet && !csv.IsCopied() {
			r.wound(ctx, csv.Namespace+"/"+csv.Name, q)
		}
	}
	return b.Watches(&v1alpha1.ClusterServiceVersion{}, handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			unmet(ctx, e.Object, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			unmet(ctx, e.ObjectNew, q)
		},
	})
}

// ownersOf returns the ClusterServiceVersions that an object belongs to, as
// "<namespace>/<name>": by reference, by labels, or because they brought a
// CustomResourceDefinition.
func ownersOf(obj client.Object) []string {
	var owners []string
	for _, ref := range obj.GetOwnerReferences() {
		if ref.Kind == render.KindCSV {
			owners = append(owners, obj.GetNamespace()+"/"+ref.Name)
		}
	}
	labels := obj.GetLabels()
	if labels[render.LabelOwnerKind] == render.KindCSV {
		owners = append(owners, labels[render.LabelOwnerNamespace]+"/"+labels[render.LabelOwner])
	}
	for key, value := range obj.GetAnnotations() {
		if len(key) > len(render.AlongsidePrefix) && key[:len(render.AlongsidePrefix)] == render.AlongsidePrefix {
			owners = append(owners, value)
		}
	}
	slices.Sort(owners)
	return slices.Compact(owners)
}

// wound enqueues the newest plan that installed an operator.
func (r *Reconciler) wound(ctx context.Context, operator string, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	plans := &v1alpha1.InstallPlanList{}
	if err := r.o.Client.List(ctx, plans, client.MatchingFields{operatorIndex: operator}, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list plans", "operator", operator)
		return
	}
	if len(plans.Items) == 0 {
		return
	}
	newest := slices.MaxFunc(plans.Items, compareAge)
	key := client.ObjectKeyFromObject(&newest)
	r.wounded.add(key)
	q.Add(reconcile.Request{NamespacedName: key})
}

// heal makes what a complete plan installed be there again, for those of its
// operators that exist and are not being replaced. The operators themselves
// are never made again, and the plan stays as it is.
func (r *Reconciler) heal(ctx context.Context, plan *v1alpha1.InstallPlan) (ctrl.Result, error) {
	key := client.ObjectKeyFromObject(plan)
	if !r.wounded.take(key) {
		return ctrl.Result{}, nil
	}
	s := &scope{plan: plan.DeepCopy(), uids: map[string]types.UID{}, bringers: map[string]operator{}}
	outcome, err := step.Run(ctx, s,
		step.Step[scope]{Name: "check namespace", Run: r.checkNamespace},
		step.Step[scope]{Name: "check group", Run: r.checkGroup},
		step.Step[scope]{Name: "load", Run: r.load},
		step.Step[scope]{Name: "select", Run: r.keepLiving},
		step.Step[scope]{Name: "preflight", Run: r.preflight},
		step.Step[scope]{Name: "execute", Run: r.execute},
	)
	if s.leaving {
		return ctrl.Result{}, nil
	}
	if err != nil || !s.done {
		r.wounded.add(key)
	}
	if err != nil {
		ctrl.LoggerFrom(ctx).Info("cannot restore what the plan installed", "reason", textOf(err))
		return step.Result(ctx, outcome, err)
	}
	ctrl.LoggerFrom(ctx).Info("restored what the plan installed", "operators", plan.Spec.ClusterServiceVersionNames)
	if !s.done { // a CustomResourceDefinition was made again
		return ctrl.Result{RequeueAfter: waitingRetry}, nil
	}
	return ctrl.Result{}, nil
}

// checkNamespace stops where everything goes away.
func (r *Reconciler) checkNamespace(ctx context.Context, s *scope) (step.Outcome, error) {
	ns, err := r.o.Cluster.GetMetadata(ctx, corev1.SchemeGroupVersion.WithKind("Namespace"), client.ObjectKey{Name: s.plan.Namespace})
	s.leaving = err == nil && (ns == nil || !ns.DeletionTimestamp.IsZero())
	if s.leaving {
		return step.Stop(), nil
	}
	return step.Continue(), err
}

// keepLiving drops the steps of operators that are gone or on their way out,
// and those that make operators and Subscriptions.
func (r *Reconciler) keepLiving(ctx context.Context, s *scope) (step.Outcome, error) {
	living := map[string]bool{}
	for _, name := range s.plan.Spec.ClusterServiceVersionNames {
		csv := &v1alpha1.ClusterServiceVersion{}
		err := r.o.Client.Get(ctx, client.ObjectKey{Namespace: s.plan.Namespace, Name: name}, csv)
		if client.IgnoreNotFound(err) != nil {
			return step.Stop(), err
		}
		leaving := csv.Status.Phase == v1alpha1.CSVPhaseReplacing || csv.Status.Phase == v1alpha1.CSVPhaseDeleting
		living[name] = err == nil && csv.DeletionTimestamp.IsZero() && !leaving
	}
	items, steps, states := s.items, s.steps.Steps, s.plan.Status.Plan
	s.items, s.steps.Steps, s.plan.Status.Plan = nil, []install.Step{}, nil
	for i, it := range items {
		if living[it.operator] && it.manifest.Kind != render.KindCSV && it.manifest.Kind != render.KindSubscription {
			s.items = append(s.items, it)
			s.steps.Steps = append(s.steps.Steps, steps[i])
			s.plan.Status.Plan = append(s.plan.Status.Plan, states[i])
		}
	}
	return step.Continue(), nil
}
