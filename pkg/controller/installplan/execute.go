package installplan

import (
	"context"
	"fmt"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/kube"
	"chandler.dev/olm/pkg/install/render"
)

// requestsAtOnce is how many objects of one plan are read or written at the
// same time.
const requestsAtOnce = 4

// execute looks, decides and acts until the plan is done, refused, or waits
// for the cluster.
func (r *Reconciler) execute(ctx context.Context, s *scope) (step.Outcome, error) {
	if s.plan.Status.StartTime == nil {
		now := metav1.NewTime(r.o.Clock.Now())
		s.plan.Status.StartTime = &now
	}
	for {
		var err error
		action := install.Next(s.steps, s.seen)
		if action.Kind == install.Apply || action.Kind == install.Done {
			r.tellConverted(s)
		}
		switch action.Kind {
		case install.Observe:
			err = r.observe(ctx, s, action.Steps)
		case install.Apply:
			err = r.apply(ctx, s, action.Steps)
		case install.Wait:
			s.plan.Status.Message = "waiting for the cluster to serve " + objects(s.steps, action.Steps)
			return step.Stop(), nil
		case install.Refuse:
			return step.Stop(), &verdict{reason: ReasonRefused, err: action.Reason}
		default:
			s.done = true
			return step.Stop(), nil
		}
		if err != nil {
			return step.Stop(), err
		}
	}
}

func objects(plan install.Plan, steps []int) string {
	names := make([]string, 0, len(steps))
	for _, i := range steps {
		names = append(names, plan.Steps[i].Object)
	}
	return strings.Join(names, ", ")
}

// each runs f for steps, several at once. One that fails does not keep the
// others from going on.
func each(ctx context.Context, steps []int, f func(context.Context, int) error) error {
	var group errgroup.Group
	group.SetLimit(requestsAtOnce)
	for _, i := range steps {
		group.Go(func() error { return f(ctx, i) })
	}
	return group.Wait()
}

func (r *Reconciler) observe(ctx context.Context, s *scope, steps []int) error {
	switch s.steps.Steps[steps[0]].Phase {
	case install.PhaseAPIs:
		return each(ctx, steps, func(ctx context.Context, i int) error { return r.observeCRD(ctx, s, i) })
	case install.PhaseOperators:
		return each(ctx, steps, func(ctx context.Context, i int) error { return r.observeOperator(ctx, s, i) })
	default:
		for _, i := range steps {
			if err := r.findOperators(ctx, s, render.ReferredOperators(s.items[i].desired, s.items[i].operator)); err != nil {
				return err
			}
		}
		return each(ctx, steps, func(ctx context.Context, i int) error { return r.observeObject(ctx, s, i) })
	}
}

func (r *Reconciler) apply(ctx context.Context, s *scope, steps []int) error {
	apply := r.applyObject
	switch s.steps.Steps[steps[0]].Phase {
	case install.PhaseAPIs:
		apply = r.applyCRD
	case install.PhaseOperators:
		apply = r.createOperator
	default:
	}
	return each(ctx, steps, func(ctx context.Context, i int) error {
		ctx, warnings := kube.CollectWarnings(ctx)
		defer func() { r.tell(s, i, warnings.Texts()) }()
		return apply(ctx, s, i)
	})
}

// tell makes an event of what the API server warned about.
func (r *Reconciler) tell(s *scope, i int, warnings []string) {
	if len(warnings) == 0 {
		return
	}
	if r.o.Warned != nil {
		r.o.Warned(len(warnings))
	}
	what := "during operator installation"
	if s.items[i].operator != "" {
		what = fmt.Sprintf("generated during installation of operator %q", s.items[i].operator)
	}
	m := s.items[i].manifest
	r.warn(s.plan, "AppliedWithWarnings", fmt.Sprintf("%d warning(s) %s (%s %q): %s", len(warnings), what, m.Kind, m.Name, strings.Join(warnings, ", ")))
}

// record keeps what was found out about a step. An object that is younger than
// the plan was made by it, also if the controller did not live to note it.
func (s *scope) record(i int, state install.State, created metav1.Time) {
	s.seen.States[i] = state
	status := &s.plan.Status.Plan[i].Status
	switch {
	case state == install.Absent, state == install.Different:
	case state == install.Waiting:
		*status = v1alpha1.StepStatusWaitingForAPI
	case !created.IsZero() && !created.Before(&s.plan.CreationTimestamp):
		*status = v1alpha1.StepStatusCreated
	default:
		*status = v1alpha1.StepStatusPresent
	}
}

func (s *scope) place(i int) error {
	it := &s.items[i]
	return render.Place(it.desired, render.Placement{
		Plan: s.plan.Name, Namespace: s.plan.Namespace, Namespaced: it.namespaced, Operator: it.operator, Package: s.bringers[it.operator].pkg, UIDs: s.uids,
	})
}

// findOperators learns the UIDs of ClusterServiceVersions of the namespace.
func (r *Reconciler) findOperators(ctx context.Context, s *scope, names []string) error {
	for _, name := range names {
		if _, known := s.uids[name]; known {
			continue
		}
		m, err := r.o.Cluster.GetMetadata(ctx, v1alpha1.SchemeGroupVersion.WithKind(render.KindCSV), client.ObjectKey{Namespace: s.plan.Namespace, Name: name})
		if err != nil {
			return err
		}
		if m != nil {
			s.uids[name] = m.UID
		}
	}
	return nil
}

// observeOperator looks for a ClusterServiceVersion; one that exists stays as it is.
func (r *Reconciler) observeOperator(ctx context.Context, s *scope, i int) error {
	m := s.items[i].manifest
	found, err := r.o.Cluster.GetMetadata(ctx, m.GroupVersionKind(), client.ObjectKey{Namespace: s.plan.Namespace, Name: m.Name})
	switch {
	case err != nil:
		return err
	case found == nil:
		s.record(i, install.Absent, metav1.Time{})
		return s.place(i)
	case !found.DeletionTimestamp.IsZero():
		return failure.New(failure.Waiting, "ClusterServiceVersion %q is being deleted", m.Name)
	}
	s.record(i, install.Ready, found.CreationTimestamp)
	return nil
}

func (r *Reconciler) createOperator(ctx context.Context, s *scope, i int) error {
	obj := s.items[i].desired
	if _, err := s.scoped.Create(ctx, obj); err != nil {
		return s.rejected(i, err)
	}
	s.record(i, install.Ready, s.plan.CreationTimestamp)
	return nil
}

// observeObject compares an object with what the plan wants.
func (r *Reconciler) observeObject(ctx context.Context, s *scope, i int) error {
	it := &s.items[i]
	if err := s.place(i); err != nil {
		return err
	}
	if it.desired.GetName() == "" { // the same name after a crash
		it.desired.SetName(it.desired.GetGenerateName() + s.plan.Name[len(s.plan.Name)-min(6, len(s.plan.Name)):])
		it.desired.SetGenerateName("")
	}
	live, err := s.scoped.Get(ctx, it.desired.GroupVersionKind(), client.ObjectKeyFromObject(it.desired))
	if err != nil {
		return err
	}
	it.live = live
	if live == nil {
		s.record(i, install.Absent, metav1.Time{})
		return nil
	}
	state := install.Different
	same, err := s.scoped.IsAsDesired(live, it.desired)
	if err != nil {
		return err
	}
	if same || it.manifest.Kind == render.KindSubscription {
		state = install.Ready
	}
	s.record(i, state, live.GetCreationTimestamp())
	return nil
}

func (r *Reconciler) applyObject(ctx context.Context, s *scope, i int) error {
	it := &s.items[i]
	if it.manifest.Kind == render.KindSubscription {
		if err := r.recordRequesters(ctx, s, it.desired); err != nil {
			return err
		}
		if _, err := s.scoped.Create(ctx, it.desired); err != nil {
			return s.rejected(i, err)
		}
		s.record(i, install.Ready, s.plan.CreationTimestamp)
		return nil
	}
	result, err := s.scoped.EnsureFrom(ctx, it.live, it.desired)
	if err != nil {
		return s.rejected(i, err)
	}
	if result.Written {
		s.wrote(i)
	}
	s.record(i, install.Ready, result.Object.GetCreationTimestamp())
	return nil
}

// rejected marks a step whose object the API server does not accept, so that it
// is known later what the plan failed for.
func (s *scope) rejected(i int, err error) error {
	if failure.KindOf(err) == failure.Invalid {
		s.plan.Status.Plan[i].Status = v1alpha1.StepStatusNotCreated
	}
	return err
}
