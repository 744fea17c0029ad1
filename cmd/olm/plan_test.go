package main

import (
	"bytes"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
)

func TestPlan(t *testing.T) {
	settled := []client.Object{shopGroup(), subscribed("database", "stable", "database.v1.1.0"), running("database.v1.1.0", isDatabase11)}
	tests := map[string]struct {
		options planOptions
		asked
	}{
		"nothing is about to change":    {planOptions{}, asked{objects: settled}},
		"an install is about to happen": {planOptions{pkg: "database"}, asked{objects: []client.Object{shopGroup(), subscribed("database", "fast", "")}}},
		"an upgrade in steps":           {planOptions{}, asked{objects: []client.Object{shopGroup(), subscribed("database", "fast", "database.v1.0.0"), running("database.v1.0.0", isDatabase1)}}},
		"an upgrade of what is not healthy": {planOptions{}, asked{objects: []client.Object{
			shopGroup(), subscribed("database", "stable", "database.v1.0.0"), inPhase("Installing", running("database.v1.0.0", isDatabase1)),
		}}},
		"an upgrade of what failed": {planOptions{}, asked{objects: []client.Object{
			shopGroup(), subscribed("database", "stable", "database.v1.0.0"), inPhase("Failed", running("database.v1.0.0", isDatabase1)),
		}}},
		"a catalog cannot be reached, as data": {planOptions{add: []string{"vault"}, output: "json"}, asked{objects: settled, address: "gone"}},
		"another channel":                      {planOptions{pkg: "database", channel: "fast"}, asked{objects: settled}},
		"another channel, as data":             {planOptions{pkg: "database", channel: "fast", output: "json"}, asked{objects: settled}},
		"a channel that is not there":          {planOptions{pkg: "database", channel: "slow"}, asked{objects: settled}},
		"another catalog":                      {planOptions{pkg: "database", catalog: "other"}, asked{objects: settled}},
		"a range that holds it back":           {planOptions{pkg: "database", channel: "fast", version: "<2.0.0"}, asked{objects: settled}},
		"another subscription":                 {planOptions{add: []string{"vault"}}, asked{objects: settled}},
		"another, in a certain channel":        {planOptions{pkg: "database", add: []string{"database"}, channel: "fast"}, asked{objects: []client.Object{shopGroup()}}},
		"one that has no solution":             {planOptions{add: []string{"queue"}}, asked{objects: settled}},
		"a subscription less":                  {planOptions{remove: []string{"database"}}, asked{objects: settled}},
		"one that stays without solution":      {planOptions{pkg: "queue", channel: "typo"}, asked{objects: []client.Object{shopGroup(), subscribed("queue", "stable", "")}}},
		"nobody subscribed": {planOptions{pkg: "vault", channel: "stable"}, asked{
			objects: settled, wantKind: failure.NotFound, wantHint: "olm plan vault --add vault -n shop",
		}},
		"nobody subscribed to what goes": {planOptions{remove: []string{"vault"}}, asked{objects: settled, wantKind: failure.NotFound, wantHint: "olm status vault"}},
		"it is there already":            {planOptions{add: []string{"database"}}, asked{objects: settled, wantKind: failure.Conflict, wantHint: "leave --add away"}},
	}
	want := answersIn(t, "plan.txtar")
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.options.output == "" {
				tt.options.output = "table"
			}
			tt.check(t, want, func(q *questioner, out *bytes.Buffer) error { return runPlan(t.Context(), q, out, tt.options) })
		})
	}
}
