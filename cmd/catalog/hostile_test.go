package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"chandler.dev/olm/internal/testkit"
	"chandler.dev/olm/internal/testkit/peak"
)

// TestHostileSources builds catalogs of sources that would fill the memory, in
// processes that are measured.
func TestHostileSources(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	program, err := testkit.Program("catalog") // this one may carry the race detector, which takes memory, too
	if err != nil {
		t.Fatal(err)
	}
	const gigabyte = 1 << 30
	tests := map[string]struct {
		start string // of the file
		size  int64  // it goes on with zeros, which take no place on the disk
		want  string
	}{
		"a GB of YAML":            {start: "schema: x\ntext: ", size: gigabyte, want: "catalog.yaml:1: the document is larger than 64 MiB"},
		"a GB of JSON":            {start: `{"schema":"`, size: gigabyte, want: "catalog.yaml:1: the document is larger than 64 MiB"},
		"a GB of zeros":           {size: gigabyte, want: "catalog.yaml:1: the document is larger than 64 MiB"},
		"aliases of aliases":      {start: "schema: x\na0: &a0 [x]\n" + aliases(9), want: "excessive aliasing"},
		"a million entries":       {start: `{"schema":"olm.channel","entries":[` + strings.Repeat(`{"name":"a"},`, 1_000_000) + `{}]}`, want: "more than 500000 values"},
		"a million properties":    {start: `{"schema":"olm.bundle","properties":[` + strings.Repeat(`{"type":"a","value":1},`, 1_000_000) + `{}]}`, want: "more than 500000 values"},
		"brackets in brackets":    {start: `{"schema":"x","a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", want: "more than 1000 levels"},
		"an index that is a hole": {start: "SQLite format 3\x00", size: gigabyte, want: "file is not a database"},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "catalog.yaml")
			if err := os.WriteFile(path, []byte(test.start), 0o600); err != nil {
				t.Fatal(err)
			}
			if test.size > 0 {
				if err := os.Truncate(path, test.size); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), program)
			cmd.Args = []string{"catalog", "build", "-o", filepath.Join(dir, "c.db"), path}
			out, ok := peak.Command(t, 320<<20, cmd)
			if ok || !strings.Contains(out, test.want) {
				t.Errorf("it says %.500s, want %q", out, test.want)
			}
			if code := cmd.ProcessState.ExitCode(); code != 2 {
				t.Errorf("it ended with code %d, want 2", code)
			}
			if _, err := os.Stat(filepath.Join(dir, "c.db")); err == nil {
				t.Error("there is a catalog file")
			}
		})
	}
}

// aliases is a text in which every level stands for ten of the one below.
func aliases(levels int) string {
	var b strings.Builder
	for n := range levels {
		to, from := string(rune('1'+n)), string(rune('0'+n))
		b.WriteString("a" + to + ": &a" + to + " [" + strings.Repeat("*a"+from+",", 9) + "*a" + from + "]\n")
	}
	return b.String()
}
