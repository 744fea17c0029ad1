package oci_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"chandler.dev/olm/internal/testkit/distribution"
	"chandler.dev/olm/internal/testkit/peak"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/oci"
)

// zeros are zero letters without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// bomb is a small layer whose only file is large.
func bomb(t *testing.T, file string, size int64, compress func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := compress(&buf)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: file, Size: size, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gzipWriter(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func zstdWriter(w io.Writer) io.WriteCloser {
	z, _ := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) // these options are valid
	return z
}

// wide is a frame of zstd that asks for a window of 8 GiB.
func wide() []byte {
	return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 23 << 3, 0x01, 0x00, 0x00}
}

// sparse is an archive with a file that has one letter and says that it is
// followed by a hole of many.
func sparse(name string, size int64) []byte {
	block := make([]byte, 1024)
	octal := func(at, width int, n int64) { copy(block[at:], fmt.Sprintf("%0*o", width-1, n)) }
	copy(block, name)
	octal(100, 8, 0o600)
	octal(124, 12, 1) // bytes in the archive
	block[156] = tar.TypeGNUSparse
	copy(block[257:], "ustar  \x00")
	octal(386, 12, size-1) // where the only letter is
	octal(398, 12, 1)
	octal(483, 12, size)
	copy(block[148:], "        ")
	sum := int64(0)
	for _, c := range block[:512] {
		sum += int64(c)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	block[512] = 'x'
	return append(block, make([]byte, 1024)...)
}

// crowd is an archive of more entries than an image may have.
func crowd(kind byte, name string) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for i := range 110_000 {
		_ = w.WriteHeader(&tar.Header{Name: fmt.Sprintf(name, i), Linkname: "a", Typeflag: kind}) // the buffer takes it
	}
	_, _ = w.Close(), z.Close()
	return buf.Bytes()
}

// TestHostileLayers unpacks layers that would fill the memory or the disk.
func TestHostileLayers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const limit, large = 64 << 20, 128 << 20
	tests := map[string]struct {
		layer []byte
		want  string // part of the error
	}{
		"a wanted file without end, by gzip":      {bomb(t, "configs/a", large, gzipWriter), "holds more than 67 MB"},
		"a wanted file without end, by zstd":      {bomb(t, "configs/a", large, zstdWriter), "holds more than 67 MB"},
		"a file without end that nobody asks for": {bomb(t, "bin/a", large, gzipWriter), "holds more than 67 MB"},
		"a window without end":                    {wide(), "window size exceeded"},
		"a file of holes":                         {sparse("configs/a", 1<<33), "its files have more than 67 MB"},
		"links without end":                       {crowd(tar.TypeSymlink, "configs/%d"), "it has more than 100000 files"},
		"directories without end":                 {crowd(tar.TypeDir, "configs/%d"), "it has more than 100000 files"},
		"files without end that are removed":      {crowd(tar.TypeReg, "configs/.wh.%d"), "it has more than 100000 files"},
		"directories in directories":              {gzipped(t, archive(t, "configs/"+strings.Repeat("a/", 65)+"b=1")), "has more than 64 directories"},
		"a name without end":                      {gzipped(t, archive(t, "configs/"+strings.Repeat("a/", 1000)+"b=1")), "has more than 1024 letters"},
		"nothing that is an archive":              {[]byte(strings.Repeat("x", 2048)), "cannot be unpacked"},
		"nothing that is compressed":              {[]byte{0x1f, 0x8b, 1, 2, 3}, "cannot be unpacked"},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			ref := onDisk(t, build(t, "amd64", static.NewLayer(test.layer, types.DockerLayer)))
			peak.Heap(t, 32<<20, func() {
				_, err := unpacked(t.Context(), t, ref, oci.Options{MaxBytes: limit})
				if failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want one of kind Invalid that says %q", err, test.want)
				}
			})
		})
	}
}

// TestHostileRegistry asks registries that answer without end.
func TestHostileRegistry(t *testing.T) {
	const name = "/team/catalog"
	endless := func(w http.ResponseWriter) {
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	const config = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of {}
	manifest := func(configSize, layerSize int64) string {
		return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"size":%d,"digest":%q},"layers":[{"mediaType":%q,"size":%d,"digest":"sha256:%s"}]}`,
			types.OCIManifestSchema1, types.OCIConfigJSON, configSize, config, types.OCILayer, layerSize, strings.Repeat("b", 64))
	}
	tests := map[string]struct {
		manifest string // empty: without end
		want     string
	}{
		"a manifest":            {"", "larger than 8 MiB"},
		"a configuration":       {manifest(1<<40, 1), "the configuration of image"},
		"a layer":               {manifest(2, 1<<40), "holds more than 8589 MB"},
		"a layer less than one": {manifest(2, -1), "holds more than 8589 MB"},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.Contains(r.URL.Path, "/manifests/") && test.manifest != "":
					w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
					_, _ = io.WriteString(w, test.manifest)
				case strings.Contains(r.URL.Path, "/manifests/"):
					endless(w)
				case strings.HasSuffix(r.URL.Path, config):
					_, _ = io.WriteString(w, "{}")
				case strings.Contains(r.URL.Path, "/blobs/"):
					endless(w)
				}
			}))
			t.Cleanup(srv.Close)
			ref := strings.TrimPrefix(srv.URL, "http://") + name + ":v1"
			peak.Heap(t, 64<<20, func() {
				_, err := unpacked(t.Context(), t, ref, oci.Options{})
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want one that says %q", err, test.want)
				}
			})
		})
	}
}

// TestDeepIndex asks for an image in indexes in indexes.
func TestDeepIndex(t *testing.T) {
	r := distribution.Start(t, distribution.Options{})
	at := func(levels int) string {
		index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image(t, []string{"configs/a=1"})})
		for range levels - 1 {
			index = mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index})
		}
		return r.Push(t, fmt.Sprintf("team/deep:v%d", levels), index)
	}
	pulls(t, at(4), oci.Options{})
	if _, err := oci.Open(t.Context(), at(5), oci.Options{}); failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), "more than 4 levels") {
		t.Errorf("error %v, want one of kind Invalid that says how many levels", err)
	}
}
