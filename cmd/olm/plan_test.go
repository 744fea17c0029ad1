package main

import (
	"bytes"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
)

func TestPlan(t *testing.T) {
	settled := []client.Object{shopGroup(), subscribed("database", "stable", "database.v1.1.0"), running("database.v1.1.0", isDatabase11)}
	type planCase struct {
		options planOptions
		asked
	}
	tests := map[string]planCase{
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
	const next = "testdata/next.yaml" // a later database, no vault
	tests["another content of its catalog"] = planCase{planOptions{replace: []string{"olm/main=" + next}}, asked{objects: []client.Object{
		shopGroup(), subscribed("database", "stable", "database.v1.0.0"), running("database.v1.0.0", isDatabase1), subscribed("vault", "stable", ""),
	}}}
	tests["another content of the catalog in use"] = planCase{planOptions{replace: []string{next}, output: "json"}, asked{objects: settled}}
	tests["another content of no catalog"] = planCase{planOptions{replace: []string{"olm/gone=" + next}}, asked{
		objects: settled, wantKind: failure.NotFound, wantHint: "kubectl get catalogsources -A",
	}}
	tests["another content of a catalog that nobody uses"] = planCase{planOptions{replace: []string{next}}, asked{
		objects: []client.Object{shopGroup()}, wantKind: failure.NotFound, wantHint: "name the catalog to replace",
	}}
	other := subscribed("vault", "stable", "")
	other.Spec.CatalogSource = "other"
	tests["another content of one of two catalogs"] = planCase{planOptions{replace: []string{next}}, asked{
		objects: append([]client.Object{other}, settled...), wantKind: failure.Invalid, wantHint: "name the one to replace",
	}}
	tests["another content that is not there"] = planCase{planOptions{replace: []string{"olm/main=nowhere.db"}}, asked{
		objects: settled, wantKind: failure.NotFound, wantHint: "`catalog build` makes a catalog file",
	}}
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

func TestPlanEverywhere(t *testing.T) {
	const next = "testdata/next.yaml" // a later database, no vault
	elsewhere := subscribed("vault", "stable", "")
	elsewhere.Namespace = "bank"
	objects := []client.Object{shopGroup(), subscribed("database", "stable", "database.v1.1.0"), running("database.v1.1.0", isDatabase11), elsewhere}
	tests := map[string]struct {
		options planOptions
		asked
	}{
		"every namespace":                          {planOptions{replace: []string{"olm/main=" + next}, output: "table"}, asked{objects: objects}},
		"every namespace, as data":                 {planOptions{replace: []string{"=" + next}, output: "json"}, asked{objects: objects}},
		"every namespace, with one that is silent": {planOptions{output: "table"}, asked{objects: objects, address: "gone"}},
	}
	want := answersIn(t, "everywhere.txtar")
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.check(t, want, func(q *questioner, out *bytes.Buffer) error {
				return (&everywhere{wanted: true}).run(t.Context(), q, out, tt.options)
			})
		})
	}
}
