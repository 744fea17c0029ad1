package fbc

import (
	"encoding/json"
	"fmt"

	"chandler.dev/olm/pkg/registry"
	canon "chandler.dev/olm/pkg/registry/document"
)

// Schemas that the catalog itself consists of.
const (
	schemaPackage      = "olm.package"
	schemaChannel      = "olm.channel"
	schemaBundle       = "olm.bundle"
	schemaDeprecations = "olm.deprecations"
)

const csvKind = "ClusterServiceVersion"

type propertyBlob struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

type packageBlob struct {
	Schema         string         `json:"schema"`
	Name           string         `json:"name"`
	DefaultChannel string         `json:"defaultChannel"`
	Icon           *iconBlob      `json:"icon,omitempty"`
	Description    string         `json:"description,omitempty"`
	Properties     []propertyBlob `json:"properties,omitempty"`
}

type iconBlob struct {
	Data      []byte `json:"base64data"`
	MediaType string `json:"mediatype"`
}

type channelBlob struct {
	Schema     string         `json:"schema"`
	Name       string         `json:"name"`
	Package    string         `json:"package"`
	Entries    []entryBlob    `json:"entries"`
	Properties []propertyBlob `json:"properties,omitempty"`
}

type entryBlob struct {
	Name      string   `json:"name"`
	Replaces  string   `json:"replaces,omitempty"`
	Skips     []string `json:"skips,omitempty"`
	SkipRange string   `json:"skipRange,omitempty"`
}

type bundleBlob struct {
	Schema        string         `json:"schema"`
	Name          string         `json:"name,omitempty"`
	Package       string         `json:"package,omitempty"`
	Image         string         `json:"image"`
	Properties    []propertyBlob `json:"properties,omitempty"`
	RelatedImages []imageBlob    `json:"relatedImages,omitempty"`
}

type imageBlob struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

type deprecationsBlob struct {
	Schema  string             `json:"schema"`
	Package string             `json:"package"`
	Entries []deprecationEntry `json:"entries"`
}

type deprecationEntry struct {
	Reference struct {
		Schema string `json:"schema"`
		Name   string `json:"name,omitempty"`
	} `json:"reference"`
	Message string `json:"message"`
}

// decode reads a blob into the form of its schema.
func decode[T any](m meta, what string) (T, error) {
	var v T
	if err := json.Unmarshal(m.json, &v); err != nil {
		return v, &flaw{message: fmt.Sprintf("parse %s: %v", what, err), hint: "look at the field that is named"}
	}
	return v, nil
}

// bundleOf reads an olm.bundle.
func bundleOf(m meta) (*registry.Bundle, error) {
	blob, ok := plainBundle(m.fields)
	if !ok {
		var err error
		if blob, err = decode[bundleBlob](m, "bundle"); err != nil {
			return nil, err
		}
	}
	b := &registry.Bundle{Package: blob.Package, Name: blob.Name, Image: blob.Image}
	for i, p := range blob.Properties {
		if err := addProperty(b, i, p); err != nil {
			return nil, err
		}
	}
	for _, image := range blob.RelatedImages {
		b.RelatedImages = append(b.RelatedImages, registry.RelatedImage(image))
	}
	return b, nil
}

func addProperty(b *registry.Bundle, i int, p propertyBlob) error {
	switch p.Type {
	case registry.PropertyBundleObject:
		object, kind, err := objectOf(p.Value)
		if err != nil {
			return &flaw{message: fmt.Sprintf("package %q, bundle %q: parse property at index %d as bundle object: %v", b.Package, b.Name, i, err)}
		}
		b.Content.Objects = append(b.Content.Objects, object)
		if kind == csvKind && b.Content.CSV == nil {
			b.Content.CSV = object
		}
		return nil
	case registry.PropertyCSVMetadata:
		if b.Content.Metadata != nil {
			return &flaw{message: fmt.Sprintf("bundle %q: expected at most 1 property of type %q", b.Name, p.Type), hint: "keep one of them"}
		}
		b.Content.Metadata = p.Value
		return nil
	case registry.PropertyPackage:
		var v registry.PackageProperty
		if err := json.Unmarshal(p.Value, &v); err == nil { // validation reports what is not
			b.Version = v.Version
		}
	}
	b.Properties = append(b.Properties, registry.Property(p))
	return nil
}

// objectOf reads the value of olm.bundle.object into JSON.
func objectOf(value json.RawMessage) (object []byte, kind string, err error) {
	var v struct {
		Data []byte `json:"data"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return nil, "", err
	}
	if object, err = canon.FromYAML(v.Data); err != nil {
		return nil, "", err
	}
	var head struct {
		Kind string `json:"kind"`
	}
	return object, head.Kind, json.Unmarshal(object, &head)
}

func packageOf(blob packageBlob) registry.Package {
	p := registry.Package{
		Name: blob.Name, DefaultChannel: blob.DefaultChannel, Description: blob.Description, Properties: propertiesOf(blob.Properties),
	}
	if blob.Icon != nil {
		p.Icon = &registry.Icon{Data: blob.Icon.Data, MediaType: blob.Icon.MediaType}
	}
	return p
}

func channelOf(blob channelBlob) registry.Channel {
	ch := registry.Channel{Name: blob.Name, Properties: propertiesOf(blob.Properties)}
	for _, e := range blob.Entries {
		ch.Entries = append(ch.Entries, registry.Entry(e))
	}
	if heads := registry.Heads(ch); len(heads) == 1 {
		ch.Head = heads[0]
	}
	return ch
}

func propertiesOf(blobs []propertyBlob) []registry.Property {
	var all []registry.Property
	for _, p := range blobs {
		all = append(all, registry.Property(p))
	}
	return all
}
