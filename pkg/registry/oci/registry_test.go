package oci_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"chandler.dev/olm/internal/testkit/distribution"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/oci"
)

// known knows the password of registries.
type known struct{}

func (known) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: distribution.User, Password: distribution.Password}, nil
}

// pulls fails unless the catalog image of a reference can be pulled.
func pulls(t *testing.T, ref string, o oci.Options) {
	t.Helper()
	dir, err := unpacked(t.Context(), t, ref, o)
	if got := content(t, dir); err != nil || got != "configs/a=1" {
		t.Errorf("pulled %q, %v, want configs/a=1", got, err)
	}
}

func TestMediaTypes(t *testing.T) {
	files := archive(t, "configs/a=1")
	r := distribution.Start(t, distribution.Options{})
	for what, test := range map[string]struct {
		manifest, config, layer types.MediaType
		content                 []byte
	}{
		"docker":           {types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer, gzipped(t, files)},
		"OCI":              {types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer, gzipped(t, files)},
		"OCI zstd":         {types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayerZStd, zstandard(t, files)},
		"OCI uncompressed": {types.OCIManifestSchema1, types.OCIConfigJSON, types.OCIUncompressedLayer, files},
	} {
		t.Run(what, func(t *testing.T) {
			img := mutate.ConfigMediaType(mutate.MediaType(build(t, "amd64", static.NewLayer(test.content, test.layer)), test.manifest), test.config)
			place := "team/" + strings.ToLower(strings.ReplaceAll(what, " ", "-"))
			ref := r.Push(t, place+":v1", img)
			pulls(t, ref, oci.Options{})
			pulls(t, "docker://"+ref, oci.Options{})
			pulls(t, r.Host+"/"+place+"@"+digestOf(t, img), oci.Options{})
			pulls(t, ref+"@"+digestOf(t, img), oci.Options{})
			got, err := oci.Open(t.Context(), ref, oci.Options{})
			if err != nil || got.Digest != digestOf(t, img) {
				t.Errorf("opened %v, %v, want digest %s", got, err, digestOf(t, img))
			}
			if _, err := oci.Open(t.Context(), r.Host+"/"+place+":v2", oci.Options{}); failure.KindOf(err) != failure.NotFound {
				t.Errorf("a tag that is not there: %v, want kind NotFound", err)
			}
			other := r.Host + "/" + place + "@sha256:" + strings.Repeat("0", 64)
			if _, err := oci.Open(t.Context(), other, oci.Options{}); failure.KindOf(err) != failure.NotFound {
				t.Errorf("a digest that is not there: %v, want kind NotFound", err)
			}
		})
	}
}

func TestPlatforms(t *testing.T) {
	index := func(kind types.MediaType, architectures ...string) v1.ImageIndex {
		all := mutate.IndexMediaType(empty.Index, kind)
		for _, a := range architectures {
			img := build(t, a, static.NewLayer(gzipped(t, archive(t, "configs/a="+a)), types.DockerLayer))
			all = mutate.AppendManifests(all, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: a}}})
		}
		return all
	}
	r := distribution.Start(t, distribution.Options{})
	for name, kind := range map[string]types.MediaType{"docker": types.DockerManifestList, "oci": types.OCIImageIndex} {
		ref := r.Push(t, "team/catalog:"+name, index(kind, "s390x", "ppc64le"))
		for platform, want := range map[string]string{"linux/s390x": "s390x", "linux/ppc64le": "ppc64le", "": "s390x"} {
			dir, err := unpacked(t.Context(), t, ref, oci.Options{Platform: platform})
			if got := content(t, dir); err != nil || got != "configs/a="+want {
				t.Errorf("%s: for %q: %s, %v, want that of %s", name, platform, got, err, want)
			}
		}
		_, err := oci.Open(t.Context(), ref, oci.Options{Platform: "linux/arm64"})
		if failure.KindOf(err) != failure.NotFound || !strings.Contains(err.Error(), "not for linux/arm64, only for linux/ppc64le, linux/s390x") {
			t.Errorf("%s: another platform: %v, want what there is", name, err)
		}
	}
}

// helper is a credential helper of docker.
const helper = `#!/bin/sh
read host
echo "{\"ServerURL\":\"$host\",\"Username\":\"me\",\"Secret\":\"secret\"}"
`

func TestCredentials(t *testing.T) {
	img := image(t, []string{"configs/a=1"})
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-test"), []byte(helper), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for what, o := range map[string]distribution.Options{
		"a password":           {Passwords: true},
		"a password, with TLS": {Passwords: true, TLS: true},
		"a token":              {Tokens: true},
		"a token, with TLS":    {Tokens: true, TLS: true},
	} {
		r := distribution.Start(t, o)
		ref := r.Push(t, "team/catalog:v1", img)
		for how, config := range map[string]string{
			"no":        `{}`,
			"the wrong": fmt.Sprintf(`{"auths":{%q:{"username":"me","password":"wrong"}}}`, r.Host),
			"plain":     fmt.Sprintf(`{"auths":{%q:{"username":"me","password":"secret"}}}`, r.Host),
			"encoded":   fmt.Sprintf(`{"auths":{%q:{"auth":"bWU6c2VjcmV0"}}}`, r.Host),
			"helped":    fmt.Sprintf(`{"credHelpers":{%q:"test"}}`, r.Host),
			"stored":    `{"credsStore":"test"}`,
		} {
			t.Run(what+" "+how, func(t *testing.T) {
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("DOCKER_CONFIG", dir)
				o := oci.Options{CAFile: r.CAFile}
				if how == "no" || how == "the wrong" {
					if _, err := oci.Open(t.Context(), ref, o); failure.KindOf(err) != failure.Blocked {
						t.Errorf("error %v, want kind Blocked", err)
					}
					return
				}
				pulls(t, ref, o)
			})
		}
	}
}

// TestExpiredToken lets the token end between the manifest and the layer.
func TestExpiredToken(t *testing.T) {
	img := image(t, []string{"configs/a=1"})
	layer := layerOf(t, img, 0)
	var (
		r       *distribution.Registry
		refused atomic.Int64
	)
	r = distribution.Start(t, distribution.Options{Tokens: true, Wrap: func(registry http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, layer) {
				r.AwaitExpiry()
			}
			if req.Header.Get("Authorization") != "" {
				w = &refusals{w, &refused}
			}
			registry.ServeHTTP(w, req)
		})
	}})
	ref := r.Push(t, "team/catalog:v1", img)
	refused.Store(0)
	r.NextToken(time.Second)
	pulls(t, ref, oci.Options{Keychain: known{}})
	if refused.Load() != 1 {
		t.Errorf("the registry refused %d tokens, want 1", refused.Load())
	}
}

// refusals counts the answers that say that a token is no good.
type refusals struct {
	http.ResponseWriter

	n *atomic.Int64
}

func (r *refusals) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		r.n.Add(1)
	}
	r.ResponseWriter.WriteHeader(status)
}

// broken answers the first requests for a blob in its own way.
func broken(blob string, times int64, answer func(w http.ResponseWriter, good *httptest.ResponseRecorder)) func(http.Handler) http.Handler {
	var n atomic.Int64
	return func(registry http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, blob) || r.Method != http.MethodGet || n.Add(1) > times {
				registry.ServeHTTP(w, r)
				return
			}
			good := httptest.NewRecorder()
			registry.ServeHTTP(good, r)
			answer(w, good)
		})
	}
}

func status(code int) func(http.ResponseWriter, *httptest.ResponseRecorder) {
	return func(w http.ResponseWriter, _ *httptest.ResponseRecorder) { w.WriteHeader(code) }
}

// half breaks off in the middle.
func half(w http.ResponseWriter, good *httptest.ResponseRecorder) {
	w.Header().Set("Content-Length", good.Header().Get("Content-Length"))
	_, _ = w.Write(good.Body.Bytes()[:good.Body.Len()/2])
}

// reset closes the connection without an answer.
func reset(w http.ResponseWriter, _ *httptest.ResponseRecorder) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// forged changes a letter.
func forged(w http.ResponseWriter, good *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), good.Header())
	text := good.Body.Bytes()
	text[len(text)/2]++
	_, _ = w.Write(text)
}

func TestBlobThatFails(t *testing.T) {
	img := image(t, []string{"configs/a=1"})
	layer := layerOf(t, img, 0)
	for what, test := range map[string]struct {
		times  int64
		answer func(http.ResponseWriter, *httptest.ResponseRecorder)
		want   failure.Kind // empty: it is pulled
	}{
		"twice, the server is busy":       {2, status(http.StatusServiceUnavailable), ""},
		"twice, there were too many":      {2, status(http.StatusTooManyRequests), ""},
		"twice, it broke off":             {2, half, ""},
		"twice, the connection is closed": {2, reset, ""},
		"twice, it was something else":    {2, forged, ""},
		"always, it is not there":         {100, status(http.StatusNotFound), failure.NotFound},
		"always, it is forbidden":         {100, status(http.StatusForbidden), failure.Blocked},
	} {
		t.Run(what, func(t *testing.T) {
			r := distribution.Start(t, distribution.Options{Wrap: broken(layer, test.times, test.answer)})
			ref := r.Push(t, "team/catalog:v1", img)
			if test.want == "" {
				pulls(t, ref, oci.Options{})
				if got := r.Requests(http.MethodGet, layer); got != 3 {
					t.Errorf("the layer was asked for %d times, want 3", got)
				}
				return
			}
			_, err := unpacked(t.Context(), t, ref, oci.Options{})
			if got := r.Requests(http.MethodGet, layer); failure.KindOf(err) != test.want || got != 1 {
				t.Errorf("error %v after %d requests, want kind %s after one", err, got, test.want)
			}
		})
	}
}

// TestWrongDigest names the digest of what was forged.
func TestWrongDigest(t *testing.T) {
	img := image(t, []string{"configs/a=1"})
	config, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	for what, digest := range map[string]string{"manifest": digestOf(t, img), "configuration": config.String(), "layer": layerOf(t, img, 0)} {
		t.Run(what, func(t *testing.T) {
			r := distribution.Start(t, distribution.Options{Wrap: broken(digest, 100, forged)})
			r.Push(t, "team/catalog:v1", img)
			dir, err := unpacked(t.Context(), t, r.Host+"/team/catalog@"+digestOf(t, img), oci.Options{})
			hex := strings.TrimPrefix(digest, "sha256:")
			if failure.KindOf(err) != failure.Waiting || !strings.Contains(err.Error(), hex) {
				t.Errorf("error %v, want one of kind Waiting that names %s", err, digest)
			}
			if got := content(t, dir); got != "" {
				t.Errorf("%s was unpacked", got)
			}
		})
	}
}

// TestResume breaks off at the last layer and pulls again: what is there is not
// fetched again, unless it was damaged.
func TestResume(t *testing.T) {
	img := image(t, []string{"bin/x=1"}, []string{"bin/y=1"}, []string{"configs/a=1"})
	first, second, last := layerOf(t, img, 0), layerOf(t, img, 1), layerOf(t, img, 2)
	r := distribution.Start(t, distribution.Options{Wrap: broken(last, 1, status(http.StatusNotFound))})
	ref := r.Push(t, "team/catalog:v1", img)
	o := oci.Options{CacheDir: t.TempDir()}
	if _, err := unpacked(t.Context(), t, ref, o); failure.KindOf(err) != failure.NotFound {
		t.Fatalf("error %v, want kind NotFound", err)
	}
	if err := os.WriteFile(filepath.Join(o.CacheDir, strings.Replace(second, ":", "-", 1)), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	pulls(t, ref, o)
	pulls(t, ref, o)
	for layer, want := range map[string]int{first: 1, second: 2, last: 2} {
		if got := r.Requests(http.MethodGet, layer); got != want {
			t.Errorf("layer %s was fetched %d times, want %d", layer, got, want)
		}
	}
}

func TestTransport(t *testing.T) {
	img := image(t, []string{"configs/a=1"})
	secure := distribution.Start(t, distribution.Options{TLS: true})
	plain := distribution.Start(t, distribution.Options{})
	ref := secure.Push(t, "team/catalog:v1", img)
	pulls(t, ref, oci.Options{CAFile: secure.CAFile})
	_, err := oci.Open(t.Context(), ref, oci.Options{})
	if failure.KindOf(err) != failure.Waiting || !strings.Contains(hintOf(err), "--registry-ca") {
		t.Errorf("an authority that is not known: %v [%s], want the flag to name", err, hintOf(err))
	}

	// Of this address no client knows that it is this machine.
	ref = strings.Replace(plain.Push(t, "team/catalog:v1", img), "127.0.0.1", "0.0.0.0", 1)
	pulls(t, ref, oci.Options{PlainHTTP: true})
	_, err = oci.Open(t.Context(), ref, oci.Options{})
	if failure.KindOf(err) != failure.Waiting || !strings.Contains(hintOf(err), "--plain-http") {
		t.Errorf("a registry without TLS: %v [%s], want the flag to name", err, hintOf(err))
	}
}

func hintOf(err error) string {
	if e, ok := err.(*failure.Error); ok { //nolint:errorlint // it is not wrapped
		return e.Hint
	}
	return ""
}

func TestMirrors(t *testing.T) {
	img := image(t, []string{"configs/a=1"})
	source := distribution.Start(t, distribution.Options{})
	mirror := distribution.Start(t, distribution.Options{Passwords: true})
	mirror.Push(t, "copies/catalog:v1", img)
	digest := "@" + digestOf(t, img)
	source.Push(t, "team/other:v1", img)
	source.Push(t, "teamwork/catalog:v1", img)
	with := func(prefix, place string) oci.Options {
		return oci.Options{Keychain: known{}, Mirrors: map[string]string{source.Host: "127.0.0.1:1", prefix: place}}
	}
	pulls(t, source.Host+"/team/catalog:v1", with(source.Host+"/team", mirror.Host+"/copies"))
	pulls(t, source.Host+"/team/catalog"+digest, with(source.Host+"/team/", mirror.Host+"/copies/"))
	pulls(t, source.Host+"/team/renamed:v1", with(source.Host+"/team/renamed", mirror.Host+"/copies/catalog"))
	pulls(t, "nowhere.invalid/team/catalog:v1", with("nowhere.invalid/team", mirror.Host+"/copies"))
	pulls(t, source.Host+"/team/other:v1", with(source.Host+"/team", mirror.Host+"/copies")) // the mirror lacks it
	pulls(t, source.Host+"/team/other:v1", with(source.Host+"/team", "127.0.0.1:1/copies"))  // there is no mirror
	pulls(t, source.Host+"/teamwork/catalog:v1", with(source.Host+"/team", mirror.Host+"/copies"))
	_, err := oci.Open(t.Context(), source.Host+"/team/neither:v1", with(source.Host+"/team", mirror.Host+"/copies"))
	if failure.KindOf(err) != failure.NotFound {
		t.Errorf("what neither has: %v, want kind NotFound", err)
	}
}
