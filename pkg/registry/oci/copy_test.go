package oci_test

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/oci"
)

func TestMirrorCopy(t *testing.T) {
	img := image(t, map[string]string{"configs/a.yaml": "a"})
	digest, _ := img.Digest()
	ref := serve(t, img, plain)
	pinned := strings.TrimSuffix(ref, ":v1") + "@" + digest.String()
	host, _, _ := strings.Cut(serve(t, img, plain), "/")

	t.Run("to a registry", func(t *testing.T) {
		for _, from := range []string{ref, pinned} {
			place, err := oci.NewMirror(host+"/mirror", oci.Options{}).Copy(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			got, err := oci.Open(t.Context(), place, oci.Options{})
			if err != nil || got.Digest != digest.String() || !strings.HasPrefix(place, host+"/mirror/team/catalog") {
				t.Errorf("copied %s to %s: %v, %v", from, place, got, err)
			}
		}
	})
	t.Run("to a directory", func(t *testing.T) {
		dir := t.TempDir()
		mirror := oci.NewMirror(oci.LayoutPrefix+dir, oci.Options{})
		for range 2 { // again changes nothing
			if _, err := mirror.Copy(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
		}
		index, err := layout.ImageIndexFromPath(dir)
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil || len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest != digest {
			t.Errorf("the directory holds %v, %v, want one image", manifest, err)
		}
	})
	t.Run("an image that is not there", func(t *testing.T) {
		_, err := oci.NewMirror(host+"/mirror", oci.Options{}).Copy(t.Context(), strings.Replace(ref, ":v1", ":v9", 1))
		if failure.KindOf(err) != failure.NotFound {
			t.Errorf("error %v, want kind NotFound", err)
		}
	})
}
