package database_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/memory"
)

//go:generate go test . -run ^TestCatalogIsRendered$ -update

var update = flag.Bool("update", false, "rewrite fbc/ from bundles/ and channels.yaml")

// TestCatalogIsRendered holds the file-based catalog against its sources.
func TestCatalogIsRendered(t *testing.T) {
	want := rendered(t)
	if *update {
		if err := os.RemoveAll("fbc"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir("fbc", 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			if err := os.WriteFile(filepath.Join("fbc", name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := map[string][]byte{}
	entries, err := os.ReadDir("fbc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if got[e.Name()], err = os.ReadFile(filepath.Join("fbc", e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fbc/ is out of date, run \"go generate ./catalogs/...\" (-want +got):\n%s", diff)
	}
}

// rendered returns the files of the catalog: one with the package and its
// channels, one for each bundle with all its manifests inside.
func rendered(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	var head *bundle.Parsed
	for _, release := range releases {
		dir := filepath.Join("bundles", release)
		p, err := bundle.Parse(os.DirFS(dir), dir)
		if err != nil {
			t.Fatal(err)
		}
		files[p.Name+".yaml"] = document(t, blobOf(p.Bundle))
		head = p
	}
	text, err := os.ReadFile("channels.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var catalog []byte
	for _, part := range bytes.Split(text, []byte("\n---\n"))[1:] {
		var blob map[string]any
		if err := yaml.Unmarshal(part, &blob); err != nil {
			t.Fatal(err)
		}
		if blob["schema"] == "olm.package" {
			blob["description"] = head.Description
			blob["icon"] = map[string]any{"base64data": head.Icon.Data, "mediatype": head.Icon.MediaType}
		}
		catalog = append(catalog, document(t, blob)...)
	}
	files["catalog.yaml"] = catalog
	return files
}

// blobOf is an olm.bundle whose content needs no image.
func blobOf(b registry.Bundle) map[string]any {
	type property struct {
		Type  string `json:"type"`
		Value any    `json:"value"`
	}
	var properties []property
	for _, p := range b.Properties {
		if p.Type != registry.PropertyBundleObject {
			properties = append(properties, property{p.Type, p.Value})
		}
	}
	for _, o := range b.Content.Objects {
		properties = append(properties, property{registry.PropertyBundleObject, map[string]any{"data": o}})
	}
	var images []map[string]string
	for _, i := range b.RelatedImages {
		images = append(images, map[string]string{"name": i.Name, "image": i.Image})
	}
	return map[string]any{
		"schema": "olm.bundle", "package": b.Package, "name": b.Name, "image": b.Image,
		"properties": properties, "relatedImages": images,
	}
}

func document(t *testing.T, blob map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(blob)
	if err == nil {
		text, err = yaml.JSONToYAML(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte("---\n"), text...)
}

// channel is what a user sees of a channel.
type channel struct {
	Head    string
	Entries []string
}

func channelsOf(t *testing.T, src registry.Source) map[string]channel {
	t.Helper()
	store, err := memory.New(t.Context(), registry.Validated(src))
	if err != nil {
		t.Fatal(err)
	}
	p, err := store.Package(t.Context(), "database")
	if err != nil {
		t.Fatal(err)
	}
	if p.DefaultChannel != "stable" || p.Icon == nil || p.Description == "" {
		t.Errorf("default channel %q, icon %v, description %q", p.DefaultChannel, p.Icon, p.Description)
	}
	all := map[string]channel{}
	for _, ch := range p.Channels {
		c := channel{Head: ch.Head}
		for _, e := range ch.Entries {
			c.Entries = append(c.Entries, e.Name)
		}
		slices.Sort(c.Entries)
		all[ch.Name] = c
	}
	return all
}

const (
	v100 = "database.v1.0.0"
	v110 = "database.v1.1.0"
	v120 = "database.v1.2.0"
	v200 = "database.v2.0.0"
)

func TestChannelsOfTheCatalog(t *testing.T) {
	want := map[string]channel{
		"stable": {Head: v200, Entries: []string{v100, v110, v200}},
		"fast":   {Head: v200, Entries: []string{v100, v110, v120, v200}},
	}
	if diff := cmp.Diff(want, channelsOf(t, fbc.Dir("fbc"))); diff != "" {
		t.Errorf("channels (-want +got):\n%s", diff)
	}
}

// TestPublishing serves the bundles themselves, as they are published one
// after the other: the channels come from what the bundles say.
func TestPublishing(t *testing.T) {
	tests := map[string]struct {
		releases []string
		want     map[string]channel
	}{
		"the first release": {
			releases: []string{"1.0.0"},
			want: map[string]channel{
				"stable": {Head: v100, Entries: []string{v100}}, "fast": {Head: v100, Entries: []string{v100}},
			},
		},
		"the second": {
			releases: []string{"1.0.0", "1.1.0"},
			want: map[string]channel{
				"stable": {Head: v110, Entries: []string{v100, v110}}, "fast": {Head: v110, Entries: []string{v100, v110}},
			},
		},
		"the broken one is in fast alone": {
			releases: []string{"1.0.0", "1.1.0", "1.2.0"},
			want: map[string]channel{
				"stable": {Head: v110, Entries: []string{v100, v110}}, "fast": {Head: v120, Entries: []string{v100, v110, v120}},
			},
		},
		"the last without the broken one": {
			releases: []string{"1.0.0", "1.1.0", "2.0.0"},
			want: map[string]channel{
				"stable": {Head: v200, Entries: []string{v100, v110, v200}}, "fast": {Head: v200, Entries: []string{v100, v110, v200}},
			},
		},
		// What a bundle skips becomes an entry of its channels, hidden behind it.
		"all of them": {
			releases: releases,
			want: map[string]channel{
				"stable": {Head: v200, Entries: []string{v100, v110, v120, v200}},
				"fast":   {Head: v200, Entries: []string{v100, v110, v120, v200}},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, release := range test.releases {
				if err := os.CopyFS(filepath.Join(dir, release), os.DirFS(filepath.Join("bundles", release))); err != nil {
					t.Fatal(err)
				}
			}
			src := bundle.Dir(dir, bundle.Options{Report: func(p registry.Problem) { t.Errorf("left out: %s", p.Message) }})
			if diff := cmp.Diff(test.want, channelsOf(t, src)); diff != "" {
				t.Errorf("channels (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBothFormsAreTheSame reads every bundle from the catalog and from its
// directory.
func TestBothFormsAreTheSame(t *testing.T) {
	store, err := memory.New(t.Context(), fbc.Dir("fbc"))
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range releases {
		dir := filepath.Join("bundles", release)
		want, err := bundle.Parse(os.DirFS(dir), dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := store.Bundle(t.Context(), "database", want.Name)
		if err != nil {
			t.Fatal(err)
		}
		if (got.Deprecation != "") != (release == "1.2.0") {
			t.Errorf("%s: deprecation is %q", release, got.Deprecation)
		}
		if diff := cmp.Diff(want.Content, got.Content); diff != "" {
			t.Errorf("%s: content (-directory +catalog):\n%s", release, diff)
		}
	}
}
