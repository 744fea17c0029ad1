package install_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
)

func TestNext(t *testing.T) {
	plan := install.Plan{Steps: []install.Step{
		{Phase: install.PhaseOperators}, {Phase: install.PhaseAPIs}, {Phase: install.PhaseAPIs}, {Phase: install.PhaseObjects},
	}}
	late := failure.New(failure.Invalid, "b is wrong")
	early := failure.New(failure.Blocked, "a is wrong").WithHint("cure a")
	tests := map[string]struct {
		plan install.Plan
		in   install.Observation
		want install.Action
	}{
		"an empty plan is done":        {install.Plan{}, install.Observation{}, install.Action{Kind: install.Done}},
		"nothing is known: APIs first": {plan, install.Observation{}, install.Action{Kind: install.Observe, Steps: []int{1, 2}}},
		"a refusal comes before everything": {
			plan,
			install.Observation{States: []install.State{install.Ready, install.Absent}, Refusals: []*failure.Error{late}},
			install.Action{Kind: install.Refuse, Reason: late},
		},
		"of many refusals the first in order is told": {
			plan,
			install.Observation{Refusals: []*failure.Error{late, early, late}},
			install.Action{Kind: install.Refuse, Reason: failure.New(failure.Blocked, "a is wrong (and 1 more)").WithHint("cure a")},
		},
		"only what is absent or different is written": {
			plan,
			install.Observation{States: []install.State{install.Absent, install.Ready, install.Different, install.Absent}},
			install.Action{Kind: install.Apply, Steps: []int{2}},
		},
		"looking comes before writing": {
			plan,
			install.Observation{States: []install.State{install.Absent, install.Absent, install.Unknown}},
			install.Action{Kind: install.Observe, Steps: []int{2}},
		},
		"the operator waits for its APIs": {
			plan,
			install.Observation{States: []install.State{install.Absent, install.Waiting, install.Ready, install.Absent}},
			install.Action{Kind: install.Wait, Steps: []int{1}},
		},
		"the operator comes before its objects": {
			plan,
			install.Observation{States: []install.State{install.Absent, install.Ready, install.Ready, install.Absent}},
			install.Action{Kind: install.Apply, Steps: []int{0}},
		},
		"objects come last": {
			plan,
			install.Observation{States: []install.State{install.Ready, install.Ready, install.Ready}},
			install.Action{Kind: install.Observe, Steps: []int{3}},
		},
		"all ready": {
			plan,
			install.Observation{States: []install.State{install.Ready, install.Ready, install.Ready, install.Ready}},
			install.Action{Kind: install.Done},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, install.Next(tt.plan, tt.in)); diff != "" {
				t.Errorf("Next() (-want +got)\n%s", diff)
			}
		})
	}
}
