package subscription

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/condition"
	"chandler.dev/olm/pkg/controller/installplan"
	"chandler.dev/olm/pkg/controller/snapshot"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/resolver"
)

// outcome is what became of a component.
type outcome struct {
	plan   *v1alpha1.InstallPlan // that its Subscriptions now have; nil: no other than before
	gone   map[string]bool       // names of plans that were deleted
	unpack unpacking             // why what was chosen cannot be installed
	unsure bool                  // the cache has not seen yet what is there
}

// propose makes sure that there is one plan for what was chosen.
func (r *Reconciler) propose(ctx context.Context, s *session, c resolver.Component) (outcome, error) {
	former, pending := formerPlans(s.links, c)
	o := outcome{gone: map[string]bool{}}
	generation := generationOf(s.view, s.links, c)
	if former != nil {
		generation = former.Spec.Generation
	}
	built, err := r.build(ctx, s.view, c, generation)
	if err != nil {
		return r.unbuildable(s, err)
	}
	decided := reuseOf(former, built)
	if decided == reuseSupersede {
		pending = append(pending, former)
	}
	if err := r.remove(ctx, pending, &o); err != nil {
		return o, err
	}
	switch decided {
	case reuseKeep:
		o.plan = former
	case reuseStart:
		o.plan = former.DeepCopy()
		s.starts = append(s.starts, start{plan: former, status: built.Status})
		o.plan.Status = built.Status
	case reuseApprove:
		o.plan, err = r.approve(ctx, former)
	case reuseRepeat:
		if present, err := r.present(ctx, s.namespace, c); present || err != nil {
			return outcome{unsure: true}, err
		}
		o.plan, err = r.create(ctx, s, c)
	case reuseSupersede, reuseNone:
		o.plan, err = r.create(ctx, s, c)
	}
	return o, err
}

// unbuildable reports content that cannot be installed: to the Subscriptions
// if it concerns them, to the queue if it may pass.
func (r *Reconciler) unbuildable(s *session, err error) (outcome, error) {
	if errors.Is(err, snapshot.ErrFetching) {
		return outcome{unpack: unpacking{reason: reasonUnpacking, message: condition.Text(err)}}, nil // its end is an event
	}
	switch failure.KindOf(err) {
	case failure.Internal:
		return outcome{unpack: unpacking{reason: reasonUnpackFailed, message: condition.Text(err)}}, err
	case failure.Invalid:
		return outcome{unpack: unpacking{reason: reasonBadContent, message: unpackMessage(err)}}, nil
	default:
		s.retry = contentRetry
		return outcome{unpack: unpacking{reason: reasonUnpackFailed, message: "Bundle unpacking failed: " + unpackMessage(err)}}, nil
	}
}

// unpackMessage says which content is bad, why, and what to do.
func unpackMessage(err error) string {
	f, ok := errors.AsType[*failure.Error](err)
	if !ok {
		return condition.Text(err)
	}
	cure := f.Hint
	if cure == "" {
		cure = "ask the publisher of the catalog to repair the bundle, or choose another version by channel or startingCSV"
	}
	return strings.TrimSuffix(err.Error(), f.Error()) + f.Message + "; " + cure
}

// withdraw deletes the plans of a component that wait for an approval of
// something that is no longer wanted.
func (r *Reconciler) withdraw(ctx context.Context, s *session, c resolver.Component) (outcome, error) {
	former, pending := formerPlans(s.links, c)
	if former != nil && (isPending(former) || installplan.NeedsStatus(former)) {
		pending = append(pending, former)
	}
	o := outcome{gone: map[string]bool{}}
	return o, r.remove(ctx, pending, &o)
}

// build makes the plan of a component from the content of its bundles.
func (r *Reconciler) build(ctx context.Context, v *view, c resolver.Component, generation int) (*v1alpha1.InstallPlan, error) {
	in := installplan.Input{
		Namespace: v.namespace, Approval: approvalOf(v, c), Generation: generation, Attempt: generation,
	}
	for _, name := range c.Subscriptions {
		if sub := v.subscription(name); sub != nil {
			in.Subscriptions = append(in.Subscriptions, installplan.Subscription{Name: sub.Name, UID: sub.UID})
		}
	}
	for _, sel := range c.Selections {
		selected, err := r.load(ctx, v, sel)
		if err != nil {
			return nil, err
		}
		in.Selections = append(in.Selections, selected)
	}
	return installplan.Build(in)
}

// load adds the content to a selection.
func (r *Reconciler) load(ctx context.Context, v *view, sel resolver.Selection) (installplan.Selected, error) {
	cat := v.catalog(sel.Catalog)
	if cat == nil || cat.snapshot == nil {
		return installplan.Selected{}, fmt.Errorf("bundle %q comes from a catalog that nobody knows", sel.Bundle.Name)
	}
	bundle, err := r.options.Snapshots.Bundle(ctx, cat.snapshot, sel.Bundle.Package, sel.Bundle.Name)
	if err != nil {
		return installplan.Selected{}, err
	}
	withContent := sel.Bundle
	withContent.Content = bundle.Content
	return installplan.Selected{
		Catalog: types.NamespacedName{Namespace: sel.Catalog.Namespace, Name: sel.Catalog.Name},
		Package: sel.Bundle.Package, Channel: sel.Channel, Bundle: withContent, Replaces: sel.Replaces,
		GenerateSubscription: len(sel.Subscriptions) == 0,
	}, nil
}

// create writes a new plan without its content, which is added by startPlans
// when the Subscriptions refer to it: whatever looks at a ClusterServiceVersion
// of the plan finds the Subscription that it belongs to.
func (r *Reconciler) create(ctx context.Context, s *session, c resolver.Component) (*v1alpha1.InstallPlan, error) {
	built, err := r.build(ctx, s.view, c, generationOf(s.view, s.links, c)+1)
	if err != nil {
		return nil, err
	}
	plan := built.DeepCopy()
	err = r.options.Client.Create(ctx, plan)
	if apierrors.IsAlreadyExists(err) {
		err = r.options.Live.Get(ctx, client.ObjectKeyFromObject(built), plan)
	}
	if err != nil {
		return nil, fmt.Errorf("create install plan: %w", err)
	}
	if installplan.NeedsStatus(plan) {
		s.starts = append(s.starts, start{plan: plan.DeepCopy(), status: built.Status})
		plan.Status = built.Status
	}
	return plan, nil
}

// startPlans gives new plans their content, which is what starts them.
func (r *Reconciler) startPlans(ctx context.Context, s *session) error {
	var errs []error
	for _, st := range s.starts {
		after := st.plan.DeepCopy()
		after.Status = st.status
		if err := r.options.Client.Status().Patch(ctx, after, client.MergeFrom(st.plan)); err != nil {
			errs = append(errs, fmt.Errorf("start install plan: %w", client.IgnoreNotFound(err)))
		}
	}
	return errors.Join(errs...)
}

// approve lets a plan run whose Subscriptions have become Automatic.
func (r *Reconciler) approve(ctx context.Context, plan *v1alpha1.InstallPlan) (*v1alpha1.InstallPlan, error) {
	after := plan.DeepCopy()
	after.Spec.Approval, after.Spec.Approved = v1alpha1.ApprovalAutomatic, true
	if err := r.options.Client.Patch(ctx, after, client.MergeFrom(plan)); err != nil {
		return nil, fmt.Errorf("approve install plan: %w", err)
	}
	return after, nil
}

// present reports whether the API server already has everything that a
// component would get.
func (r *Reconciler) present(ctx context.Context, namespace string, c resolver.Component) (bool, error) {
	for _, sel := range c.Selections {
		csv := &metav1.PartialObjectMetadata{}
		csv.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.ClusterServiceVersionKind))
		err := r.options.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: sel.Bundle.Name}, csv)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// remove deletes plans that nobody approved. One that is approved in this very
// moment stays: its version is no longer the one that was looked at.
func (r *Reconciler) remove(ctx context.Context, plans []*v1alpha1.InstallPlan, o *outcome) error {
	var errs []error
	for _, plan := range plans {
		version := client.Preconditions{UID: &plan.UID, ResourceVersion: &plan.ResourceVersion}
		if err := client.IgnoreNotFound(r.options.Client.Delete(ctx, plan, version)); err != nil {
			errs = append(errs, fmt.Errorf("withdraw install plan: %w", err))
			continue
		}
		o.gone[plan.Name] = true
	}
	return errors.Join(errs...)
}
