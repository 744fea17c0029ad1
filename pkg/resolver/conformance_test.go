package resolver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// conformanceCases returns the ids of all cases that are known.
func conformanceCases() map[string]bool {
	all := map[string]bool{"F00": true, "X01": true, "X02": true, "C03": true, "C06": true, "C15": true, "C20": true, "C23": true, "K06": true}
	for about, count := range map[string]int{"RF": 60, "S": 37, "F": 7} {
		for n := range count {
			all[fmt.Sprintf("%s%02d", about, n+1)] = true
		}
	}
	return all
}

var (
	caseID     = regexp.MustCompile(`^[A-Z]+\d\d$`)
	quotedTest = regexp.MustCompile("`([^`]+)`")
)

// TestConformance compares docs/conformance-resolver.md with the tests.
func TestConformance(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "conformance-resolver.md"))
	if err != nil {
		t.Fatal(err)
	}
	open := conformanceCases()
	tested, without, _ := strings.Cut(string(page), "## Without")
	for i, part := range []string{tested, without} {
		for line := range strings.Lines(part) {
			cells := strings.Split(strings.TrimSpace(line), "|")
			if len(cells) != 5 || !caseID.MatchString(strings.TrimSpace(cells[1])) {
				continue
			}
			id := strings.TrimSpace(cells[1])
			if !open[id] {
				t.Errorf("%s is on the page twice, or is no case", id)
			}
			delete(open, id)
			if strings.TrimSpace(cells[3]) == "" {
				t.Errorf("nothing is said of %s", id)
			}
			if i == 0 {
				checkNamed(t, root, id, cells[3])
			}
		}
	}
	for id := range open {
		t.Errorf("%s is not on the page", id)
	}
}

// checkNamed fails unless tests are named, and exist.
func checkNamed(t *testing.T, root, id, cell string) {
	t.Helper()
	names := quotedTest.FindAllStringSubmatch(cell, -1)
	if len(names) == 0 {
		t.Errorf("%s names no test", id)
	}
	for _, name := range names {
		path, part, _ := strings.Cut(name[1], ": ")
		if !strings.Contains(path, "/") {
			path = "pkg/resolver/testdata/" + path
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Errorf("%s: %v", id, err)
		} else if !strings.Contains(string(text), part) {
			t.Errorf("%s: %q is not in %s", id, part, path)
		}
	}
}
