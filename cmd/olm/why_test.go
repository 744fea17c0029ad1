package main

import (
	"bytes"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
)

func TestWhy(t *testing.T) {
	tests := map[string]struct {
		options whyOptions
		asked
	}{
		"it has the newest version": {whyOptions{pkg: "database"}, asked{
			objects: []client.Object{shopGroup(), subscribed("database", "stable", "database.v1.1.0"), running("database.v1.1.0", isDatabase11)},
		}},
		"a range keeps it from the newest": {whyOptions{pkg: "database"}, asked{
			objects: []client.Object{shopGroup(), pinned(subscribed("database", "stable", "database.v1.0.0"), "<1.1.0"), running("database.v1.0.0", isDatabase1)},
		}},
		"it is on its way": {whyOptions{pkg: "database"}, asked{
			objects: []client.Object{shopGroup(), subscribed("database", "fast", "")},
		}},
		"nobody offers what it needs": {whyOptions{pkg: "queue"}, asked{
			objects: []client.Object{shopGroup(), subscribed("queue", "stable", "")},
		}},
		"nobody offers what it needs, as data": {whyOptions{pkg: "queue", output: "json"}, asked{
			objects: []client.Object{shopGroup(), subscribed("queue", "stable", "")},
		}},
		"a dependency is here for another": {whyOptions{pkg: "vault"}, asked{
			objects: []client.Object{shopGroup(), subscribed("database", "fast", "database.v2.0.0"), running("database.v2.0.0", isDatabase2), running("vault.v1.0.0", isVault)},
		}},
		"nothing is resolved without an OperatorGroup": {whyOptions{pkg: "database"}, asked{
			objects: []client.Object{subscribed("database", "stable", "")},
		}},
		"the catalog cannot be reached from here": {whyOptions{pkg: "database"}, asked{
			objects: []client.Object{shopGroup(), subscribed("database", "stable", "")}, address: "gone",
		}},
		"nobody subscribed": {whyOptions{pkg: "vault"}, asked{
			objects: []client.Object{shopGroup()}, wantKind: failure.NotFound, wantHint: "olm plan vault --add vault -n shop",
		}},
		"the format is unknown": {whyOptions{pkg: "database", output: "xml"}, asked{
			objects: []client.Object{shopGroup(), subscribed("database", "stable", "")}, wantKind: failure.Invalid, wantHint: "use -o table, json or yaml",
		}},
	}
	want := answersIn(t, "why.txtar")
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.options.output == "" {
				tt.options.output = "table"
			}
			tt.check(t, want, func(q *questioner, out *bytes.Buffer) error { return runWhy(t.Context(), q, out, tt.options) })
		})
	}
}
