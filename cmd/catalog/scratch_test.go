package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/registry"
)

// temporary returns the names in the directory of temporary files.
func temporary(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestScratchRemovesWhatKilledProcessesLeft(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	running, err := newScratch()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{scratchPrefix + "dead/layers", "catalog-of-somebody"} {
		if err := os.MkdirAll(filepath.Join(tmp, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{scratchPrefix + "dead/catalog.db", scratchPrefix + "file"} {
		if err := os.WriteFile(filepath.Join(tmp, file), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := newScratch()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"catalog-of-somebody": true, filepath.Base(running.dir): true, filepath.Base(s.dir): true, scratchPrefix + "file": true}
	got := map[string]bool{}
	for _, name := range temporary(t) {
		got[name] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	s.remove()
	running.remove()
	if diff := cmp.Diff([]string{"catalog-of-somebody", scratchPrefix + "file"}, temporary(t)); diff != "" {
		t.Errorf("what is left at the end (-want +got):\n%s", diff)
	}
}

func TestIndexLeavesNoFileWhileItIsAsked(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	store, err := index(t.Context(), registry.Catalog{{Package: &registry.Package{Name: "p"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.release()
	if diff := cmp.Diff([]string{}, temporary(t)); diff != "" {
		t.Errorf("temporary files (-want +got):\n%s", diff)
	}
	names, err := store.Packages(t.Context())
	if diff := cmp.Diff([]string{"p"}, names); err != nil || diff != "" {
		t.Errorf("Packages() = %v (-want +got):\n%s", err, diff)
	}
}
