package registry_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// scenarioCounts says how many scenarios there are by what they are about.
var scenarioCounts = map[string]int{
	"rpc": 34, "exp": 8, "cli": 1, "gr": 13, "va": 37, "er": 1, "ld": 23, "wr": 2, "pr": 3, "ve": 10, "bp": 13, "bv": 6, "bg": 3, "bi": 1, "cm": 3,
	"e2e": 2, "tp": 17, "re": 4, "mg": 1, "mi": 1, "li": 1, "in": 1, "df": 1, "mm": 3, "ns": 1, "ca": 10, "ad": 15, "sp": 9, "sm": 8, "sf": 6,
	"ov": 11, "de": 16, "rm": 2, "qs": 5, "ex": 1, "ck": 1,
}

func allScenarios() map[string]bool {
	all := map[string]bool{"mg-10": true, "mg-11": true}
	for about, count := range scenarioCounts {
		for n := range count {
			all[fmt.Sprintf("%s-%02d", about, n+1)] = true
		}
	}
	return all
}

var (
	scenarioID = regexp.MustCompile(`^([a-z0-9]+)-(\d\d)$`)
	quotedPath = regexp.MustCompile("`([^`]+)`")
)

// idsOf reads "a-01…a-03, b-01".
func idsOf(t *testing.T, cell string) []string {
	t.Helper()
	var ids []string
	for part := range strings.SplitSeq(cell, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "…")
		if !isRange {
			last = first
		}
		a, b := scenarioID.FindStringSubmatch(first), scenarioID.FindStringSubmatch(last)
		if a == nil || b == nil || a[1] != b[1] {
			t.Fatalf("%q names no scenarios", part)
		}
		from, _ := strconv.Atoi(a[2])
		to, _ := strconv.Atoi(b[2])
		for n := from; n <= to; n++ {
			ids = append(ids, fmt.Sprintf("%s-%02d", a[1], n))
		}
	}
	return ids
}

// TestConformance compares docs/conformance.md with the tests.
func TestConformance(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	open := allScenarios()
	tested, _, _ := strings.Cut(string(page), "## Without")
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || strings.HasPrefix(cells[1], "-") || strings.TrimSpace(cells[1]) == "scenarios" {
			continue
		}
		ids := idsOf(t, cells[1])
		for _, id := range ids {
			if !open[id] {
				t.Errorf("%s is on the page twice, or is no scenario", id)
			}
			delete(open, id)
		}
		if strings.TrimSpace(cells[3]) == "" {
			t.Errorf("nothing is said of %s", cells[1])
		}
		if strings.Contains(tested, line) {
			checkTested(t, root, ids, cells[3])
		}
	}
	for id := range open {
		t.Errorf("%s is not on the page", id)
	}
}

// checkTested fails if an id is in none of the files that are named.
func checkTested(t *testing.T, root string, ids []string, cell string) {
	t.Helper()
	var texts string
	for _, match := range quotedPath.FindAllStringSubmatch(cell, -1) {
		path := match[1]
		if !strings.HasPrefix(path, "cmd/") && !strings.HasPrefix(path, "pkg/") {
			path = filepath.Join("pkg", "registry", path)
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
		}
		texts += string(text)
	}
	for _, id := range ids {
		if !strings.Contains(texts, id) {
			t.Errorf("%s is not in %s", id, cell)
		}
	}
}
