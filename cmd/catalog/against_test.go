package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/registry/changes"
)

func TestEffectsOf(t *testing.T) {
	lost := changes.Change{Kind: changes.PathLost, Package: "db", Channel: "stable", Bundle: "db.v1"}
	tests := map[string]struct {
		outcomes, unchanged string // in JSON
		want                []effect
	}{
		"an upgrade": {
			`[{"package":"db","subscription":"db","now":"db.v1","then":"db.v2"}]`, `[]`,
			[]effect{{"shop", "db", "db", "db.v1", "db.v2", "changes", ""}},
		},
		"a dependency that comes and one that goes": {
			`[{"package":"a","then":"a.v1"},{"package":"b","now":"b.v1"}]`, `[]`,
			[]effect{{"shop", "", "a", "", "a.v1", "installs", ""}, {"shop", "", "b", "b.v1", "", "removes", ""}},
		},
		"no solution any more": {
			`[{"package":"db","subscription":"db","now":"db.v1","then":"db.v1","blocked":true,"message":"it is gone"}]`, `[]`,
			[]effect{{"shop", "db", "db", "db.v1", "db.v1", "no longer solvable", "it is gone"}},
		},
		"no solution before either": {
			`[{"package":"db","subscription":"db","blocked":true,"blockedBefore":true,"message":"never"}]`, `[]`,
			[]effect{{"shop", "db", "db", "", "", "not solvable either way", "never"}},
		},
		"a solution again": {
			`[{"package":"db","subscription":"db","now":"db.v1","then":"db.v2","freed":true}]`, `[]`,
			[]effect{{"shop", "db", "db", "db.v1", "db.v2", "solvable again", ""}},
		},
		"the path of its channel is lost": {
			`[]`, `[{"package":"db","subscription":"db","channel":"stable","now":"db.v1","then":"db.v1"}]`,
			[]effect{{"shop", "db", "db", "db.v1", "db.v1", "loses its path", "no upgrade leads from db.v1 to the head of channel stable any more"}},
		},
		"the path of the default channel is lost": {
			`[]`, `[{"package":"db","subscription":"db","now":"db.v1","then":"db.v1"}]`,
			[]effect{{"shop", "db", "db", "db.v1", "db.v1", "loses its path", "no upgrade leads from db.v1 to the head of channel stable any more"}},
		},
		"the path of another channel is lost": {
			`[]`, `[{"package":"db","subscription":"db","channel":"fast","now":"db.v1","then":"db.v1"}]`,
			[]effect{{"shop", "db", "db", "db.v1", "db.v1", "stays", ""}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var plan clusterPlan
			if err := json.Unmarshal([]byte(`{"namespaces":[{"namespace":"shop","outcomes":`+tt.outcomes+`,"unchanged":`+tt.unchanged+`}]}`), &plan); err != nil {
				t.Fatal(err)
			}
			got := effectsOf(plan, []changes.Change{lost}, map[string]string{"db": "stable"})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
		})
	}
}
