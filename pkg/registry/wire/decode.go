package wire

import (
	"bytes"
	"encoding/json"
	"slices"

	"chandler.dev/olm/pkg/registry"
	api "chandler.dev/olm/proto"
)

// Stored reads what Common made of a bundle.
func Stored(msg *api.Bundle) registry.Bundle {
	b := registry.Bundle{
		Package:     msg.GetPackageName(),
		Name:        msg.GetCsvName(),
		Version:     msg.GetVersion(),
		Image:       msg.GetBundlePath(),
		Deprecation: msg.GetDeprecation().GetMessage(),
	}
	for _, p := range msg.GetProperties() {
		b.Properties = append(b.Properties, registry.Property{Type: p.GetType(), Value: json.RawMessage(p.GetValue())})
	}
	return b
}

// BundleOf reads a message of any server into a bundle without content. Old
// servers send APIs and dependencies beside the properties; they become
// properties here.
func BundleOf(msg *api.Bundle) registry.Bundle {
	b := Stored(msg)
	for i := range b.Properties {
		b.Properties[i].Value = canonical(b.Properties[i].Value)
	}
	known := func(kind string) bool {
		return slices.ContainsFunc(b.Properties, func(p registry.Property) bool { return p.Type == kind })
	}
	if !known(registry.PropertyPackage) {
		b.Properties = slices.Insert(b.Properties, 0, propertyOf(registry.PropertyPackage,
			registry.PackageProperty{PackageName: b.Package, Version: b.Version}))
	}
	if !known(registry.PropertyGVK) {
		b.Properties = append(b.Properties, gvkProperties(registry.PropertyGVK, msg.GetProvidedApis())...)
	}
	said := Common(b).GetDependencies()
	for _, d := range msg.GetDependencies() {
		if !slices.ContainsFunc(said, func(s *api.Dependency) bool { return sameDependency(s, d) }) {
			b.Properties = append(b.Properties, requirementOf(d))
		}
	}
	if !known(registry.PropertyGVKRequired) {
		b.Properties = append(b.Properties, gvkProperties(registry.PropertyGVKRequired, msg.GetRequiredApis())...)
	}
	return b
}

func sameDependency(a, b *api.Dependency) bool {
	return a.GetType() == b.GetType() && bytes.Equal(canonical([]byte(a.GetValue())), canonical([]byte(b.GetValue())))
}

// ContentOf reads the manifests of a message. A summary of a bundle whose
// manifests are in its image becomes the metadata that it was made of.
func ContentOf(msg *api.Bundle) registry.Content {
	csv := msg.GetCsvJson()
	objects := msg.GetObject()
	onlyCSV := len(objects) == 0 || len(objects) == 1 && objects[0] == csv
	if msg.GetBundlePath() != "" && csv != "" && onlyCSV {
		if m := metadataOf([]byte(csv)); m != nil {
			return registry.Content{Metadata: m}
		}
	}
	var c registry.Content
	if csv != "" {
		c.CSV = []byte(csv)
	}
	for _, object := range objects {
		c.Objects = append(c.Objects, []byte(object))
	}
	return c
}

// EntryOf reads the place of a message of ListBundles.
func EntryOf(msg *api.Bundle) registry.Entry {
	return registry.Entry{
		Name: msg.GetCsvName(), Replaces: msg.GetReplaces(), Skips: msg.GetSkips(), SkipRange: msg.GetSkipRange(),
	}
}

// requirementOf returns the property that says the same as a dependency.
func requirementOf(d *api.Dependency) registry.Property {
	value := canonical([]byte(d.GetValue()))
	switch d.GetType() {
	case dependencyGVK:
		return registry.Property{Type: registry.PropertyGVKRequired, Value: value}
	case dependencyPackage:
		var v struct{ PackageName, Version string }
		if err := json.Unmarshal(value, &v); err == nil {
			return propertyOf(registry.PropertyPackageRequired, struct {
				PackageName  string `json:"packageName"`
				VersionRange string `json:"versionRange"`
			}{v.PackageName, v.Version})
		}
		return registry.Property{Type: registry.PropertyPackageRequired, Value: value}
	case registry.PropertyLabel:
		return registry.Property{Type: registry.PropertyLabelRequired, Value: value}
	}
	return registry.Property{Type: d.GetType(), Value: value}
}

func gvkProperties(kind string, apis []*api.GroupVersionKind) []registry.Property {
	var all []registry.Property
	for _, g := range apis {
		all = append(all, propertyOf(kind, struct {
			Group   string `json:"group"`
			Kind    string `json:"kind"`
			Version string `json:"version"`
		}{g.GetGroup(), g.GetKind(), g.GetVersion()}))
	}
	return all
}

func propertyOf(kind string, value any) registry.Property {
	return registry.Property{Type: kind, Value: json.RawMessage(compact(value))}
}

// canonical writes JSON without spaces, keys sorted; it leaves alone what is
// no JSON.
func canonical(value []byte) json.RawMessage {
	var v any
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return value
	}
	return json.RawMessage(compact(v))
}
