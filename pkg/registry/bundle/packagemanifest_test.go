package bundle_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/memory"
)

func TestPackageManifests(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("p/p.package.yaml", "packageName: p\nchannels:\n- {name: stable, currentCSV: p.v2}\n- {name: old, currentCSV: p.v0}\n")
	write("p/1.0.0/p.csv.yaml", "kind: ClusterServiceVersion\nmetadata: {name: p.v1}\nspec: {version: 1.0.0}\n")
	write("p/2.0.0/p.csv.yaml", "kind: ClusterServiceVersion\nmetadata: {name: p.v2}\nspec: {version: 2.0.0, replaces: p.v1}\n")
	write("p/3.0.0/p.csv.yaml", "kind: ClusterServiceVersion\nmetadata: {name: p.v3}\nspec: {version: 3.0.0}\n")
	var left []string
	src := bundle.PackageManifests(dir, bundle.Options{Report: func(p registry.Problem) { left = append(left, p.Message) }})
	store, err := memory.New(t.Context(), registry.Validated(src))
	if err != nil {
		t.Fatal(err)
	}
	got, err := store.Package(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	want := registry.Package{Name: "p", DefaultChannel: "stable", Channels: []registry.Channel{
		{Name: "stable", Head: "p.v2", Entries: []registry.Entry{{Name: "p.v1"}, {Name: "p.v2", Replaces: "p.v1"}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Package() (-want +got):\n%s", diff)
	}
	wantLeft := []string{
		`channel "old" of package "p" is left out: its currentCSV "p.v0" is not there`,
		`bundle "p.v3" of package "p" is left out: no channel leads to it`,
	}
	if diff := cmp.Diff(wantLeft, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
}

func TestIsPackageManifests(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want bool
	}{
		"a package manifest":                    {"packageName: p\nchannels: []\n", true},
		"a file-based catalog of the same name": {"schema: olm.package\nname: p\n---\nschema: olm.bundle\nproperties:\n- {type: olm.package, value: {packageName: p}}\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{"package.yaml": {Data: []byte(tt.text)}}
			if got := bundle.IsPackageManifests(fsys); got != tt.want {
				t.Errorf("IsPackageManifests() = %v, want %v", got, tt.want)
			}
		})
	}
}
