package fbc

import (
	"context"
	"encoding/json"
	"fmt"

	"chandler.dev/olm/pkg/registry"
	canon "chandler.dev/olm/pkg/registry/document"
)

// Migrated returns a store in which bundles that have an image and manifests
// keep only the metadata of their ClusterServiceVersion.
func Migrated(store registry.Store) registry.Store { return migrated{store} }

type migrated struct{ registry.Store }

func (m migrated) Bundle(ctx context.Context, pkg, name string) (registry.Bundle, error) {
	b, err := m.Store.Bundle(ctx, pkg, name)
	if err != nil || b.Image == "" || len(b.Content.CSV) == 0 || len(b.Content.Metadata) > 0 {
		return b, err
	}
	metadata, err := metadataOf(b.Content.CSV)
	if err != nil {
		return b, fmt.Errorf("bundle %q: %w", name, err)
	}
	b.Content = registry.Content{Metadata: metadata}
	return b, nil
}

// AllBlobs returns the items of the store, which are not changed.
func (m migrated) AllBlobs(ctx context.Context) ([]registry.Blob, error) {
	if lister, ok := m.Store.(blobLister); ok {
		return lister.AllBlobs(ctx)
	}
	return nil, nil
}

// csvFields are the fields that are kept, by the name that they get.
var csvFields = map[string]string{
	"apiServiceDefinitions": "apiservicedefinitions", "crdDescriptions": "customresourcedefinitions",
	"description": "description", "displayName": "displayName", "installModes": "installModes", "keywords": "keywords",
	"links": "links", "maintainers": "maintainers", "maturity": "maturity", "minKubeVersion": "minKubeVersion",
	"nativeAPIs": "nativeAPIs", "provider": "provider",
}

// metadataOf returns the value of olm.csv.metadata for a ClusterServiceVersion.
func metadataOf(csv []byte) (json.RawMessage, error) {
	var v struct {
		Metadata struct{ Annotations, Labels map[string]string }
		Spec     map[string]json.RawMessage
	}
	if err := json.Unmarshal(csv, &v); err != nil {
		return nil, err
	}
	out := map[string]any{"apiServiceDefinitions": struct{}{}, "crdDescriptions": struct{}{}}
	for to, from := range csvFields {
		if raw, ok := v.Spec[from]; ok {
			out[to] = raw
		}
	}
	if len(v.Metadata.Annotations) > 0 {
		out["annotations"] = v.Metadata.Annotations
	}
	if len(v.Metadata.Labels) > 0 {
		out["labels"] = v.Metadata.Labels
	}
	return canon.Encode(out)
}
