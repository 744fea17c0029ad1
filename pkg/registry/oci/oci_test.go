package oci_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/oci"
)

// image makes an image of layers; each is a list of names with contents.
func image(t *testing.T, layers ...map[string]string) v1.Image {
	t.Helper()
	img := empty.Image
	for _, files := range layers {
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		w := tar.NewWriter(z)
		for file, text := range files {
			header := &tar.Header{Name: file, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg}
			if target, ok := strings.CutPrefix(text, "->"); ok {
				header = &tar.Header{Name: file, Linkname: target, Typeflag: tar.TypeSymlink}
				text = ""
			}
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
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		img = appended(t, img, static.NewLayer(buf.Bytes(), types.DockerLayer))
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Labels = map[string]string{oci.LabelConfigs: "/configs"}
	img, err = mutate.ConfigFile(img, config)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func appended(t *testing.T, img v1.Image, layer v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(img, layer)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// serve starts a registry behind a handler and pushes an image to it.
func serve(t *testing.T, img v1.Image, wrap func(http.Handler) http.Handler) (ref string) {
	t.Helper()
	var open atomic.Bool
	inner := fake.New(fake.Logger(log.New(io.Discard, "", 0)))
	wrapped := wrap(inner)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open.Load() {
			wrapped.ServeHTTP(w, r)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	ref = strings.TrimPrefix(srv.URL, "http://") + "/team/catalog:v1"
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(parsed, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	open.Store(true)
	return ref
}

func plain(h http.Handler) http.Handler { return h }

func unpacked(ctx context.Context, t *testing.T, ref string, o oci.Options) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	img, err := oci.Open(ctx, ref, o)
	if err != nil {
		return dir, err
	}
	return dir, img.Unpack(ctx, dir, img.Labels[oci.LabelConfigs])
}

func content(t *testing.T, dir, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestUnpack(t *testing.T) {
	img := image(t,
		map[string]string{"configs/a.yaml": "old", "configs/b.yaml": "b", "bin/opm": "big"},
		map[string]string{"configs/a.yaml": "new", "configs/.wh.b.yaml": "", "configs/link": "->/etc/passwd"},
	)
	dir, err := unpacked(t.Context(), t, serve(t, img, plain), oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
		if !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, rel)
		}
		return nil
	})
	if got, want := strings.Join(names, " "), "configs/a.yaml"; got != want || content(t, dir, "configs/a.yaml") != "new" {
		t.Errorf("unpacked %s, want %s with the new a.yaml", got, want)
	}
}

func TestPathOutOfTheImage(t *testing.T) {
	img := image(t, map[string]string{"../../configs/c.yaml": "c"})
	if dir, err := unpacked(t.Context(), t, serve(t, img, plain), oci.Options{}); failure.KindOf(err) != failure.Invalid {
		t.Errorf("unpacked into %s with error %v, want kind Invalid", dir, err)
	}
}

func TestLayout(t *testing.T) {
	path, err := layout.Write(t.TempDir(), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"v1", "v2"} {
		img := image(t, map[string]string{"configs/a.yaml": tag})
		if err := path.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag})); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := unpacked(t.Context(), t, oci.LayoutPrefix+string(path)+":v2", oci.Options{})
	if err != nil || content(t, dir, "configs/a.yaml") != "v2" {
		t.Errorf("unpacked %q, %v, want v2", content(t, dir, "configs/a.yaml"), err)
	}
	if _, err := unpacked(t.Context(), t, oci.LayoutPrefix+string(path)+":v3", oci.Options{}); failure.KindOf(err) != failure.NotFound {
		t.Errorf("error %v, want kind NotFound", err)
	}
}

// TestBrokenTransfers breaks off layers and serves wrong ones.
func TestBrokenTransfers(t *testing.T) {
	img := image(t, map[string]string{"configs/a.yaml": strings.Repeat("text ", 10000)})
	layers, _ := img.Layers()
	digest, _ := layers[0].Digest()
	layerOnly := func(broken func(n int64, w http.ResponseWriter, good *httptest.ResponseRecorder)) func(http.Handler) http.Handler {
		var n atomic.Int64
		return func(inner http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, digest.String()) || r.Method != http.MethodGet {
					inner.ServeHTTP(w, r)
					return
				}
				good := httptest.NewRecorder()
				inner.ServeHTTP(good, r)
				broken(n.Add(1), w, good)
			})
		}
	}
	tests := map[string]struct {
		broken func(n int64, w http.ResponseWriter, good *httptest.ResponseRecorder)
		want   failure.Kind
	}{
		"a layer that breaks off twice is fetched again": {broken: func(n int64, w http.ResponseWriter, good *httptest.ResponseRecorder) {
			body := good.Body.Bytes()
			if n <= 2 {
				w.Header().Set("Content-Length", good.Header().Get("Content-Length"))
				body = body[:len(body)/2]
			}
			_, _ = w.Write(body)
		}},
		"a layer of another digest is refused": {want: failure.Waiting, broken: func(_ int64, w http.ResponseWriter, good *httptest.ResponseRecorder) {
			body := good.Body.Bytes()
			body[len(body)/2]++
			_, _ = w.Write(body)
		}},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			_, err := unpacked(t.Context(), t, serve(t, img, layerOnly(test.broken)), oci.Options{})
			if (err == nil) != (test.want == "") || err != nil && failure.KindOf(err) != test.want {
				t.Errorf("error %v, want kind %q", err, test.want)
			}
		})
	}
}

// TestCache fetches no layer twice.
func TestCache(t *testing.T) {
	var layers atomic.Int64
	ref := serve(t, image(t, map[string]string{"configs/a.yaml": "a"}), func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") && r.Method == http.MethodGet {
				layers.Add(1)
			}
			inner.ServeHTTP(w, r)
		})
	})
	o := oci.Options{CacheDir: t.TempDir()}
	for range 2 {
		if _, err := unpacked(t.Context(), t, ref, o); err != nil {
			t.Fatal(err)
		}
	}
	if got := layers.Load(); got != 3 { // the configuration twice, the layer once
		t.Errorf("%d blobs were fetched, want 3", got)
	}
}

func TestAuthentication(t *testing.T) {
	ref := serve(t, image(t, map[string]string{"configs/a.yaml": "a"}), expiringTokens())
	if _, err := unpacked(t.Context(), t, ref, oci.Options{}); failure.KindOf(err) != failure.Blocked {
		t.Errorf("without credentials: %v, want kind Blocked", err)
	}
	keychain := authn.NewKeychainFromHelper(helper{})
	if _, err := unpacked(t.Context(), t, ref, oci.Options{Keychain: keychain}); err != nil {
		t.Errorf("with credentials: %v", err)
	}
}

type helper struct{}

func (helper) Get(string) (user, password string, err error) { return "me", "secret", nil }

// expiringTokens lets a token through only twice.
func expiringTokens() func(http.Handler) http.Handler {
	var uses atomic.Int64
	return func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				uses.Store(0)
				_, _ = io.WriteString(w, `{"token":"t"}`)
				return
			}
			if r.Header.Get("Authorization") != "Bearer t" || uses.Add(1) > 2 {
				w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="registry"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			inner.ServeHTTP(w, r)
		})
	}
}

func TestMirror(t *testing.T) {
	ref := serve(t, image(t, map[string]string{"configs/a.yaml": "a"}), plain)
	host, _, _ := strings.Cut(ref, "/")
	o := oci.Options{Mirrors: map[string]string{"example.invalid/other": host + "/team"}}
	if _, err := unpacked(t.Context(), t, "example.invalid/other/catalog:v1", o); err != nil {
		t.Errorf("Open() through a mirror: %v", err)
	}
}

func TestErrors(t *testing.T) {
	ref := serve(t, image(t, map[string]string{"configs/a.yaml": strings.Repeat("a", 100000)}), plain)
	tests := map[string]struct {
		ref  string
		o    oci.Options
		want failure.Kind
	}{
		"an image that is not there":  {ref: strings.Replace(ref, ":v1", ":v2", 1), want: failure.NotFound},
		"a registry that is not":      {ref: "127.0.0.1:1/a/b:c", want: failure.Waiting},
		"a name that is none":         {ref: "docker://A B", want: failure.Invalid},
		"a platform that is none":     {ref: ref, o: oci.Options{Platform: "a/b/c/d/e"}, want: failure.Invalid},
		"an image that has no end":    {ref: ref, o: oci.Options{MaxBytes: 50000}, want: failure.Invalid},
		"a directory that is no such": {ref: "oci:/nowhere", want: failure.NotFound},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			if _, err := unpacked(t.Context(), t, test.ref, test.o); failure.KindOf(err) != test.want {
				t.Errorf("error %v has kind %s, want %s", err, failure.KindOf(err), test.want)
			}
		})
	}
}
