package registry_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"chandler.dev/olm/pkg/registry"
)

// versioned returns a bundle with an olm.package property.
func versioned(version, release string) registry.Bundle {
	value, _ := json.Marshal(registry.PackageProperty{PackageName: "p", Version: version, Release: release})
	return registry.Bundle{Package: "p", Name: "p.v" + version, Properties: []registry.Property{{Type: registry.PropertyPackage, Value: value}}}
}

// TestVersionOrder runs the scenarios ve-01 … ve-03, where build metadata
// counts, and the order of releases.
func TestVersionOrder(t *testing.T) {
	for _, test := range []string{
		"ve-01 1.0.0 < 1.0.1", "ve-01 1.0.0+1 < 1.0.0+2", "ve-01 1.0.0+1 < 1.0.1+2", "ve-01 1.0.0+1 < 1.1.0+2",
		"ve-01 1.0.0+1 < 2.0.0+2", "ve-01 1.0.0+1 < 1.0.1-1", "ve-01 1.0.0 < 1.0.0+1",
		"ve-02 1.0.0+2 > 1.0.0+1", "ve-02 1.0.0+0.123 > 1.0.0", "ve-02 1.0.0-1+0.123 > 1.0.0-1",
		"ve-03 1.0.0+1 = 1.0.0+1",
		"numbers 1.0.0+2 < 1.0.0+10", "letters 1.0.0+r2 > 1.0.0+r10", "longer 1.0.0+1 < 1.0.0+1.0",
		"release 1.0.0/1 < 1.0.0/2", "release 1.0.0/1 > 1.0.0", "release 1.0.0/rc < 1.0.0/rc.1", "release 1.0.1 > 1.0.0/9",
	} {
		t.Run(test, func(t *testing.T) {
			words := strings.Fields(test)
			of := func(text string) registry.Version {
				version, release, _ := strings.Cut(text, "/")
				v, err := registry.VersionOf(versioned(version, release))
				if err != nil {
					t.Fatal(err)
				}
				return v.WithBuild()
			}
			want := map[string]int{"<": -1, "=": 0, ">": 1}[words[2]]
			if got := of(words[1]).Compare(of(words[3])); got != want {
				t.Errorf("Compare(%s, %s) = %d, want %d", words[1], words[3], got, want)
			}
			if got := of(words[3]).Compare(of(words[1])); got != -want {
				t.Errorf("Compare(%s, %s) = %d, want %d", words[3], words[1], got, -want)
			}
		})
	}
}

// TestBuildIsNoRelease shows that build metadata orders nothing unless asked.
func TestBuildIsNoRelease(t *testing.T) {
	a, errA := registry.VersionOf(versioned("1.0.0+1", ""))
	b, errB := registry.VersionOf(versioned("1.0.0+2", ""))
	if errA != nil || errB != nil || a.Compare(b) != 0 {
		t.Errorf("Compare(1.0.0+1, 1.0.0+2) = %d, %v, %v, want 0", a.Compare(b), errA, errB)
	}
}

// TestVersionOf runs the scenarios ve-04, ve-05, ve-08 and ve-09: what a bundle
// says, and its version with the release behind a dash.
func TestVersionOf(t *testing.T) {
	csv := func(annotations string) registry.Content {
		return registry.Content{CSV: fmt.Appendf(nil, `{"kind":"ClusterServiceVersion","metadata":{"annotations":%s}}`, annotations)}
	}
	metadata := func(annotations string) registry.Content {
		return registry.Content{Metadata: fmt.Appendf(nil, `{"annotations":%s}`, annotations)}
	}
	const substitutes = `{"olm.substitutesFor":"p.v1"}`
	twice := versioned("1.0.0", "")
	twice.Properties = append(twice.Properties, twice.Properties...)
	type row struct {
		bundle    registry.Bundle
		content   registry.Content
		want      string
		wantError string
	}
	tests := map[string]row{
		"ve-08 an annotation of the manifests":             {bundle: versioned("1.0.0+r1", ""), content: csv(substitutes), want: "1.0.0-r1"},
		"ve-08 an annotation of the metadata":              {bundle: versioned("1.0.0+r1", ""), content: metadata(substitutes), want: "1.0.0-r1"},
		"ve-08 no manifests":                               {bundle: versioned("1.0.0+r1", ""), want: "1.0.0+r1"},
		"ve-08 no annotations":                             {bundle: versioned("1.0.0+r1", ""), content: csv("null"), want: "1.0.0+r1"},
		"ve-08 another annotation":                         {bundle: versioned("1.0.0+r1", ""), content: csv(`{"a":"b"}`), want: "1.0.0+r1"},
		"ve-08 an annotation that is empty":                {bundle: versioned("1.0.0+r1", ""), content: csv(`{"olm.substitutesFor":""}`), want: "1.0.0+r1"},
		"ve-08 manifests that cannot be read":              {bundle: versioned("1.0.0+r1", ""), content: csv("5"), want: "1.0.0+r1"},
		"ve-08 metadata that cannot be read":               {bundle: versioned("1.0.0+r1", ""), content: metadata("5"), want: "1.0.0+r1"},
		"ve-08 the manifests count whatever metadata says": {bundle: versioned("1.0.0+r1", ""), content: registry.Content{CSV: csv(substitutes).CSV, Metadata: metadata("{}").Metadata}, want: "1.0.0-r1"},
		"ve-09 several segments":                           {bundle: versioned("1.0.0+r1.2", ""), content: csv(substitutes), want: "1.0.0-r1.2"},
		"ve-09 nothing to make a release of":               {bundle: versioned("1.0.0", ""), content: csv(substitutes), want: "1.0.0"},
		"ve-09 a release of its own":                       {bundle: versioned("1.0.0+r1", "2"), content: csv(substitutes), want: "1.0.0+r1-2"},
		"ve-09 two identities":                             {bundle: twice, wantError: "must have exactly 1"},
		"ve-09 no identity":                                {bundle: registry.Bundle{Package: "p", Name: "b"}, wantError: "found 0"},
		"ve-09 an identity of another type":                {bundle: registry.Bundle{Properties: []registry.Property{{Type: registry.PropertyPackage, Value: []byte("[]")}}}, wantError: `parse property of type "olm.package"`},
		"ve-09 a version that is none":                     {bundle: versioned("v1", ""), wantError: `version "v1"`},
	}
	for _, release := range []string{"alpha", "1", "alpha.1.beta.2", "rc-1.beta-2", "12345678901234567890", "0", "0alpha"} {
		tests["ve-04 release "+release] = row{bundle: versioned("1.0.0", release), want: "1.0.0-" + release}
	}
	for _, release := range []string{"123456789012345678901", "01", "001", "alpha_beta"} {
		tests["ve-05 release "+release] = row{bundle: versioned("1.0.0", release), wantError: "invalid release"}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.bundle.Content = test.content
			got, err := registry.VersionOf(test.bundle)
			if test.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantError) {
					t.Errorf("VersionOf() error %v does not say %q", err, test.wantError)
				}
				return
			}
			if err != nil || got.String() != test.want {
				t.Errorf("VersionOf() = %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

// TestPackageProperty runs the scenario ve-07: the property as JSON.
func TestPackageProperty(t *testing.T) {
	for name, test := range map[string]struct {
		property registry.PackageProperty
		want     string
	}{
		"ve-07 only a version":      {registry.PackageProperty{PackageName: "p", Version: "1.0.0"}, `{"packageName":"p","version":"1.0.0"}`},
		"ve-07 with a release":      {registry.PackageProperty{PackageName: "p", Version: "1.0.0", Release: "rc.1"}, `{"packageName":"p","version":"1.0.0","release":"rc.1"}`},
		"ve-07 any version is text": {registry.PackageProperty{PackageName: "p", Version: "v1"}, `{"packageName":"p","version":"v1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(test.property)
			if err != nil || string(got) != test.want {
				t.Fatalf("Marshal() = %s, %v, want %s", got, err, test.want)
			}
			var back registry.PackageProperty
			if err := json.Unmarshal(got, &back); err != nil || back != test.property {
				t.Errorf("Unmarshal() = %v, %v, want %v", back, err, test.property)
			}
		})
	}
}
