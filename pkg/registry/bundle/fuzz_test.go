package bundle_test

import (
	"testing"
	"testing/fstest"

	"chandler.dev/olm/pkg/failure"
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
		for _, mode := range []bundle.Mode{bundle.Replaces, bundle.SemVer} {
			check(t, bundle.FS(fsys, "dir", bundle.Options{Mode: mode}))
		}
	})
}

// check reads a source to its end.
func check(t *testing.T, src registry.Source) {
	t.Helper()
	for item, err := range registry.Validated(src).Items(t.Context()) {
		if err == nil && item.Bundle == nil && item.Package == nil {
			t.Fatal("an item of nothing")
		}
		if err != nil && failure.KindOf(err) != failure.Invalid {
			t.Fatalf("error %v has kind %s, want Invalid", err, failure.KindOf(err))
		}
	}
}

// FuzzPackageManifest reads any package manifest, and any manifest of a
// version.
func FuzzPackageManifest(f *testing.F) {
	f.Add([]byte("packageName: p\ndefaultChannel: c\nchannels:\n- {name: c, currentCSV: p.v2}\n"), []byte("kind: ClusterServiceVersion\nmetadata: {name: p.v2}\nspec: {version: 2.0.0, replaces: p.v1, skips: [p.v1, p.v2]}\n"))
	f.Add([]byte("packageName: ''\nchannels: [{}, {name: c}]\n"), []byte("kind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1\n"))
	f.Add([]byte("'packageName': [x]\n"), []byte("- a\n"))
	f.Fuzz(func(t *testing.T, manifest, version []byte) {
		fsys := fstest.MapFS{
			"p/p.package.yaml": {Data: manifest},
			"p/1.0.0/csv.yaml": {Data: []byte("kind: ClusterServiceVersion\nmetadata: {name: p.v1}\nspec: {version: 1.0.0}\n")},
			"p/2.0.0/csv.yaml": {Data: version},
		}
		if !bundle.IsPackageManifests(fsys) {
			return
		}
		check(t, bundle.PackageManifestsFS(fsys, "dir", bundle.Options{}))
	})
}
