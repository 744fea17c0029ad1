package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRealData builds catalogs of real sources of every layout. Each passes
// validate, says what could not be placed, and is the same after it was
// converted and read again.
func TestRealData(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	data := filepath.Join("..", "..", "..", "shared", "data")
	if d := os.Getenv("OLM_TESTDATA"); d != "" {
		data = d
	}
	if _, err := os.Stat(data); err != nil {
		t.Skip("no test data; set OLM_TESTDATA")
	}
	for name, test := range map[string]struct {
		source, graph string
		want          string   // of validate
		wantLeft      []string // of build
		left          int      // things that are left out or without a place
	}{
		"a file-based catalog": {source: "catalogs/community-v4.21", want: "valid: 33 packages, 745 bundles"},
		"bundles by version":   {source: "bundles", graph: "semver", want: "valid: 22 packages, 122 bundles"},
		"bundles by their edges": {
			source: "bundles", want: "valid: 22 packages, 89 bundles",
			wantLeft: []string{
				`package "snapscheduler": 8 of 9 bundles have no place in a channel, 8 are left out of the catalog`,
				`bundle "snapscheduler.v3.4.0" is not in channel candidate, stable`,
				`channel "stable" ends at "self-node-remediation.v0.12.0", which replaces "self-node-remediation.v0.11.0", which is not there`,
			},
			left: 33,
		},
		"package manifests": {
			source: "package-manifests", want: "valid: 3 packages, 10 bundles",
			wantLeft: []string{`channel "original_40" of package "postgresql" is left out: its currentCSV "postgresoperator.v4.0.1" is not there`},
			left:     4,
		},
	} {
		t.Run(name, func(t *testing.T) {
			source, dir := filepath.Join(data, test.source), t.TempDir()
			graph := "--graph=" + test.graph
			if test.graph == "" {
				graph = "--graph=replaces"
			}
			_, stderr := command(t, "build", graph, "-o", filepath.Join(dir, "a.db"), source)
			for _, want := range test.wantLeft {
				if !strings.Contains(stderr, want) {
					t.Errorf("build does not say %q:\n%s", want, stderr)
				}
			}
			if got := strings.Count(stderr, "left out of the catalog (") + strings.Count(stderr, "is left out:"); got != test.left {
				t.Errorf("build leaves out %d, want %d:\n%s", got, test.left, stderr)
			}
			if stdout, _ := command(t, "validate", filepath.Join(dir, "a.db")); strings.TrimSpace(stdout) != test.want {
				t.Errorf("validate says %s, want %s", stdout, test.want)
			}
			command(t, "convert", filepath.Join(dir, "a.db"), filepath.Join(dir, "fbc"))
			if stdout, _ := command(t, "diff", filepath.Join(dir, "a.db"), filepath.Join(dir, "fbc")); stdout != "the catalogs say the same\n" {
				t.Errorf("diff with what was converted says %s", stdout)
			}
		})
	}
}

// command runs the program, which must not fail.
func command(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, talk bytes.Buffer
	if code := run(t.Context(), args, &out, &talk); code != 0 {
		t.Fatalf("catalog %s: exit code %d\n%s", strings.Join(args, " "), code, talk.String())
	}
	return out.String(), talk.String()
}
