package constraint

import (
	"encoding/json"
	"strings"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/registry"
)

// ExamplePackage is the package of an example for a requirement that names none.
const ExamplePackage = "example"

// Example returns a bundle that meets a requirement, so that what its presence
// would change can be tried. It reports false if it cannot think of one.
func Example(p Predicate) (registry.Bundle, bool) {
	b := registry.Bundle{Package: ExamplePackage, Name: "example.v1.0.0", Version: "1.0.0"}
	complete(&b, p)
	return b, p.Match(Read(&b))
}

func complete(b *registry.Bundle, p Predicate) {
	switch p := p.(type) {
	case gvkPredicate:
		b.Properties = append(b.Properties, property(registry.PropertyGVK, map[string]string{
			"group": p.api.Group, "kind": p.api.Kind, "version": p.api.Version,
		}))
	case labelPredicate:
		b.Properties = append(b.Properties, property(registry.PropertyLabel, map[string]string{"label": p.label}))
	case packagePredicate:
		b.Package, b.Version = p.name, p.version()
		b.Name = p.name + ".v" + b.Version
	case explained:
		complete(b, p.Predicate)
	case compound:
		for _, part := range p.parts {
			if p.kind != "not" {
				complete(b, part)
			}
			if p.kind == "any" {
				return
			}
		}
	}
}

// version returns a version in the range: one of its bounds, or next to one.
func (p packagePredicate) version() string {
	for field := range strings.FieldsSeq(p.text) {
		v, err := semver.ParseTolerant(strings.ReplaceAll(strings.TrimLeft(field, "<>=!"), "x", "0"))
		if err != nil {
			continue
		}
		above := v
		above.Patch++
		below := v
		below.Pre = []semver.PRVersion{{VersionNum: 0, IsNum: true}}
		for _, near := range []semver.Version{v, above, below} {
			if p.check(near) {
				return near.String()
			}
		}
	}
	return "1.0.0"
}

func property(kind string, value any) registry.Property {
	raw, err := json.Marshal(value)
	if err != nil {
		return registry.Property{}
	}
	return registry.Property{Type: kind, Value: raw}
}
