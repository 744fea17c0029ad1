package pull_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	ocitypes "github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"chandler.dev/olm/internal/testkit/distribution"
	"chandler.dev/olm/pkg/controller/catalogsource/pull"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/oci"
)

var bundleFiles = map[string]string{
	"metadata/annotations.yaml": `annotations:
  operators.operatorframework.io.bundle.mediatype.v1: registry+v1
  operators.operatorframework.io.bundle.manifests.v1: manifests/
  operators.operatorframework.io.bundle.metadata.v1: metadata/
  operators.operatorframework.io.bundle.package.v1: etcd
  operators.operatorframework.io.bundle.channels.v1: stable
`,
	"manifests/etcd.clusterserviceversion.yaml": `apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata: {name: etcd.v1.0.0}
spec: {version: 1.0.0, displayName: etcd, install: {strategy: deployment, spec: {deployments: []}}}
`,
}

// bundleImage is an image of files.
func bundleImage(t *testing.T, files map[string]string) v1.Image {
	t.Helper()
	var layer bytes.Buffer
	z := gzip.NewWriter(&layer)
	w := tar.NewWriter(z)
	for file, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(layer.Bytes(), ocitypes.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// push serves an image of files behind a password and returns its name.
func push(t *testing.T, files map[string]string) string {
	t.Helper()
	return distribution.Start(t, distribution.Options{Passwords: true}).Push(t, "example/etcd:v1", bundleImage(t, files))
}

func TestContent(t *testing.T) {
	image := push(t, bundleFiles)
	host, _, _ := strings.Cut(image, "/")
	auth := base64.StdEncoding.EncodeToString([]byte("me:secret"))
	secret := func(kind corev1.SecretType, key, format string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "olm", Name: "registry"}, Type: kind,
			Data: map[string][]byte{key: fmt.Appendf(nil, format, host, auth)},
		}
	}
	tests := map[string]struct {
		image   string
		secrets []client.Object
		want    failure.Kind // empty: it succeeds
	}{
		"with the secret of the catalog": {
			image: image, secrets: []client.Object{secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, `{"auths":{%q:{"auth":%q}}}`)},
		},
		"with one of a repository": {
			image: image, secrets: []client.Object{secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, `{"auths":{"%s/example":{"auth":%q}}}`)},
		},
		"with one in the older form": {
			image: image, secrets: []client.Object{secret(corev1.SecretTypeDockercfg, corev1.DockerConfigKey, `{%q:{"auth":%q}}`)},
		},
		"without one": {image: image, want: failure.Blocked},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			catalog := &v1alpha1.CatalogSource{
				ObjectMeta: metav1.ObjectMeta{Namespace: "olm", Name: "main"}, Spec: v1alpha1.CatalogSourceSpec{Secrets: []string{"registry"}},
			}
			reader := fakeclient.NewClientBuilder().WithScheme(catalogScheme(t)).WithObjects(append(tt.secrets, catalog)...).Build()
			b := pull.Bundles{Reader: reader, Images: oci.Options{PlainHTTP: true, Keychain: authn.NewMultiKeychain()}}
			content, err := b.Content(t.Context(), types.NamespacedName{Namespace: "olm", Name: "main"}, tt.image)
			if tt.want != "" {
				if failure.KindOf(err) != tt.want {
					t.Errorf("Content() = %v, want a failure of kind %s", err, tt.want)
				}
				return
			}
			if err != nil || !bytes.Contains(content.CSV, []byte("etcd.v1.0.0")) || len(content.Objects) != 1 {
				t.Errorf("Content() = %v with %d objects, ClusterServiceVersion %s", err, len(content.Objects), content.CSV)
			}
		})
	}
}

func TestContentOfSomethingElse(t *testing.T) {
	image := push(t, map[string]string{"README": "nothing"})
	b := pull.Bundles{
		Reader: fakeclient.NewClientBuilder().WithScheme(catalogScheme(t)).Build(),
		Images: oci.Options{PlainHTTP: true, Keychain: fixed{}},
	}
	_, err := b.Content(t.Context(), types.NamespacedName{Namespace: "olm", Name: "gone"}, image)
	if failure.KindOf(err) != failure.Invalid {
		t.Errorf("Content() = %v, want an Invalid failure", err)
	}
}

// TestContentWithTokens pulls from a registry that wants tokens, and ends the
// first of them between the manifest and the layer.
func TestContentWithTokens(t *testing.T) {
	var r *distribution.Registry
	img := bundleImage(t, bundleFiles)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	layer, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	r = distribution.Start(t, distribution.Options{Tokens: true, Wrap: func(registry http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, layer.String()) {
				r.AwaitExpiry()
			}
			registry.ServeHTTP(w, req)
		})
	}})
	image := r.Push(t, "example/etcd:v1", img)
	b := pull.Bundles{
		Reader: fakeclient.NewClientBuilder().WithScheme(catalogScheme(t)).Build(),
		Images: oci.Options{PlainHTTP: true, Keychain: fixed{}},
	}
	r.NextToken(time.Second)
	content, err := b.Content(t.Context(), types.NamespacedName{Namespace: "olm", Name: "gone"}, image)
	if err != nil || len(content.Objects) != 1 {
		t.Errorf("Content() = %d objects, %v, want one", len(content.Objects), err)
	}
}

// TestContentWithoutEnd refuses a bundle that is larger than bundles are.
func TestContentWithoutEnd(t *testing.T) {
	image := push(t, map[string]string{"manifests/a.yaml": strings.Repeat("x", 65<<20), "metadata/annotations.yaml": bundleFiles["metadata/annotations.yaml"]})
	b := pull.Bundles{
		Reader: fakeclient.NewClientBuilder().WithScheme(catalogScheme(t)).Build(),
		Images: oci.Options{PlainHTTP: true, Keychain: fixed{}},
	}
	_, err := b.Content(t.Context(), types.NamespacedName{Namespace: "olm", Name: "gone"}, image)
	if failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("Content() = %.200v, want an Invalid failure that names the limit", err)
	}
}

// fixed knows the password of the registry.
type fixed struct{}

func (fixed) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "me", Password: "secret"}, nil
}

func catalogScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}
