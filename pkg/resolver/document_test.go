package resolver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestDocument runs the examples of docs/resolver.md.
func TestDocument(t *testing.T) {
	const open, end = "```txtar\n", "```\n"
	path := filepath.Join("..", "..", "docs", "resolver.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(raw), open)
	if len(parts) < 5 {
		t.Fatalf("%s has %d examples", path, len(parts)-1)
	}
	for i := 1; i < len(parts); i++ {
		example, rest, _ := strings.Cut(parts[i], end)
		archive := txtar.Parse([]byte(example))
		got := answerOf(t, archive)
		if diff := cmp.Diff(string(section(archive, "want")), got); diff != "" && !*update {
			t.Errorf("example %d (-want +got):\n%s", i, diff)
		}
		setSection(archive, "want", got)
		parts[i] = string(txtar.Format(archive)) + end + rest
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(parts, open)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
