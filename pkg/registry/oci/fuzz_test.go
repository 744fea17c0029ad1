package oci_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/oci"
)

// FuzzReference takes any text for an image, a mirror of it and a copy.
func FuzzReference(f *testing.F) {
	f.Add("example.com/team/catalog:v1", "example.com/team", "mirror.example.com/x/")
	f.Add("oci:dir:v1", "", "oci:dir")
	f.Add("docker://example.com/a@sha256:"+strings.Repeat("0", 64), "example.com", "docker://b")
	f.Add("a", "a:", "@")
	f.Fuzz(func(t *testing.T, ref, prefix, place string) {
		mirror := oci.NewMirror(place, oci.Options{Mirrors: map[string]string{prefix: place}})
		at, err := mirror.Place(ref)
		if err != nil {
			if failure.KindOf(err) != failure.Invalid {
				t.Fatalf("Place(%q) fails with kind %s: %v", ref, failure.KindOf(err), err)
			}
			return
		}
		if again, err := mirror.Place(ref); err != nil || again != at {
			t.Fatalf("Place(%q) is %q and %q, %v", ref, at, again, err)
		}
		if strings.HasPrefix(place, oci.LayoutPrefix) && !oci.IsReference(at) {
			t.Fatalf("Place(%q) is %q, which is no reference", ref, at)
		}
	})
}

// FuzzLayer unpacks any archive: nothing appears outside of the directory, and
// nothing in it but files and directories.
func FuzzLayer(f *testing.F) {
	for _, entries := range [][]string{
		{"configs/a=1", "configs/.wh.b=", "configs/c->a"},
		{"../a=1"},
		{"configs/x->/etc", "configs/x/y=1"},
		{"configs/a=>configs/b", "configs/b=1"},
		{"configs/.wh..wh..opq=", "configs/"},
	} {
		f.Add(archive(f, entries...))
	}
	f.Add(sparse("configs/a", 1<<20))
	f.Add(wide())
	f.Fuzz(func(t *testing.T, layer []byte) {
		outside := t.TempDir()
		dir := filepath.Join(outside, "a", "b")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		ref := onDisk(t, build(t, "amd64", static.NewLayer(layer, types.OCIUncompressedLayer)))
		img, err := oci.Open(t.Context(), ref, oci.Options{MaxBytes: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		err = img.Unpack(t.Context(), dir, "configs")
		if err != nil && failure.KindOf(err) != failure.Invalid {
			t.Fatalf("error %v has kind %s, want Invalid", err, failure.KindOf(err))
		}
		err = filepath.WalkDir(outside, func(path string, d os.DirEntry, err error) error {
			inside := strings.HasPrefix(path, filepath.Join(dir, "configs"))
			if !inside && !d.IsDir() || !d.IsDir() && !d.Type().IsRegular() {
				t.Errorf("there is %s (%s)", path, d.Type())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
