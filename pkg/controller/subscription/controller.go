// Package subscription decides what every Subscription gets and records it in
// InstallPlans and statuses. It resolves a namespace at a time from snapshots
// of catalogs, and acts per component: Subscriptions that do not depend on each
// other share neither plans nor approvals nor failures. It installs nothing.
package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/metric"
	"chandler.dev/olm/pkg/controller/snapshot"
	"chandler.dev/olm/pkg/controller/subscription/inventory"
	"chandler.dev/olm/pkg/resolver"
)

const (
	workers = 4
	// staleRetry is how long to wait for a watch to deliver what was written.
	staleRetry   = 200 * time.Millisecond
	cachedOffers = 4 << 20 // bytes of what catalogs offer, kept between decisions
	// contentRetry is how long to wait for content that nobody could deliver.
	contentRetry = 10 * time.Second
)

// Options are what a Reconciler works with.
type Options struct {
	Client          client.Client // its reads may be those of a cache
	Cached          client.Reader // reads CatalogSources without their Go type
	Live            client.Reader // asks the API server
	Snapshots       *snapshot.Cache
	GlobalNamespace string        // whose catalogs every namespace can use
	KubeVersion     func() string // such as "1.36.3"; empty if not known
	Inventory       *inventory.Inventory
	Recorder        events.EventRecorder
	Clock           clock.PassiveClock // the real one if nil
}

// Reconciler keeps the Subscriptions of a namespace resolved.
type Reconciler struct {
	options    Options
	written    *written
	footprints *footprints
	offers     *resolver.Cache
}

// New returns a Reconciler.
func New(o Options) *Reconciler {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.KubeVersion == nil {
		o.KubeVersion = func() string { return "" }
	}
	if o.Inventory == nil {
		o.Inventory = inventory.New(nil)
	}
	return &Reconciler{options: o, written: newWritten(), footprints: newFootprints(), offers: resolver.NewCache(cachedOffers)}
}

// Reconcile resolves the namespace that the request names.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (ctrl.Result, error) {
	namespace := req.Name
	v, done, err := r.observe(ctx, namespace)
	defer done()
	if errors.Is(err, errStale) {
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("observe: %w", err)
	}
	metric.Synced(namespace, syncs(v.subscriptions))
	if len(v.subscriptions) == 0 {
		r.footprints.forget(namespace)
		return ctrl.Result{}, nil
	}
	s := &session{view: v, links: linksOf(v), verdicts: map[string]verdict{}}
	if problem := groupProblem(v); problem != nil {
		s.refuseAll(problem)
	} else if err := r.resolve(ctx, s); err != nil {
		return ctrl.Result{}, fmt.Errorf("resolve: %w", err)
	}
	err = errors.Join(errors.Join(s.errs...), r.writeStatuses(ctx, s), r.startPlans(ctx, s))
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: staleRetry}, nil // somebody was faster: look again
	}
	return ctrl.Result{RequeueAfter: s.retry}, err
}

// session carries what one reconcile has learnt.
type session struct {
	*view
	links    map[string]link
	offers   []resolver.Catalog
	verdicts map[string]verdict // by name of the Subscription
	starts   []start            // plans to start when the statuses refer to them
	errs     []error            // what concerns one component must not stop the others
	retry    time.Duration
}

// start is a plan that was made but not yet given its content.
type start struct {
	plan   *v1alpha1.InstallPlan
	status v1alpha1.InstallPlanStatus
}

func (s *session) refuseAll(why *refusal) {
	for _, sub := range s.subscriptions {
		l := s.links[sub.Name]
		s.verdicts[sub.Name] = verdict{refusal: why, installed: l.installed, plan: l.plan, brings: l.brings, notices: formerNotices(sub)}
	}
}

// resolve decides and acts, component by component.
func (r *Reconciler) resolve(ctx context.Context, s *session) error {
	problem, err := ask(s.view, s.links, func(p resolver.Problem) (resolver.Problem, error) { return r.gather(ctx, s.view, p) })
	if err != nil {
		return err
	}
	s.offers = problem.Catalogs
	start := r.options.Clock.Now()
	solution, err := resolver.Resolve(ctx, problem)
	metric.Resolved(r.options.Clock.Since(start), outcomeOf(solution, err))
	if err != nil {
		return err
	}
	for _, c := range solution.Components {
		for _, a := range c.Adopted {
			l := s.links[a.Subscription]
			l.installed = a.Bundle
			s.links[a.Subscription] = l
		}
		r.advance(ctx, s, c)
	}
	return nil
}

// advance carries out what is chosen for a component.
func (r *Reconciler) advance(ctx context.Context, s *session, c resolver.Component) {
	next := choose(s.view, s.links, c)
	o := outcome{plan: next.running}
	var err error
	switch {
	case next.propose != nil:
		o, err = r.propose(ctx, s, c)
	case next.running == nil && !next.hold && next.refusal == nil:
		o, err = r.withdraw(ctx, s, c)
	}
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("component of %v: %w", c.Subscriptions, err))
	}
	for _, name := range c.Subscriptions {
		sub := s.subscription(name)
		if sub == nil {
			continue
		}
		w := s.verdictOf(sub, o)
		w.refusal = next.refusal
		w.silent = o.unsure || next.hold && awaitsCatalog(s.view, c)
		s.verdicts[name] = w
	}
}

// verdictOf says what an outcome means for one Subscription.
func (s *session) verdictOf(sub *v1alpha1.Subscription, o outcome) verdict {
	l := s.links[sub.Name]
	w := verdict{installed: l.installed, plan: l.plan, brings: l.brings, unpack: o.unpack}
	if o.plan != nil {
		if brings := bringsFor(o.plan, sub); brings != "" { // else it is for others of the component
			w.plan, w.brings = o.plan, brings
		}
	}
	if w.plan != nil && o.gone[w.plan.Name] {
		w.plan, w.brings = nil, ""
	}
	if ref := sub.Status.InstallPlanRef; w.plan == nil && ref != nil {
		w.forget = o.gone[ref.Name] || s.plan(ref.Name) == nil && sub.Status.State == v1alpha1.SubscriptionStateUpgradePending
		w.lost = !w.forget && s.plan(ref.Name) == nil
	}
	w.notices = noticesOf(sub, l.installed, s.offers)
	return w
}

// writeStatuses patches every status that differs, once.
func (r *Reconciler) writeStatuses(ctx context.Context, s *session) error {
	now := metav1.NewTime(r.options.Clock.Now().Truncate(time.Second))
	var errs []error
	for _, sub := range s.subscriptions {
		w, ok := s.verdicts[sub.Name]
		if !ok {
			continue
		}
		next := nextStatus(s.view, sub, w, now)
		if !differs(sub.Status, next) {
			continue
		}
		before := sub.DeepCopy()
		after := sub.DeepCopy()
		after.Status = next
		if err := r.options.Client.Status().Patch(ctx, after, client.MergeFrom(before)); err != nil {
			errs = append(errs, client.IgnoreNotFound(err))
			continue
		}
		r.written.note(after)
		r.announce(before, after, w)
	}
	return errors.Join(errs...)
}

// outcomeOf is Succeeded if every component has an answer.
func outcomeOf(solution resolver.Solution, err error) metric.Outcome {
	if err != nil || slices.ContainsFunc(solution.Components, func(c resolver.Component) bool { return c.Unsolvable != nil }) {
		return metric.Failed
	}
	return metric.Succeeded
}

// syncs are Subscriptions as the metrics count them.
func syncs(subscriptions []*v1alpha1.Subscription) []metric.Sync {
	list := make([]metric.Sync, 0, len(subscriptions))
	for _, sub := range subscriptions {
		list = append(list, metric.Sync{
			Name: sub.Name, Installed: sub.Status.InstalledCSV,
			Channel: sub.Spec.Channel, Package: sub.Spec.Package, Approval: string(sub.Spec.InstallPlanApproval),
		})
	}
	return list
}
