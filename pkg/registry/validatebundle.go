package registry

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/blang/semver/v4"
)

// checkBundle returns the version of a bundle, canonical and with its release
// (empty if it has none that is valid), and what is wrong with the bundle.
func checkBundle(b Bundle) (version string, problems []Problem) {
	add := func(format string, args ...any) {
		problems = append(problems, Problem{Message: fmt.Sprintf(format, args...)})
	}
	if b.Name == "" {
		add("name must be set")
	}
	var identities []PackageProperty
	for i, p := range b.Properties {
		identity, err := parseProperty(p)
		if err != nil {
			add("parse properties for bundle %q: parse property[%d] of type %q: %v", b.Name, i, p.Type, err)
		}
		if identity != nil {
			identities = append(identities, *identity)
		}
	}
	if len(identities) != 1 {
		add("package %q bundle %q must have exactly 1 \"olm.package\" property, found %d", b.Package, b.Name, len(identities))
	} else {
		var found []Problem
		version, found = checkIdentity(b, identities[0])
		problems = append(problems, found...)
	}
	if b.Image == "" && len(b.Content.Objects) == 0 {
		problems = append(problems, Problem{Message: "bundle image must be set", Hint: "name the image or put its manifests into properties olm.bundle.object"})
	}
	if err := checkImage(b.Image); err != nil {
		add("image: %v", err)
	}
	for i, image := range b.RelatedImages {
		if err := checkImage(image.Image); err != nil {
			add("relatedImages[%d].image: %v", i, err)
		}
	}
	return version, problems
}

// checkIdentity looks at the property olm.package.
func checkIdentity(b Bundle, id PackageProperty) (version string, problems []Problem) {
	add := func(hint, format string, args ...any) {
		problems = append(problems, Problem{Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if id.PackageName != b.Package {
		add("", "package %q does not match %q property %q", b.Package, PropertyPackage, id.PackageName)
	}
	v, err := semver.Parse(id.Version)
	if err != nil {
		add("write it as MAJOR.MINOR.PATCH without a v", "error parsing bundle %q version %q: %v", b.Name, id.Version, err)
		return "", problems
	}
	version = v.String()
	if id.Release == "" {
		return version, problems
	}
	if err := checkRelease(id.Release); err != nil {
		add("", "error parsing bundle %q release version %q: %v", b.Name, id.Release, err)
		return "", problems
	}
	if len(v.Build) > 0 {
		add("", "cannot use build metadata in version with a release version")
	}
	if want := fmt.Sprintf("%s-v%s-%s", id.PackageName, id.Version, id.Release); b.Name != want {
		add("", "name %q does not match normalized name %q", b.Name, want)
	}
	return version + "-" + id.Release, problems
}

// parseProperty fails if a property is not what its type promises. It returns
// the value of olm.package.
func parseProperty(p Property) (*PackageProperty, error) {
	if p.Type == "" {
		return nil, fmt.Errorf("type must be set")
	}
	if len(p.Value) == 0 {
		return nil, fmt.Errorf("value must be set")
	}
	switch p.Type {
	case PropertyPackage:
		var v PackageProperty
		return &v, json.Unmarshal(p.Value, &v)
	case PropertyGVK, PropertyGVKRequired:
		var v struct{ Group, Kind, Version string }
		return nil, json.Unmarshal(p.Value, &v)
	case PropertyPackageRequired:
		var v struct{ PackageName, VersionRange string }
		return nil, json.Unmarshal(p.Value, &v)
	}
	if !json.Valid(p.Value) {
		return nil, fmt.Errorf("value is not JSON: %s", strings.TrimSpace(string(p.Value)))
	}
	return nil, nil //nolint:nilnil // other types have no identity
}
