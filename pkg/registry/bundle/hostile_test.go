package bundle_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"chandler.dev/olm/internal/testkit/peak"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
)

// TestHostileBundles reads bundles that would fill the memory.
func TestHostileBundles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	page := strings.Repeat("a", 1<<20)
	many := func(n int, file, text string) map[string]string {
		files := map[string]string{}
		for i := range n {
			files[fmt.Sprintf(file, i)] = text
		}
		return files
	}
	annotated := func(properties string) string {
		return "kind: ClusterServiceVersion\nmetadata: {name: p.v1, annotations: {olm.properties: '" + properties + "'}}\nspec: {version: 1.0.0}\n"
	}
	tests := map[string]struct {
		files map[string]string
		want  string
		limit uint64 // MiB
	}{
		"a manifest of 65 MiB":     {map[string]string{"manifests/a.yaml": strings.Repeat(page, 65)}, "larger than 64 MiB", 96},
		"metadata of 65 MiB":       {map[string]string{"metadata/a.yaml": strings.Repeat(page, 65)}, "larger than 64 MiB", 96},
		"manifests of 65 MiB":      {many(65, "manifests/%d.yaml", "kind: ConfigMap\ndata: "+page), "more than 64 MiB", 384},
		"manifests without end":    {many(10_001, "manifests/%d.yaml", "kind: ConfigMap"), "more than 10000 files", 64},
		"metadata without end":     {many(10_001, "metadata/%d.yaml", "a: 1"), "more than 10000 files", 64},
		"a manifest of a million":  {map[string]string{"manifests/a.yaml": "kind: X\na:\n" + strings.Repeat("- a\n", 1_000_000)}, "more than 500000 values", 64},
		"metadata of a million":    {map[string]string{"metadata/properties.yaml": "properties:\n" + strings.Repeat("- {type: a, value: 1}\n", 300_000)}, "more than 500000 values", 64},
		"many properties inside":   {map[string]string{"manifests/csv.yaml": annotated("[" + strings.Repeat(`{"type":"a","value":1},`, 100_000) + `{"type":"a","value":1}]`)}, "annotation olm.properties has more than 1 MiB", 384},
		"a manifest of much depth": {map[string]string{"manifests/a.yaml": "kind: X\na: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000)}, "more than 1000 levels", 64},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			fsys := fstest.MapFS{
				"manifests/csv.yaml":        {Data: []byte(csvText)},
				"metadata/annotations.yaml": {Data: []byte(annotationsText)},
			}
			for file, text := range test.files {
				fsys[file] = &fstest.MapFile{Data: []byte(text)}
			}
			peak.Heap(t, test.limit<<20, func() {
				for what, err := range map[string]error{"Parse": parse(fsys), "Validated": all(t, fsys)} {
					if err == nil || !strings.Contains(err.Error(), test.want) {
						t.Errorf("%s: error %.300v, want one that says %q", what, err, test.want)
					}
				}
			})
		})
	}
}

func parse(fsys fstest.MapFS) error {
	_, err := bundle.Parse(fsys, "bundle")
	return err
}

func all(t *testing.T, fsys fstest.MapFS) error {
	t.Helper()
	for _, err := range registry.Validated(bundle.FS(fsys, "dir", bundle.Options{})).Items(t.Context()) {
		if err != nil {
			if failure.KindOf(err) != failure.Invalid {
				t.Errorf("error %v has kind %s, want Invalid", err, failure.KindOf(err))
			}
			return err
		}
	}
	return nil
}

// TestLargePackageManifest does not take a file that is too large for one.
func TestLargePackageManifest(t *testing.T) {
	fsys := fstest.MapFS{"p/p.package.yaml": {Data: make([]byte, 65<<20)}}
	peak.Heap(t, 96<<20, func() {
		if bundle.IsPackageManifests(fsys) {
			t.Error("a file of 65 MiB is a package manifest")
		}
	})
}
