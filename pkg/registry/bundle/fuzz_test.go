package bundle_test

import (
	"testing"
	"testing/fstest"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
)

// FuzzBundle reads any manifest and any metadata.
func FuzzBundle(f *testing.F) {
	for _, file := range files("1 1.0.0 stable replaces=0.9.0 range=<1.0.0") {
		f.Add(file.Data, []byte("annotations:\n  operators.operatorframework.io.bundle.package.v1: p\n"))
	}
	f.Add([]byte("kind: ClusterServiceVersion\nmetadata: {annotations: {olm.properties: '[{\"type\":\"a\",\"value\":1}]'}}\nspec: {release: 1e9}\n"),
		[]byte("dependencies: [{type: olm.gvk, value: {group: g, kind: K, version: v1}}, {type: olm.package, value: {packageName: p, version: '>1.0.0'}}, {type: x, value: 1}]\n"))
	f.Fuzz(func(t *testing.T, manifest, metadata []byte) {
		fsys := fstest.MapFS{
			"b/manifests/csv.yaml":            {Data: manifest},
			"b/metadata/annotations.yaml":     {Data: []byte("annotations:\n  operators.operatorframework.io.bundle.package.v1: p\n  operators.operatorframework.io.bundle.channels.v1: c\n")},
			"b/metadata/more.yaml":            {Data: metadata},
			"b/manifests/subdirectory/x.yaml": {Data: []byte("ignored")},
		}
		for item, err := range registry.Validated(bundle.FS(fsys, "dir", bundle.Options{})).Items(t.Context()) {
			if err == nil && item.Bundle == nil && item.Package == nil {
				t.Fatal("an item of nothing")
			}
		}
	})
}
