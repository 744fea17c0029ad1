package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/internal/testkit"
)

// TestDiffAgainstCluster asks what catalogs would do to an operator that runs,
// before any of them is published.
func TestDiffAgainstCluster(t *testing.T) {
	s := startStack(t)
	if _, err := testkit.Program("olm"); err != nil { // catalog runs it
		t.Fatal(err)
	}
	old := databases(t, "1.0.0")
	s.catalogSource(t, "databases", serve(t, old))
	ns := s.Namespace(t, "shop")
	s.group(t, ns, ns)
	key := s.subscribe(t, wish{ns: ns, pkg: "database", channel: "stable", catalog: "databases"})
	s.waitInstalled(t, key, "database.v1.0.0")

	type row struct{ Namespace, Subscription, Package, Now, Then, Effect, Message string }
	told := func(next string, flags ...string) []row {
		t.Helper()
		text, err := testkit.Run(t.Context(), "catalog", append([]string{"diff", old, next, "--against-cluster", "--kubeconfig", s.Kubeconfig, "-o", "json"}, flags...)...)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Cluster []row }
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Cluster
	}

	is := row{Namespace: ns, Subscription: "database", Package: "database", Now: "database.v1.0.0", Then: "database.v1.0.0", Effect: "stays"}
	if diff := cmp.Diff([]row{is}, told(old)); diff != "" {
		t.Errorf("the same catalog (-want +got):\n%s", diff)
	}
	dropped := filepath.Join(t.TempDir(), "other.yaml")
	text := `schema: olm.package
name: other
defaultChannel: stable
---
schema: olm.channel
package: other
name: stable
entries: [{name: other.v1.0.0}]
---
schema: olm.bundle
package: other
name: other.v1.0.0
image: example.invalid/other:1.0.0
properties: [{type: olm.package, value: {packageName: other, version: 1.0.0}}]
`
	if err := os.WriteFile(dropped, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := told(dropped)
	if len(got) != 1 || !strings.Contains(got[0].Message, "no operators found in package database in the catalog") {
		t.Fatalf("a catalog without the package: %+v", got)
	}
	blocked := is
	blocked.Effect, blocked.Message = "no longer solvable", got[0].Message
	if diff := cmp.Diff([]row{blocked}, got); diff != "" {
		t.Errorf("a catalog without the package (-want +got):\n%s", diff)
	}

	_, err := testkit.Run(t.Context(), "catalog", "diff", old, old, "--against-cluster", "--kubeconfig", s.Kubeconfig, "--catalog", "olm/missing")
	exit, ok := errors.AsType[*testkit.ExitError](err)
	if !ok || exit.Code != 3 || !strings.Contains(exit.Stderr, "there is no catalog olm/missing") {
		t.Errorf("a catalog that is not there: %v, want exit code 3", err)
	}
	upgraded := is
	upgraded.Then, upgraded.Effect = "database.v1.1.0", "changes"
	if diff := cmp.Diff([]row{upgraded}, told(databases(t, "1.0.0", "1.1.0"), "--catalog", "olm/databases")); diff != "" {
		t.Errorf("a catalog with a later version (-want +got):\n%s", diff)
	}
}
