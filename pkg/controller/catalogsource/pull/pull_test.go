package pull_test

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	ocitypes "github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"

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

// push serves an image of files behind a password and returns its name.
func push(t *testing.T, files map[string]string) string {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for file, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(layer.Bytes(), ocitypes.OCIUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	store := fake.New(fake.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	image := path.Join(strings.TrimPrefix(server.URL, "http://"), "example/etcd:v1")
	ref, err := name.ParseReference(image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: "me", Password: "secret"})); err != nil {
		t.Fatal(err)
	}
	return image
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
