package fbc

import (
	"strings"
	"testing"
)

// FuzzIgnore compares with a match that tries all ways.
func FuzzIgnore(f *testing.F) {
	f.Add("docs/", "docs/a/b")
	f.Add("/a/**/b\n!a/x/b", "a/x/y/b")
	f.Add("*.md\n\\#x\n[", "a/b.md")
	f.Add("**/a/**/a/**", "a/a/a/a")
	f.Fuzz(func(t *testing.T, text, file string) {
		if len(file) > 40 || len(text) > 60 { // all ways are many
			return
		}
		for _, p := range patterns(".", text) {
			names := strings.Split(file, "/")
			for n := range len(names) + 1 {
				if got, want := matchSegments(p.segments, names[:n]), matchAllWays(p.segments, names[:n]); got != want {
					t.Fatalf("%q matches %q: %t, want %t", p.segments, names[:n], got, want)
				}
			}
		}
		ignored(patterns("a", text), file)
	})
}

func matchAllWays(pattern, names []string) bool {
	if len(pattern) == 0 {
		return len(names) == 0
	}
	if pattern[0] == "**" {
		for n := range len(names) + 1 {
			if matchAllWays(pattern[1:], names[n:]) {
				return true
			}
		}
		return false
	}
	return len(names) > 0 && matchName(pattern[0], names[0]) && matchAllWays(pattern[1:], names[1:])
}
