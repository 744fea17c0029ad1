package subscription

import (
	"fmt"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"

	"chandler.dev/olm/pkg/controller/installplan"
	"chandler.dev/olm/pkg/resolver"
)

// choice is what happens to a component next: exactly one of its fields says
// it; none of them means that nothing has to happen.
type choice struct {
	running *v1alpha1.InstallPlan // it is being carried out; wait for its end
	refusal *refusal              // nothing can happen until something else changes
	hold    bool                  // something goes on that has to end first
	propose []resolver.Selection  // these bundles should be installed
}

// refusal is why the wish of a Subscription is not fulfilled.
type refusal struct {
	reason  string
	message string // for a condition: one line
	text    string // for an event; empty: the message
}

// Reasons of condition ResolutionFailed.
const (
	reasonUnsatisfiable = "ConstraintsNotSatisfiable"
	reasonPrevented     = "ErrorPreventedResolution"
)

// choose decides what happens to a component. What runs is never disturbed;
// what is installed is only replaced when it is healthy, so that an upgrade
// starts from something that works.
func choose(v *view, links map[string]link, c resolver.Component) choice {
	if plan := runningPlan(v, links, c); plan != nil {
		return choice{running: plan}
	}
	if awaitsCatalog(v, c) {
		return choice{hold: true}
	}
	if c.Unsolvable != nil {
		return choice{refusal: unsolvable(*c.Unsolvable)}
	}
	if len(c.Selections) == 0 {
		return choice{}
	}
	for _, s := range c.Selections {
		if held := gate(v, s); held.hold || held.refusal != nil {
			return held
		}
	}
	return choice{propose: c.Selections}
}

// runningPlan returns the plan that is carried out for a component: one that
// was made for it, or that installs what it would get.
func runningPlan(v *view, links map[string]link, c resolver.Component) *v1alpha1.InstallPlan {
	for _, name := range c.Subscriptions {
		if plan := links[name].plan; isRunning(plan) {
			return plan
		}
	}
	for _, plan := range v.plans {
		if isRunning(plan) && slices.ContainsFunc(c.Selections, func(s resolver.Selection) bool {
			return slices.Contains(plan.Spec.ClusterServiceVersionNames, s.Bundle.Name)
		}) {
			return plan
		}
	}
	return nil
}

// awaitsCatalog reports whether a catalog is being read for the first time
// that the answer may depend on: what it offers is known in a moment.
func awaitsCatalog(v *view, c resolver.Component) bool {
	named := func(name string) bool {
		sub := v.subscription(name)
		return sub != nil && v.catalog(catalogOf(sub)).isAwaited()
	}
	anyOffer := c.Unsolvable != nil || slices.ContainsFunc(c.Selections, func(s resolver.Selection) bool { return len(s.Subscriptions) == 0 })
	return slices.ContainsFunc(c.Subscriptions, named) ||
		anyOffer && slices.ContainsFunc(v.catalogs, func(c catalog) bool { return c.isAwaited() })
}

// isAwaited reports whether a catalog is about to be read by this process.
func (c *catalog) isAwaited() bool {
	return c != nil && c.snapshot == nil && (!c.settled || c.healthy)
}

// gate says whether what a selection replaces may be replaced now.
func gate(v *view, s resolver.Selection) choice {
	csv := v.csv(s.Replaces)
	if csv == nil {
		return choice{}
	}
	switch csv.Status.Phase {
	case v1alpha1.CSVPhaseSucceeded:
		return choice{}
	case v1alpha1.CSVPhaseFailed:
		if v.failForward() {
			return choice{}
		}
		return choice{refusal: &refusal{
			reason: reasonUnsatisfiable,
			message: fmt.Sprintf("%s waits for %s, which failed: %s; repair it, or set upgradeStrategy TechPreviewUnsafeFailForward on the OperatorGroup to upgrade over it",
				s.Bundle.Name, csv.Name, oneLine(csv.Status.Message)),
		}}
	default:
		return choice{hold: true}
	}
}

// reuse says what becomes of the plan that a component has, when another one,
// built with the generation of the former, is proposed.
type reuse int

const (
	reuseNone      reuse = iota // there is none, or it is over: make another
	reuseKeep                   // it says the same
	reuseStart                  // it says the same and was never started
	reuseApprove                // it says the same and no longer needs an approval
	reuseSupersede              // it says something else and nobody approved it: replace it
	reuseRepeat                 // it says the same and is done, but its result is gone
)

// reuseOf decides about the former plan. An approval that was given counts for
// what was approved: a plan that says something else is never touched by it.
func reuseOf(former, proposed *v1alpha1.InstallPlan) reuse {
	switch {
	case former == nil:
		return reuseNone
	case former.Name != proposed.Name && !saysTheSame(former, proposed):
		if isPending(former) || installplan.NeedsStatus(former) {
			return reuseSupersede
		}
		return reuseNone
	case installplan.NeedsStatus(former):
		return reuseStart
	case isPending(former) && proposed.Spec.Approved && former.Spec.Approval == v1alpha1.ApprovalManual:
		return reuseApprove
	case former.Status.Phase == v1alpha1.InstallPlanPhaseComplete:
		return reuseRepeat
	default:
		return reuseKeep
	}
}

// saysTheSame recognizes a plan that this project did not make: it has another
// name, but brings the same versions to the same Subscriptions.
func saysTheSame(former, proposed *v1alpha1.InstallPlan) bool {
	if installplan.RefersToContent(former) {
		return false
	}
	names := func(p *v1alpha1.InstallPlan) []string {
		return slices.Sorted(slices.Values(p.Spec.ClusterServiceVersionNames))
	}
	return len(former.Status.Plan) > 0 && slices.Equal(names(former), names(proposed))
}

// approvalOf is Manual if one of the Subscriptions of a component is.
func approvalOf(v *view, c resolver.Component) v1alpha1.Approval {
	for _, name := range c.Subscriptions {
		if sub := v.subscription(name); sub != nil && sub.Spec.InstallPlanApproval == v1alpha1.ApprovalManual {
			return v1alpha1.ApprovalManual
		}
	}
	return v1alpha1.ApprovalAutomatic
}

// formerPlans returns the newest plan that was made for a component, and the
// others that were made for some of it and that nobody approved yet.
func formerPlans(links map[string]link, c resolver.Component) (newest *v1alpha1.InstallPlan, pending []*v1alpha1.InstallPlan) {
	for _, name := range c.Subscriptions {
		plan := links[name].plan
		if plan == nil || slices.Contains(pending, plan) || plan == newest {
			continue
		}
		if newest == nil || comparePlans(newest, plan) < 0 {
			plan, newest = newest, plan
		}
		if isPending(plan) {
			pending = append(pending, plan)
		}
	}
	return newest, pending
}

// generationOf returns the highest generation of the plans of a component.
func generationOf(v *view, links map[string]link, c resolver.Component) int {
	highest := 0
	for _, name := range c.Subscriptions {
		if sub := v.subscription(name); sub != nil {
			highest = max(highest, sub.Status.InstallPlanGeneration)
		}
		if plan := links[name].plan; plan != nil {
			highest = max(highest, plan.Spec.Generation)
		}
	}
	return highest
}
