package registry_test

import (
	"strings"
	"testing"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/registry"
)

func TestParseRange(t *testing.T) {
	tests := map[string]struct {
		text, version string
		want          bool
		wantError     string
	}{
		"within":     {text: ">=1.0.0 <2.0.0", version: "1.5.0", want: true},
		"not within": {text: ">=1.0.0 <2.0.0", version: "2.0.0"},
		"npm":        {text: "^1.0.0", wantError: "^"},
		"no end":     {text: "1.0.0" + strings.Repeat(" || 1.0.0", 10_000_000), wantError: "the limit is 4096"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			within, err := registry.ParseRange(tt.text)
			if tt.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantError) {
					t.Errorf("error %.200v, want one that says %q", err, tt.wantError)
				}
				return
			}
			if err != nil || within(semver.MustParse(tt.version)) != tt.want {
				t.Errorf("ParseRange(%q) of %s is not %t, %v", tt.text, tt.version, tt.want, err)
			}
		})
	}
}

// FuzzRange reads any range, and asks it.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{">=1.0.0 <2.0.0", "1.x", ">=1.2.x || !1.0.0", "< 0.6.0", "<v1", "a||b", "1.0.0 - 2.0.0", "==1.0.0-alpha+b", "!=0.0.0-0", "x.x.x", ">", "> >1"} {
		f.Add(seed, "1.2.3-rc.1+b")
	}
	f.Fuzz(func(t *testing.T, text, version string) {
		within, err := registry.ParseRange(text)
		if (within == nil) != (err != nil) {
			t.Fatalf("ParseRange(%q) gives neither a range nor an error, or both", text)
		}
		v, versionErr := semver.Parse(version)
		if err != nil || versionErr != nil {
			return
		}
		if first, again := within(v), within(v); first != again {
			t.Fatalf("ParseRange(%q) has two answers for %s", text, version)
		}
	})
}
