package bundle

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/document"
)

// Types of dependencies that become a property of another name.
const (
	dependencyGVK     = "olm.gvk"
	dependencyPackage = "olm.package"
)

// propertySources is everything that says something about a bundle.
type propertySources struct {
	identity           registry.PackageProperty
	provided, required []gvk
	metadata           metadata
	annotation         string // olm.properties of the ClusterServiceVersion
}

// properties returns the properties of a bundle, each once, sorted by type and
// value. An explicit olm.package takes the place of the derived one.
func properties(s propertySources) []registry.Property {
	var all []registry.Property
	identity := property(registry.PropertyPackage, s.identity)
	for _, p := range append(slices.Clone(s.metadata.properties), annotated(s.annotation)...) {
		p := registry.Property{Type: p.Type, Value: canonical(p.Value)}
		if p.Type == registry.PropertyPackage {
			identity = p
			continue
		}
		all = append(all, p)
	}
	all = append(all, identity)
	for _, api := range s.provided {
		all = append(all, property(registry.PropertyGVK, api))
	}
	for _, api := range s.required {
		all = append(all, property(registry.PropertyGVKRequired, api))
	}
	for _, d := range s.metadata.dependencies {
		all = append(all, requirement(d))
	}
	slices.SortStableFunc(all, func(a, b registry.Property) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), bytes.Compare(a.Value, b.Value))
	})
	return slices.CompactFunc(all, func(a, b registry.Property) bool { return a.Type == b.Type && bytes.Equal(a.Value, b.Value) })
}

// annotated reads the list that an annotation may hold; other text is ignored.
func annotated(text string) []item {
	var all []item
	if text == "" || json.Unmarshal([]byte(text), &all) != nil {
		return nil
	}
	return all
}

// requirement returns the property that says the same as a dependency.
func requirement(d item) registry.Property {
	switch d.Type {
	case dependencyGVK:
		var v gvk
		if err := json.Unmarshal(d.Value, &v); err == nil {
			return property(registry.PropertyGVKRequired, v)
		}
		return registry.Property{Type: registry.PropertyGVKRequired, Value: canonical(d.Value)}
	case dependencyPackage:
		var v struct{ PackageName, Version string }
		if err := json.Unmarshal(d.Value, &v); err == nil {
			return property(registry.PropertyPackageRequired, map[string]string{"packageName": v.PackageName, "versionRange": v.Version})
		}
		return registry.Property{Type: registry.PropertyPackageRequired, Value: canonical(d.Value)}
	}
	return registry.Property{Type: d.Type, Value: canonical(d.Value)}
}

func property(kind string, value any) registry.Property {
	raw, err := document.Encode(value)
	if err != nil {
		raw = []byte("null")
	}
	return registry.Property{Type: kind, Value: raw}
}

func canonical(value json.RawMessage) json.RawMessage {
	out, err := document.FromJSON(value)
	if err != nil {
		return value
	}
	return out
}
