// Package wire spells a catalog as the messages of package api, and back. It
// knows which fields each call fills and performs no I/O: rpc sends what it
// makes, sqlite keeps it ready to send.
package wire

import (
	"bytes"
	"encoding/json"
	"strings"

	"chandler.dev/olm/pkg/registry"
	api "chandler.dev/olm/proto"
)

// Types of dependencies that have a property of their own.
const (
	dependencyGVK     = "olm.gvk"
	dependencyPackage = "olm.package"
)

// Common returns the fields of a bundle that are the same in every channel,
// without its content and its deprecation.
func Common(b registry.Bundle) *api.Bundle {
	msg := &api.Bundle{
		CsvName:     text(b.Name),
		PackageName: text(b.Package),
		BundlePath:  text(b.Image),
		Version:     text(b.Version),
	}
	for _, p := range b.Properties {
		msg.Properties = append(msg.Properties, &api.Property{Type: text(p.Type), Value: text(string(p.Value))})
		switch p.Type {
		case registry.PropertyGVK:
			msg.ProvidedApis = append(msg.ProvidedApis, gvkMessage(p.Value))
		case registry.PropertyGVKRequired:
			msg.RequiredApis = append(msg.RequiredApis, gvkMessage(p.Value))
			msg.Dependencies = append(msg.Dependencies, &api.Dependency{Type: dependencyGVK, Value: text(string(p.Value))})
		case registry.PropertyPackageRequired:
			msg.Dependencies = append(msg.Dependencies, packageDependency(p.Value))
		}
	}
	return msg
}

// Place returns the fields of a bundle that say where an entry is in a channel.
func Place(channel string, e registry.Entry) *api.Bundle {
	msg := &api.Bundle{ChannelName: text(channel), SkipRange: text(e.SkipRange), Replaces: text(e.Replaces)}
	for _, s := range e.Skips {
		msg.Skips = append(msg.Skips, text(s))
	}
	return msg
}

// WithoutEdges removes what only ListBundles says of a place.
func WithoutEdges(place *api.Bundle) *api.Bundle {
	return &api.Bundle{ChannelName: place.GetChannelName(), SkipRange: place.GetSkipRange(), Deprecation: place.GetDeprecation()}
}

// Deprecation returns the message of a deprecation, nil if text is empty.
func Deprecation(message string) *api.Deprecation {
	if message == "" {
		return nil
	}
	return &api.Deprecation{Message: text(message)}
}

// Content returns the fields of a bundle that hold its manifests. A bundle of
// which only the metadata is known gets a ClusterServiceVersion made of it.
func Content(pkg registry.Package, b registry.Bundle) (*api.Bundle, error) {
	msg := &api.Bundle{CsvJson: text(string(b.Content.CSV))}
	for _, object := range b.Content.Objects {
		msg.Object = append(msg.Object, text(string(object)))
	}
	if msg.CsvJson != "" || len(b.Content.Metadata) == 0 {
		return msg, nil
	}
	csv, err := Summary(pkg, b)
	if err != nil {
		return nil, err
	}
	msg.CsvJson = text(string(csv))
	if len(msg.Object) == 0 {
		msg.Object = []string{msg.CsvJson}
	}
	return msg, nil
}

// Package returns the answer of GetPackage.
func Package(p registry.Package) *api.Package {
	msg := &api.Package{
		Name:               text(p.Name),
		DefaultChannelName: text(p.DefaultChannel),
		Deprecation:        Deprecation(p.Deprecation),
	}
	for _, ch := range p.Channels {
		msg.Channels = append(msg.Channels, &api.Channel{
			Name: text(ch.Name), CsvName: text(ch.Head), Deprecation: Deprecation(ch.Deprecation),
		})
	}
	return msg
}

// Provided returns the APIs that a bundle provides.
func Provided(b registry.Bundle) []registry.GVK {
	var all []registry.GVK
	for _, p := range b.Properties {
		if p.Type == registry.PropertyGVK {
			g := gvkMessage(p.Value)
			all = append(all, registry.GVK{Group: g.GetGroup(), Version: g.GetVersion(), Kind: g.GetKind()})
		}
	}
	return all
}

func gvkMessage(value json.RawMessage) *api.GroupVersionKind {
	var v struct{ Group, Version, Kind string }
	if err := json.Unmarshal(value, &v); err != nil {
		return &api.GroupVersionKind{} // validation has said so
	}
	return &api.GroupVersionKind{Group: text(v.Group), Version: text(v.Version), Kind: text(v.Kind)}
}

func packageDependency(value json.RawMessage) *api.Dependency {
	var v struct{ PackageName, VersionRange string }
	if err := json.Unmarshal(value, &v); err != nil {
		return &api.Dependency{Type: dependencyPackage, Value: text(string(value))}
	}
	return &api.Dependency{Type: dependencyPackage, Value: compact(struct {
		PackageName string `json:"packageName"`
		Version     string `json:"version"`
	}{v.PackageName, v.VersionRange})}
}

// compact returns JSON without spaces and without HTML escapes.
func compact(v any) string {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(buf.String(), "\n")
}

// text replaces what a proto3 string cannot hold.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
