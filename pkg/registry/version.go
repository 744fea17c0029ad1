package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/blang/semver/v4"
)

const annotationSubstitutesFor = "olm.substitutesFor"

// Version orders the bundles of a package: by semantic version, then by
// release. No release is lower than any.
type Version struct {
	semver.Version

	Release []semver.PRVersion
}

// VersionOf returns the version of a bundle. One that says in an annotation
// that it substitutes for another one, as was done before there were releases,
// has its build metadata as its release. The error names what does not parse.
func VersionOf(b Bundle) (Version, error) {
	var found []PackageProperty
	for _, p := range b.Properties {
		if p.Type != PropertyPackage {
			continue
		}
		var id PackageProperty
		if err := json.Unmarshal(p.Value, &id); err != nil {
			return Version{}, fmt.Errorf("parse property of type %q: %w", p.Type, err)
		}
		found = append(found, id)
	}
	if len(found) != 1 {
		return Version{}, fmt.Errorf("package %q bundle %q must have exactly 1 %q property, found %d", b.Package, b.Name, PropertyPackage, len(found))
	}
	parsed, err := semver.Parse(found[0].Version)
	if err != nil {
		return Version{}, fmt.Errorf("error parsing bundle %q version %q: %w", b.Name, found[0].Version, err)
	}
	v := Version{Version: parsed}
	switch {
	case found[0].Release != "":
		if err := checkRelease(found[0].Release); err != nil {
			return Version{}, err
		}
		v.Release = identifiers(strings.Split(found[0].Release, "."))
	case len(parsed.Build) > 0 && substitutes(b.Content):
		v.Release, v.Build = identifiers(parsed.Build), nil
	}
	return v, nil
}

// WithBuild returns the version with its build metadata as the release, if it
// has none. Package manifests and bundle trees are ordered that way.
func (v Version) WithBuild() Version {
	if len(v.Release) == 0 {
		v.Release = identifiers(v.Build)
	}
	return v
}

// Compare returns -1, 0 or 1 if v is lower than, equal to or higher than other.
func (v Version) Compare(other Version) int {
	if c := v.Version.Compare(other.Version); c != 0 {
		return c
	}
	return slices.CompareFunc(v.Release, other.Release, semver.PRVersion.Compare)
}

func (v Version) String() string {
	if len(v.Release) == 0 {
		return v.Version.String()
	}
	var parts []string
	for _, id := range v.Release {
		parts = append(parts, id.String())
	}
	return v.Version.String() + "-" + strings.Join(parts, ".")
}

// identifiers reads the parts of a release. Build metadata may be what a
// release may not: it is ordered as a text then.
func identifiers(parts []string) []semver.PRVersion {
	var all []semver.PRVersion
	for _, part := range parts {
		id, err := semver.NewPRVersion(part)
		if err != nil {
			id = semver.PRVersion{VersionStr: part}
		}
		all = append(all, id)
	}
	return all
}

// substitutes reports whether the manifests or the metadata of a bundle have
// the annotation that was a release once.
func substitutes(c Content) bool {
	type annotated struct{ Annotations map[string]string }
	var csv struct{ Metadata annotated }
	if json.Unmarshal(c.CSV, &csv) == nil && csv.Metadata.Annotations[annotationSubstitutesFor] != "" {
		return true
	}
	var metadata annotated
	return json.Unmarshal(c.Metadata, &metadata) == nil && metadata.Annotations[annotationSubstitutesFor] != ""
}
