package install

import (
	"cmp"
	"slices"

	"chandler.dev/olm/pkg/failure"
)

// Phase is a group of steps that only starts when the one before is ready.
type Phase int

// The phases in their order. APIs come first, so that an operator never exists
// without them; the operator comes before the objects that it owns.
const (
	PhaseAPIs      Phase = iota // CustomResourceDefinitions
	PhaseOperators              // ClusterServiceVersions
	PhaseObjects                // everything else
)

var phases = []Phase{PhaseAPIs, PhaseOperators, PhaseObjects}

// Plan is what is to be installed.
type Plan struct {
	Steps []Step
}

// Step is one object of a plan.
type Step struct {
	Object string // for messages, such as `ConfigMap "x"`
	Phase  Phase
}

// State says how an object of a plan was found on the cluster.
type State int

// Unknown is the state of a step that nobody looked at, Waiting that of an
// object which is as it should be but which the cluster does not serve yet.
const (
	Unknown State = iota
	Absent
	Different
	Waiting
	Ready
)

// Observation is what was found, step by step.
type Observation struct {
	States   []State // by index of the step; shorter means Unknown
	Refusals []*failure.Error
}

// ActionKind says what happens next.
type ActionKind int

// The actions that Next chooses from.
const (
	Done    ActionKind = iota // every object is ready
	Refuse                    // nothing may be written
	Observe                   // look at Steps
	Apply                     // write Steps
	Wait                      // the cluster must make Steps ready
)

// Action is the next thing to do.
type Action struct {
	Kind   ActionKind
	Steps  []int          // indexes; for Observe, Apply and Wait
	Reason *failure.Error // for Refuse
}

// Next decides the next action. It is total: every plan and observation have
// exactly one. A refusal comes before any writing; then phases are completed
// in order.
func Next(plan Plan, o Observation) Action {
	if len(o.Refusals) > 0 {
		return Action{Kind: Refuse, Reason: firstOf(o.Refusals)}
	}
	for _, phase := range phases {
		found := map[ActionKind][]int{}
		for i, step := range plan.Steps {
			if step.Phase == phase {
				kind := actionFor(o.state(i))
				found[kind] = append(found[kind], i)
			}
		}
		for _, kind := range []ActionKind{Observe, Apply, Wait} {
			if len(found[kind]) > 0 {
				return Action{Kind: kind, Steps: found[kind]}
			}
		}
	}
	return Action{Kind: Done}
}

func (o Observation) state(i int) State {
	if i >= len(o.States) {
		return Unknown
	}
	return o.States[i]
}

func actionFor(s State) ActionKind {
	switch s {
	case Unknown:
		return Observe
	case Absent, Different:
		return Apply
	case Waiting:
		return Wait
	default:
		return Done
	}
}

// firstOf returns the refusal that a person should read first, and says how
// many more there are.
func firstOf(refusals []*failure.Error) *failure.Error {
	sorted := slices.SortedStableFunc(slices.Values(refusals), func(a, b *failure.Error) int {
		return cmp.Compare(a.Message, b.Message)
	})
	first := *sorted[0]
	if more := len(slices.CompactFunc(sorted, func(a, b *failure.Error) bool { return a.Message == b.Message })) - 1; more > 0 {
		return failure.New(first.Kind, "%s (and %d more)", first.Message, more).WithHint("%s", first.Hint)
	}
	return &first
}
