package installplan

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/installplan/drift"
	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/render"
)

// Indexes of plans: complete ones by "<namespace>/<ClusterServiceVersion>", and
// those that write or have written by "<kind> <name>" of their objects.
const (
	operatorIndex = "installplan.operators"
	objectIndex   = "installplan.objects"
)

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

func plannedObjects(obj client.Object) []string {
	plan, ok := obj.(*v1alpha1.InstallPlan)
	if !ok || plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete && plan.Status.Phase != v1alpha1.InstallPlanPhaseInstalling {
		return nil
	}
	names := make([]string, 0, len(plan.Status.Plan))
	for _, st := range plan.Status.Plan {
		names = append(names, manifestKind(st)+" "+st.Resource.Name)
	}
	return names
}

// manifestKind is the kind of the object that a step makes.
func manifestKind(st *v1alpha1.Step) string { return gvkOf(st).Kind }

func gvkOf(st *v1alpha1.Step) schema.GroupVersionKind {
	return render.Manifest{Group: st.Resource.Group, Version: st.Resource.Version, Kind: st.Resource.Kind}.GroupVersionKind()
}

// watchUnmet wakes complete plans when the requirements of their operator are
// no longer met.
func (r *Reconciler) watchUnmet(b *builder.Builder) *builder.Builder {
	unmet := func(ctx context.Context, obj client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		csv, ok := obj.(*v1alpha1.ClusterServiceVersion)
		if ok && csv.Status.Reason == v1alpha1.CSVReasonRequirementsNotMet && !csv.IsCopied() {
			r.doubt(ctx, csv.Namespace+"/"+csv.Name, q)
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

// doubt enqueues the newest plan that installed an operator, to look at all of it.
func (r *Reconciler) doubt(ctx context.Context, operator string, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
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
	r.wounds.Add(key, drift.Everything())
	q.Add(reconcile.Request{NamespacedName: key})
}

// reported notes that somebody else touched an object, and returns the plans
// that are to look at it. One that is being executed looks anyway.
func (r *Reconciler) reported(ctx context.Context, o drift.Object) []reconcile.Request {
	plans := &v1alpha1.InstallPlanList{}
	if err := r.o.Client.List(ctx, plans, client.InNamespace(o.Namespace), client.MatchingFields{objectIndex: o.Kind + " " + o.Name}, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list plans", "kind", o.Kind, "name", o.Name)
		return nil
	}
	var requests []reconcile.Request
	for _, plan := range responsible(plans.Items, o) {
		if plan.Status.Phase == v1alpha1.InstallPlanPhaseComplete {
			key := client.ObjectKeyFromObject(plan)
			r.wounds.Add(key, o)
			requests = append(requests, reconcile.Request{NamespacedName: key})
		}
	}
	return requests
}

// responsible returns the plan that has the last word about an object: the
// newest one. About a CustomResourceDefinition, which operators of several
// versions share, it is the newest one of each.
func responsible(plans []v1alpha1.InstallPlan, o drift.Object) []*v1alpha1.InstallPlan {
	newest := map[string]*v1alpha1.InstallPlan{}
	for i := range plans {
		plan, operator := &plans[i], ""
		if o.Kind == render.KindCRD {
			for _, st := range plan.Status.Plan {
				if manifestKind(st) == o.Kind && st.Resource.Name == o.Name {
					operator = st.Resolving
				}
			}
		}
		if last := newest[operator]; last == nil || compareMade(*plan, *last) > 0 {
			newest[operator] = plan
		}
	}
	return slices.Collect(maps.Values(newest))
}

// compareMade orders plans of several namespaces.
func compareMade(a, b v1alpha1.InstallPlan) int {
	if a.Namespace == b.Namespace {
		return compareAge(a, b)
	}
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace))
}

// heal makes what a complete plan installed be there again as it was, for those
// of its operators that exist and are not being replaced. The operators
// themselves are never made again, and the plan stays as it is.
func (r *Reconciler) heal(ctx context.Context, plan *v1alpha1.InstallPlan) (ctrl.Result, error) {
	key := client.ObjectKeyFromObject(plan)
	wounds := r.wounds.Take(key)
	living, err := r.living(ctx, plan)
	if err == nil {
		err = r.visit(ctx, plan, living, wounds)
	}
	if err != nil {
		r.wounds.Add(key, slices.Collect(maps.Keys(wounds))...)
		return ctrl.Result{}, err
	}
	if len(wounds) == 0 || len(living) == 0 {
		return ctrl.Result{}, nil
	}
	now, rest := r.due(key, wounds)
	if len(now) == 0 {
		return ctrl.Result{RequeueAfter: rest}, nil
	}
	s := &scope{plan: plan.DeepCopy(), uids: map[string]types.UID{}, bringers: map[string]operator{}, living: living, wounds: now}
	outcome, err := step.Run(ctx, s,
		step.Step[scope]{Name: "check namespace", Run: r.checkNamespace},
		step.Step[scope]{Name: "check group", Run: r.checkGroup},
		step.Step[scope]{Name: "load", Run: r.load},
		step.Step[scope]{Name: "select", Run: keepWounded},
		step.Step[scope]{Name: "preflight", Run: r.preflight},
		step.Step[scope]{Name: "authorize", Run: r.authorizeUnpacked},
		step.Step[scope]{Name: "execute", Run: r.execute},
	)
	r.tellMended(ctx, plan, s)
	switch {
	case s.leaving:
		return ctrl.Result{}, nil
	case err != nil:
		r.wounds.Add(key, slices.Collect(maps.Keys(now))...)
		return r.unhealed(ctx, plan, outcome, err)
	case !s.done: // a CustomResourceDefinition was made again
		r.wounds.Add(key, slices.Collect(maps.Keys(now))...)
		return ctrl.Result{RequeueAfter: waitingRetry}, nil
	}
	return ctrl.Result{RequeueAfter: rest}, nil
}

// visit begins to watch what a complete plan installed. What disappeared while
// nobody watched is found the first time.
func (r *Reconciler) visit(ctx context.Context, plan *v1alpha1.InstallPlan, living map[string]bool, wounds map[drift.Object]bool) error {
	if r.drift == nil || len(living) == 0 || r.wounds.Visited(plan.UID) {
		return nil
	}
	for _, st := range plan.Status.Plan {
		kind := manifestKind(st)
		if !living[st.Resolving] || kind == render.KindCSV || kind == render.KindSubscription {
			continue
		}
		o, exists, err := r.watchStep(ctx, plan, st)
		if err != nil {
			return err
		}
		if !exists {
			wounds[o] = true
		}
	}
	r.wounds.Visit(plan.UID)
	return nil
}

// watchStep begins to watch the kind of a step, and tells whether its object
// exists. One of a kind that the cluster does not serve cannot.
func (r *Reconciler) watchStep(ctx context.Context, plan *v1alpha1.InstallPlan, st *v1alpha1.Step) (o drift.Object, exists bool, err error) {
	gvk := gvkOf(st)
	o = drift.Object{Kind: gvk.Kind, Namespace: plan.Namespace, Name: st.Resource.Name}
	api, err := r.o.Cluster.API(gvk)
	if failure.KindOf(err) == failure.NotFound {
		return o, true, nil
	}
	if err != nil {
		return o, false, err
	}
	if !api.Namespaced {
		o.Namespace = ""
	}
	if err := r.drift.Watch(gvk); err != nil {
		return o, false, err
	}
	exists, err = r.drift.Exists(ctx, gvk, client.ObjectKey{Namespace: o.Namespace, Name: o.Name})
	return o, exists, err
}

// due returns the wounds to look at now. The others are kept for later.
func (r *Reconciler) due(plan types.NamespacedName, wounds map[drift.Object]bool) (now map[drift.Object]bool, rest time.Duration) {
	now = map[drift.Object]bool{}
	for o := range wounds {
		d := r.wounds.Rest(plan, o)
		if d == 0 {
			now[o] = true
			continue
		}
		r.wounds.Add(plan, o)
		if rest == 0 || d < rest {
			rest = d
		}
	}
	return now, rest
}

// tellMended makes events of what was put back.
func (r *Reconciler) tellMended(ctx context.Context, plan *v1alpha1.InstallPlan, s *scope) {
	key := client.ObjectKeyFromObject(plan)
	for _, i := range s.written {
		it := &s.items[i]
		o := s.objectOf(i)
		what := fmt.Sprintf("%s %q was deleted or changed by somebody else and is put back", o.Kind, o.Name)
		r.wounds.Mend(key, o)
		if rest := r.wounds.Rest(key, o); rest > 0 {
			what += fmt.Sprintf("; this happens so often that the next time is in %s", rest.Round(time.Second))
			if it.live != nil && len(drift.Others(it.live)) > 0 {
				what += ": it is also managed by " + strings.Join(drift.Others(it.live), ", ")
			}
		}
		ctrl.LoggerFrom(ctx).Info("put back", "kind", o.Kind, "name", o.Name, "operator", it.operator)
		r.warn(plan, "DriftCorrected", what)
	}
}

// unhealed tells why something cannot be put back, and when it is tried again.
func (r *Reconciler) unhealed(ctx context.Context, plan *v1alpha1.InstallPlan, outcome step.Outcome, err error) (ctrl.Result, error) {
	ctrl.LoggerFrom(ctx).Info("cannot restore what the plan installed", "reason", textOf(err))
	switch failure.KindOf(err) {
	case failure.Waiting:
		return ctrl.Result{RequeueAfter: waitingRetry}, nil
	case failure.Internal:
		return step.Result(ctx, outcome, err)
	default:
		r.warn(plan, "DriftRemains", "what the plan installed cannot be restored: "+textOf(err))
		return ctrl.Result{RequeueAfter: unhealedRetry}, nil
	}
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

// living returns the operators of a plan that exist and are not on their way
// out.
func (r *Reconciler) living(ctx context.Context, plan *v1alpha1.InstallPlan) (map[string]bool, error) {
	living := map[string]bool{}
	for _, name := range plan.Spec.ClusterServiceVersionNames {
		csv := &v1alpha1.ClusterServiceVersion{}
		err := r.o.Client.Get(ctx, client.ObjectKey{Namespace: plan.Namespace, Name: name}, csv, client.UnsafeDisableDeepCopy)
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		leaving := csv.Status.Phase == v1alpha1.CSVPhaseReplacing || csv.Status.Phase == v1alpha1.CSVPhaseDeleting
		if err == nil && csv.DeletionTimestamp.IsZero() && !leaving {
			living[name] = true
		}
	}
	return living, nil
}

// keepWounded drops the steps of objects that nobody touched, of operators that
// are gone, and those that make operators and Subscriptions.
func keepWounded(_ context.Context, s *scope) (step.Outcome, error) {
	items, steps, states := s.items, s.steps.Steps, s.plan.Status.Plan
	s.items, s.steps.Steps, s.plan.Status.Plan = nil, []install.Step{}, nil
	all := s.wounds[drift.Everything()]
	for i, it := range items {
		name := it.manifest.Name
		wounded := all || s.wounds[drift.Object{Kind: it.manifest.GroupVersionKind().Kind, Namespace: s.plan.Namespace, Name: name}] ||
			s.wounds[drift.Object{Kind: it.manifest.GroupVersionKind().Kind, Name: name}]
		if s.living[it.operator] && wounded && it.manifest.Kind != render.KindCSV && it.manifest.Kind != render.KindSubscription {
			s.items = append(s.items, it)
			s.steps.Steps = append(s.steps.Steps, steps[i])
			s.plan.Status.Plan = append(s.plan.Status.Plan, states[i])
		}
	}
	return step.Continue(), nil
}

func (s *scope) objectOf(i int) drift.Object {
	it := &s.items[i]
	o := drift.Object{Kind: it.manifest.GroupVersionKind().Kind, Namespace: s.plan.Namespace, Name: it.manifest.Name}
	if !it.namespaced {
		o.Namespace = ""
	}
	return o
}
