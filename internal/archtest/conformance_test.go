package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestConformanceIndex fails if the index of lifecycle scenarios leaves one out
// or names a test that does not exist.
func TestConformanceIndex(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "conformance-lifecycle.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	files := regexp.MustCompile("((?:`Test[A-Za-z0-9]+`(?: and |, )?)+) in `([a-z0-9/_]+_test\\.go)`")
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, id := range regexp.MustCompile(`[VIG]\d\d`).FindAllString(cells[1], -1) {
			seen[id]++
		}
		for _, match := range files.FindAllStringSubmatch(cells[3], -1) {
			path := match[2]
			if !strings.HasPrefix(path, "internal/") && !strings.HasPrefix(path, "pkg/") {
				path = "pkg/controller/" + path
			}
			code, err := os.ReadFile(filepath.Join(root, path))
			if err != nil {
				t.Error(err)
				continue
			}
			for _, name := range regexp.MustCompile("Test[A-Za-z0-9]+").FindAllString(match[1], -1) {
				if !strings.Contains(string(code), "func "+name+"(") {
					t.Errorf("%s has no %s", path, name)
				}
			}
		}
	}
	for letter, last := range map[string]int{"V": 33, "I": 27, "G": 13} {
		for i := 1; i <= last; i++ {
			if id := fmt.Sprintf("%s%02d", letter, i); seen[id] != 1 {
				t.Errorf("%s is in the index %d times, want once", id, seen[id])
			}
		}
	}
}
