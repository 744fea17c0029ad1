package oci_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/oci"
)

// entry is a line of an archive: NAME=TEXT is a file, NAME->TARGET a symbolic
// link, NAME=>TARGET a hard link, NAME/ a directory.
func archive(t testing.TB, entries ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, entry := range entries {
		header := &tar.Header{Name: entry, Mode: 0o600, Typeflag: tar.TypeReg}
		text := ""
		if name, target, ok := strings.Cut(entry, "->"); ok {
			header.Name, header.Linkname, header.Typeflag = name, target, tar.TypeSymlink
		} else if name, target, ok := strings.Cut(entry, "=>"); ok {
			header.Name, header.Linkname, header.Typeflag = name, target, tar.TypeLink
		} else if name, content, ok := strings.Cut(entry, "="); ok {
			header.Name, text = name, content
		} else if strings.HasSuffix(entry, "/") {
			header.Typeflag = tar.TypeDir
		}
		header.Size = int64(len(text))
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gzipped(t *testing.T, text []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zstandard(t *testing.T, text []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(text, nil)
}

// build makes an image of layers, for linux on a machine.
func build(t testing.TB, architecture string, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Config.Labels = map[string]string{oci.LabelConfigs: "/configs"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// image makes an image of layers, each of which is a list of entries.
func image(t *testing.T, layers ...[]string) v1.Image {
	t.Helper()
	var all []v1.Layer
	for _, entries := range layers {
		all = append(all, static.NewLayer(gzipped(t, archive(t, entries...)), types.DockerLayer))
	}
	return build(t, "amd64", all...)
}

func digestOf(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	digest, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func layerOf(t *testing.T, img v1.Image, n int) string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	return digestOf(t, layers[n])
}

// onDisk writes an image to a layout and returns its reference.
func onDisk(t testing.TB, img v1.Image) (ref string) {
	t.Helper()
	path, err := layout.Write(t.TempDir(), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	return oci.LayoutPrefix + string(path)
}

func unpacked(ctx context.Context, t *testing.T, ref string, o oci.Options) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	img, err := oci.Open(ctx, ref, o)
	if err != nil {
		return dir, err
	}
	return dir, img.Unpack(ctx, dir, img.Labels[oci.LabelConfigs])
}

// content returns all files of a directory as NAME=TEXT.
func content(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		all = append(all, fmt.Sprintf("%s=%.20s", name, text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestUnpack(t *testing.T) {
	tests := map[string]struct {
		layers    [][]string
		want      string
		wantError string // part of it
	}{
		"only what is wanted":                     {layers: [][]string{{"bin/opm=big", "configs/", "configs/a=1", "configs2/b=2"}}, want: "configs/a=1"},
		"names from the root":                     {layers: [][]string{{"/configs/a=1", "./configs/b=2", "configs/x/../c=3"}}, want: "configs/a=1 configs/b=2 configs/c=3"},
		"a higher layer wins":                     {layers: [][]string{{"configs/a=old", "configs/b=1"}, {"configs/a=new"}}, want: "configs/a=new configs/b=1"},
		"the last of a layer wins":                {layers: [][]string{{"configs/a=a long text", "configs/a=new"}}, want: "configs/a=new"},
		"a file is removed":                       {layers: [][]string{{"configs/a=1", "configs/b=1"}, {"configs/.wh.a="}}, want: "configs/b=1"},
		"a directory is removed":                  {layers: [][]string{{"configs/x/a=1", "configs/b=1"}, {"configs/.wh.x="}}, want: "configs/b=1"},
		"all is removed and made again":           {layers: [][]string{{"configs/a=1"}, {".wh.configs="}, {"configs/b=1"}}, want: "configs/b=1"},
		"a directory is emptied":                  {layers: [][]string{{"configs/a=1"}, {"configs/.wh..wh..opq=", "configs/b=1"}}, want: "configs/b=1"},
		"removed below, made above":               {layers: [][]string{{"configs/.wh.a="}, {"configs/a=1"}}, want: "configs/a=1"},
		"what is reserved is no file":             {layers: [][]string{{"configs/.wh..wh.plnk=1", "configs/a=1"}}, want: "configs/a=1"},
		"a file in the place of a directory":      {layers: [][]string{{"configs/x/a=1"}, {"configs/x=1"}}, want: "configs/x=1"},
		"a directory in the place of a file":      {layers: [][]string{{"configs/x=1"}, {"configs/x/a=1"}}, want: "configs/x/a=1"},
		"a directory in the place of a link":      {layers: [][]string{{"configs/x->/etc"}, {"configs/x/passwd=1"}}, want: "configs/x/passwd=1"},
		"links to files":                          {layers: [][]string{{"configs/a=1", "configs/x/b->../a", "configs/c->/configs/x/b", "configs/d=>configs/a"}}, want: "configs/a=1 configs/c=1 configs/d=1 configs/x/b=1"},
		"a link to a file of a lower layer":       {layers: [][]string{{"configs/a=1"}, {"configs/b=>configs/a"}}, want: "configs/a=1 configs/b=1"},
		"links elsewhere are of no interest":      {layers: [][]string{{"bin->usr/bin", "lib->../../lib", "configs/a=1"}}, want: "configs/a=1"},
		"a link that a higher layer replaces":     {layers: [][]string{{"configs/a->/etc/passwd"}, {"configs/a=1"}}, want: "configs/a=1"},
		"a link that leads out":                   {layers: [][]string{{"configs/a->/etc/passwd"}}, wantError: `"configs/a" links to "/etc/passwd"`},
		"a relative link that leads out":          {layers: [][]string{{"configs/a->../../../etc/passwd"}}, wantError: `"configs/a" links to "/etc/passwd"`},
		"a hard link that leads out":              {layers: [][]string{{"etc/passwd=1", "configs/a=>etc/passwd"}}, wantError: `"configs/a" links to "/etc/passwd"`},
		"a link to a directory":                   {layers: [][]string{{"configs/x/a=1", "configs/y->x"}}, wantError: `"configs/y" links to "/configs/x"`},
		"links in a circle":                       {layers: [][]string{{"configs/a->b", "configs/b->a"}}, wantError: `"configs/a" links to "/configs/b"`},
		"a name that leads out":                   {layers: [][]string{{"../../configs/a=1"}}, wantError: `the name "../../configs/a" leads out of it`},
		"a name that leads out behind its parent": {layers: [][]string{{"configs/../../etc/passwd=1"}}, wantError: `the name "configs/../../etc/passwd" leads out of it`},
		"a name from the root that leads out":     {layers: [][]string{{"/../etc/passwd=1"}}, wantError: `the name "/../etc/passwd" leads out of it`},
		"a file through a link that leads out":    {layers: [][]string{{"configs/x->/tmp", "configs/x/owned=1"}}, wantError: `"configs/x" links to "/tmp"`},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			dir, err := unpacked(t.Context(), t, onDisk(t, image(t, test.layers...)), oci.Options{})
			if test.wantError != "" {
				if failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), test.wantError) {
					t.Errorf("error %v, want one of kind Invalid that says %s", err, test.wantError)
				}
				return
			}
			if got := content(t, dir); err != nil || got != test.want {
				t.Errorf("unpacked %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestLayout(t *testing.T) {
	path, err := layout.Write(t.TempDir(), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	for _, tag := range []string{"v1", "v2"} {
		img := image(t, []string{"configs/a=" + tag})
		digests[tag] = digestOf(t, img)
		if err := path.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag})); err != nil {
			t.Fatal(err)
		}
	}
	for tag, want := range map[string]string{":v1": "v1", ":v2": "v2", ":" + digests["v2"]: "v2", "": "v1"} {
		dir, err := unpacked(t.Context(), t, oci.LayoutPrefix+string(path)+tag, oci.Options{})
		if got := content(t, dir); err != nil || got != "configs/a="+want {
			t.Errorf("the image of %q holds %s, %v, want %s", tag, got, err, want)
		}
	}
	if _, err := unpacked(t.Context(), t, oci.LayoutPrefix+string(path)+":v3", oci.Options{}); failure.KindOf(err) != failure.NotFound {
		t.Errorf("error %v, want kind NotFound", err)
	}
}

func TestIsReference(t *testing.T) {
	for text, want := range map[string]bool{
		"example.com/a:v1": true, "localhost/a": true, "host:5000/a@sha256:" + strings.Repeat("0", 64): true, "oci:dir": true, "docker://a": true,
		"dir/catalog": false, "catalog.yaml": false, "example.com/": false, "example.com/A B": false, "": false,
	} {
		if got := oci.IsReference(text); got != want {
			t.Errorf("IsReference(%q) = %t", text, got)
		}
	}
}

func TestErrors(t *testing.T) {
	tests := map[string]struct {
		ref  string
		o    oci.Options
		want failure.Kind
	}{
		"a registry that is not":       {ref: "127.0.0.1:1/a/b:c", want: failure.Waiting},
		"a name that is none":          {ref: "docker://A B", want: failure.Invalid},
		"a platform that is none":      {o: oci.Options{Platform: "a/b/c/d/e"}, want: failure.Invalid},
		"half a platform":              {o: oci.Options{Platform: "linux"}, want: failure.Invalid},
		"a directory that is no such":  {ref: "oci:/nowhere", want: failure.NotFound},
		"authorities that are not":     {ref: "127.0.0.1:1/a/b:c", o: oci.Options{CAFile: "/nowhere"}, want: failure.Invalid},
		"authorities that are no such": {ref: "127.0.0.1:1/a/b:c", o: oci.Options{CAFile: "oci_test.go"}, want: failure.Invalid},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			ref := cmp.Or(test.ref, "127.0.0.1:1/a/b:c")
			if _, err := unpacked(t.Context(), t, ref, test.o); failure.KindOf(err) != test.want {
				t.Errorf("error %v has kind %s, want %s", err, failure.KindOf(err), test.want)
			}
		})
	}
}
