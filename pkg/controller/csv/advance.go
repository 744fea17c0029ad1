package csv

import (
	"context"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/phase"
	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
)

// advance takes the ClusterServiceVersion as far as it gets without waiting.
func (r *Reconciler) advance(ctx context.Context, s *scope) (step.Outcome, error) {
	w, err := r.observe(ctx, s)
	if err != nil {
		return step.Stop(), err
	}
	s.path = phase.Path(w.Observation)
	last := &s.path[len(s.path)-1]
	if err := r.act(ctx, s, w, *last); err != nil {
		if transient(err) {
			return step.Stop(), err
		}
		s.failure = err
		*last = phase.AfterFailure(*last, w.Observation, err)
	}
	s.recheck = last.Recheck
	if s.recheck == 0 && last.Phase == v1alpha1.CSVPhaseSucceeded {
		s.recheck = w.served.Rest(r.clock.Now())
	}
	if w.requirements != nil {
		s.csv.SetRequirementStatus(w.requirements)
	}
	return step.Continue(), nil
}

// act does what the decision asks for.
func (r *Reconciler) act(ctx context.Context, s *scope, w *world, d phase.Decision) error {
	if d.Do == phase.Apply || d.Do == phase.SwitchOn {
		var err error
		if w.served.Cluster, err = r.scopes.of(s.group.group); err != nil {
			return err
		}
	}
	switch d.Do {
	case phase.Apply:
		return r.install(ctx, s, w)
	case phase.SwitchOn:
		return r.exposer.SwitchOn(ctx, s.csv, w.served)
	case phase.TearDown:
		return r.tearDown(ctx, w.existing)
	case phase.Delete:
		return client.IgnoreNotFound(r.client.Delete(ctx, s.csv, client.Preconditions{UID: &s.csv.UID}))
	case phase.Nothing:
	}
	return nil
}

// transient tells whether err says nothing about the ClusterServiceVersion: the API
// server was busy, or somebody else wrote at the same time.
func transient(err error) bool {
	switch failure.KindOf(err) {
	case failure.Waiting, failure.Internal:
		return true
	default:
		return false
	}
}

// record writes the transitions of this pass into the status, once. A pass that ends
// where it began, such as a reinstall that fails again, writes nothing.
func (r *Reconciler) record(ctx context.Context, before *v1alpha1.ClusterServiceVersion, s *scope) error {
	if !r.enter(s.csv, s.path) && equality.Semantic.DeepEqual(before.Status.RequirementStatus, s.csv.Status.RequirementStatus) {
		return nil
	}
	if s.path[len(s.path)-1].Do == phase.Delete {
		r.announceAll(before, s) // nobody reads the status of what is being deleted
		return nil
	}
	before.ObjectMeta = s.csv.ObjectMeta // join has written that
	body, err := client.MergeFrom(before).Data(s.csv)
	if err != nil {
		return err
	}
	reply := &v1alpha1.ClusterServiceVersion{ObjectMeta: *s.csv.ObjectMeta.DeepCopy()}
	if err := r.client.Status().Patch(ctx, reply, client.RawPatch(types.MergePatchType, body)); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.memory.note(reply)
	r.announceAll(before, s)
	return nil
}

// announceAll tells of each transition of this pass.
func (r *Reconciler) announceAll(before *v1alpha1.ClusterServiceVersion, s *scope) {
	last := phase.Observation{Phase: before.Status.Phase, Reason: before.Status.Reason, Message: before.Status.Message}
	for _, d := range s.path {
		if d.Changes(last) {
			r.announce(s.csv, d)
		}
		last.Phase, last.Reason, last.Message = d.Phase, d.Reason, d.Message
	}
}

// enter sets the phases of path one after the other and reports whether the last one
// differs from the first.
func (r *Reconciler) enter(csv *v1alpha1.ClusterServiceVersion, path []phase.Decision) bool {
	if len(path) == 0 {
		return false
	}
	status := &csv.Status
	if !path[len(path)-1].Changes(phase.Observation{Phase: status.Phase, Reason: status.Reason, Message: status.Message}) {
		return false
	}
	now := metav1.NewTime(r.clock.Now())
	for _, d := range path {
		if d.Phase != status.Phase || d.Reason != status.Reason || d.Message != status.Message {
			csv.SetPhase(d.Phase, d.Reason, d.Message, &now)
		}
	}
	return true
}
