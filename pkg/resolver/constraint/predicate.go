package constraint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/registry"
)

// Predicate is a requirement on one bundle. String is the clause that the
// existing resolver prints after "requires an operator".
type Predicate interface {
	fmt.Stringer
	// Match reports whether a bundle with these facts meets the requirement.
	Match(f *Facts) bool
	// Keys narrows down the bundles that can meet it.
	Keys() Keys
	// Subject names what is required, whatever its version, so that the same
	// requirement of several versions of a bundle can be told as one.
	Subject() string
}

// Keys says where to look for bundles: one that meets the requirement provides
// one of the APIs or belongs to one of the packages, unless Anywhere.
type Keys struct {
	APIs     []registry.GVK
	Packages []string
	Anywhere bool
}

type gvkPredicate struct{ api registry.GVK }

func (p gvkPredicate) Match(f *Facts) bool { return slices.Contains(f.APIs, p.api) }
func (p gvkPredicate) Keys() Keys          { return Keys{APIs: []registry.GVK{p.api}} }
func (p gvkPredicate) Subject() string     { return p.String() }

func (p gvkPredicate) String() string {
	return fmt.Sprintf("providing an API with group: %s, version: %s, kind: %s", p.api.Group, p.api.Version, p.api.Kind)
}

type packagePredicate struct {
	name  string
	text  string // the range as written
	check semver.Range
}

// Match takes the name and the version from wherever the bundle states them,
// as the existing resolver does.
func (p packagePredicate) Match(f *Facts) bool {
	named := f.Package == p.name || slices.ContainsFunc(f.Packages, func(id Identity) bool { return id.Name == p.name })
	return named && slices.ContainsFunc(f.versions, func(v semver.Version) bool { return p.check(v) })
}

func (p packagePredicate) Keys() Keys      { return Keys{Packages: []string{p.name}} }
func (p packagePredicate) Subject() string { return "with package: " + p.name }

func (p packagePredicate) String() string {
	return fmt.Sprintf("with package: %s and with version in range: %s", p.name, p.text)
}

type labelPredicate struct{ label string }

func (p labelPredicate) Match(f *Facts) bool { return slices.Contains(f.Labels, p.label) }
func (p labelPredicate) Keys() Keys          { return Keys{Anywhere: true} }
func (p labelPredicate) Subject() string     { return p.String() }
func (p labelPredicate) String() string      { return "with label: " + p.label }

// compound is all, any or not of other predicates, on one and the same bundle.
type compound struct {
	kind  string // "all", "any" or "not"
	parts []Predicate
}

func (p compound) Match(f *Facts) bool {
	matches := func(q Predicate) bool { return q.Match(f) }
	switch p.kind {
	case "all":
		return !slices.ContainsFunc(p.parts, func(q Predicate) bool { return !q.Match(f) })
	case "any":
		return slices.ContainsFunc(p.parts, matches)
	default:
		return !slices.ContainsFunc(p.parts, matches)
	}
}

func (p compound) Keys() Keys {
	switch p.kind {
	case "all":
		for _, part := range p.parts {
			if k := part.Keys(); !k.Anywhere {
				return k
			}
		}
	case "any":
		var union Keys
		for _, part := range p.parts {
			k := part.Keys()
			union.Anywhere = union.Anywhere || k.Anywhere
			union.APIs = append(union.APIs, k.APIs...)
			union.Packages = append(union.Packages, k.Packages...)
		}
		return union
	}
	return Keys{Anywhere: true}
}

func (p compound) Subject() string { return p.String() }

// String puts in brackets what could be read in two ways.
func (p compound) String() string {
	texts := make([]string, len(p.parts))
	for i, part := range p.parts {
		texts[i] = part.String()
		if inner, ok := part.(compound); ok && inner.kind != p.kind && (inner.kind == "any" || p.kind != "all") {
			texts[i] = "(" + texts[i] + ")"
		}
	}
	switch p.kind {
	case "all":
		return strings.Join(texts, " and ")
	case "any":
		return strings.Join(texts, " or ")
	default:
		return "not " + strings.Join(texts, " and not ")
	}
}

// explained is a predicate with the message of its author for when it fails.
type explained struct {
	Predicate
	message string
}

func (p explained) String() string {
	return fmt.Sprintf("%s and message: %q", p.Predicate, p.message)
}

// isRequirement reports whether properties of a type require something.
func isRequirement(kind string) bool {
	switch kind {
	case registry.PropertyGVKRequired, registry.PropertyPackageRequired, registry.PropertyLabelRequired, registry.PropertyConstraint:
		return true
	}
	return false
}

// parse returns the requirement that a property states; nil if it states none.
func parse(p registry.Property) (Predicate, error) {
	switch p.Type {
	case registry.PropertyGVKRequired:
		api, err := readGVK(p.Value)
		return gvkPredicate{api}, err
	case registry.PropertyPackageRequired:
		var v packageValue
		if err := json.Unmarshal(p.Value, &v); err != nil {
			return nil, err
		}
		return newPackage(v)
	case registry.PropertyLabelRequired:
		var v struct{ Label string }
		err := json.Unmarshal(p.Value, &v)
		return labelPredicate{v.Label}, err
	case registry.PropertyConstraint:
		return parseConstraint(p.Value)
	default:
		return nil, nil
	}
}

type packageValue struct {
	PackageName  string `json:"packageName"`
	VersionRange string `json:"versionRange"`
}

func newPackage(v packageValue) (Predicate, error) {
	check, err := registry.ParseRange(v.VersionRange)
	if err != nil {
		return nil, fmt.Errorf("version range %q of package %q: %w", v.VersionRange, v.PackageName, err)
	}
	return packagePredicate{name: v.PackageName, text: v.VersionRange, check: check}, nil
}
