package main

import (
	"regexp"
	"testing"

	"github.com/blang/semver/v4"
	"pgregory.net/rapid"
)

func TestVersionPattern(t *testing.T) {
	pattern := regexp.MustCompile(versionPattern)
	for text, want := range map[string]bool{
		"1.2.3": true, "v1.2.3": true, "1.2": true, "1": true, "01.02.03": true, " 1.2.3 ": true,
		"1.0.0-alpha.1+build.5": true, "4.21.0-202608220000": true, "0.9.2-clusterwide": true,
		"": false, "abc": false, "1.2.3-01": false, "1.2-alpha": false, "1.2.3.4": false, "99999999999999999999.0.0": false,
	} {
		if got := pattern.MatchString(text); got != want {
			t.Errorf("pattern matches %q: %v, want %v", text, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(versionPattern).Draw(t, "version")
		if _, err := semver.ParseTolerant(text); err != nil {
			t.Fatalf("%q is admitted and cannot be read: %v", text, err)
		}
	})
}

func TestDefinitionsGuardVersions(t *testing.T) {
	if got := len(definitions()); got != 8 {
		t.Fatalf("definitions() returns %d kinds, want 8", got)
	}
}
