package oci_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"chandler.dev/olm/internal/testkit/distribution"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/oci"
)

func TestMirrorToRegistry(t *testing.T) {
	img := image(t, []string{"configs/a=1"})
	other := build(t, "s390x")
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}},
	)
	layer := layerOf(t, img, 0)
	source := distribution.Start(t, distribution.Options{Wrap: broken(layer, 2, half)})
	target := distribution.Start(t, distribution.Options{Tokens: true})
	o := oci.Options{Keychain: known{}}
	mirror := oci.NewMirror(target.Host+"/copies", o)

	byTag := source.Push(t, "team/catalog:v1", img)
	byDigest := source.Host + "/team/catalog@" + digestOf(t, img)
	all := source.Push(t, "team/many:v1", index)
	for ref, want := range map[string]string{
		byTag: target.Host + "/copies/team/catalog:v1", byDigest: target.Host + "/copies/team/catalog@" + digestOf(t, img), all: target.Host + "/copies/team/many:v1",
	} {
		for range 2 { // again changes nothing
			place, err := mirror.Copy(t.Context(), ref)
			if err != nil || place != want {
				t.Fatalf("copied %s to %s, %v, want %s", ref, place, err, want)
			}
		}
		pulls(t, want, oci.Options{Keychain: known{}, Platform: "linux/amd64"})
	}
	if got, err := oci.Open(t.Context(), target.Host+"/copies/team/many:v1", oci.Options{Keychain: known{}, Platform: "linux/s390x"}); err != nil || got.Digest != digestOf(t, other) {
		t.Errorf("the other platform: %v, %v", got, err)
	}
	// Whoever asks the mirror first never sees the source.
	n := source.Requests(http.MethodGet, "")
	pulls(t, byTag, oci.Options{Keychain: known{}, Mirrors: map[string]string{source.Host: target.Host + "/copies"}})
	if got := source.Requests(http.MethodGet, ""); got != n {
		t.Errorf("the source was asked %d times", got-n)
	}

	if _, err := mirror.Copy(t.Context(), source.Host+"/team/catalog:v9"); failure.KindOf(err) != failure.NotFound {
		t.Errorf("an image that is not there: %v, want kind NotFound", err)
	}
	if _, err := oci.NewMirror(target.Host+"/copies", oci.Options{}).Copy(t.Context(), byTag); failure.KindOf(err) != failure.Blocked || !strings.Contains(err.Error(), "does not let you write") {
		t.Errorf("without a password: %v, want kind Blocked", err)
	}
}

func TestMirrorToDirectory(t *testing.T) {
	img := image(t, []string{"bin/x=1"}, []string{"configs/a=1"})
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: build(t, "s390x")})},
	)
	first, second := layerOf(t, img, 0), layerOf(t, img, 1)
	source := distribution.Start(t, distribution.Options{Wrap: broken(second, 1, status(http.StatusNotFound))})
	byTag := source.Push(t, "team/catalog:v1", img)
	all := source.Push(t, "team/many:v1", index)

	dir := t.TempDir()
	mirror := oci.NewMirror(oci.LayoutPrefix+dir, oci.Options{})
	if _, err := mirror.Copy(t.Context(), byTag); failure.KindOf(err) != failure.NotFound {
		t.Fatalf("a layer that is not there: %v, want kind NotFound", err)
	}
	for range 2 { // again changes nothing
		for _, ref := range []string{byTag, all} {
			place, err := mirror.Copy(t.Context(), ref)
			if err != nil || place != oci.LayoutPrefix+dir+":"+ref {
				t.Fatalf("copied %s to %s, %v", ref, place, err)
			}
			pulls(t, place, oci.Options{Platform: "linux/amd64"})
		}
	}
	for layer, want := range map[string]int{first: 1, second: 2} {
		if got := source.Requests(http.MethodGet, layer); got != want {
			t.Errorf("layer %s was fetched %d times, want %d", layer, got, want)
		}
	}
	found, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := found.IndexManifest()
	if err != nil || len(manifest.Manifests) != 2 {
		t.Errorf("the directory holds %v, %v, want an image and an index", manifest, err)
	}
	damaged := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(first, "sha256:"))
	if err := os.WriteFile(damaged, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := mirror.Copy(t.Context(), byTag); err != nil {
		t.Fatal(err)
	}
	pulls(t, oci.LayoutPrefix+dir+":"+byTag, oci.Options{})
}
