// Package template makes catalogs of short descriptions: basic (a file-based
// catalog in which bundles are only named), semver (channels made of versions)
// and substitutes (rebuilt bundles in the place of others). It reads no bundles
// itself: who renders says how.
package template

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/document"
	"chandler.dev/olm/pkg/registry/fbc"
)

// Schemas of templates.
const (
	schemaBasic  = "olm.template.basic"
	schemaSemver = "olm.semver"
	schemaBundle = "olm.bundle"
)

// Load returns the bundles that an image or a directory holds.
type Load func(ctx context.Context, ref string) ([]registry.Bundle, error)

// Render returns the catalog of a template; name is what messages call it.
func Render(ctx context.Context, name string, text []byte, load Load) (registry.Source, error) {
	raw, err := document.FromYAML(text)
	if err != nil {
		return nil, invalid(name, err)
	}
	var head struct{ Schema string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, invalid(name, err)
	}
	switch head.Schema {
	case schemaBasic:
		return renderBasic(ctx, name, raw, load)
	case schemaSemver:
		return renderSemver(ctx, name, raw, load)
	case schemaSubstitutes:
		return renderSubstitutes(ctx, name, raw, load)
	}
	return nil, failure.New(failure.Invalid, "unknown template schema %q", head.Schema).WithHint("use %s, %s or %s", schemaBasic, schemaSemver, schemaSubstitutes)
}

func invalid(name string, err error) error {
	return failure.New(failure.Invalid, "%s is no template: %v", name, err)
}

// renderBasic puts bundles in the place of their names.
func renderBasic(ctx context.Context, name string, raw []byte, load Load) (registry.Source, error) {
	var t struct{ Entries []json.RawMessage }
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, invalid(name, err)
	}
	var (
		blobs   [][]byte
		bundles []registry.Bundle
	)
	for i, entry := range t.Entries {
		var b struct {
			Schema, Image, Package    string
			Properties, RelatedImages json.RawMessage
		}
		if err := json.Unmarshal(entry, &b); err != nil {
			return nil, invalid(name, fmt.Errorf("entry %d: %w", i, err))
		}
		if b.Schema != schemaBundle {
			blobs = append(blobs, entry)
			continue
		}
		if b.Image == "" || b.Package != "" || b.Properties != nil || b.RelatedImages != nil {
			return nil, failure.New(failure.Invalid, "unexpected fields present in basic template bundle %q", b.Image).
				WithHint("give only schema, name and image: the rest comes from the bundle")
		}
		found, err := load(ctx, b.Image)
		if err != nil {
			return nil, err
		}
		bundles = append(bundles, found...)
	}
	return fbc.Blobs(name, blobs, bundles), nil
}

// strict decodes without accepting fields that nobody reads.
func strict(raw []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}
