// Package pull reads the content of bundles from their images, with the
// secrets of the catalog that offers them. It decides nothing and keeps
// nothing.
package pull

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/catalogsource"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/oci"
)

// maxBytes bounds the unpacked manifests of one bundle.
const maxBytes = 256 << 20

// Bundles reads bundle images.
type Bundles struct {
	Reader client.Reader // of CatalogSources and Secrets, live
	Images oci.Options   // Keychain is used after the secrets of the catalog
}

// Content returns the manifests of the bundle in an image.
func (b Bundles) Content(ctx context.Context, catalog types.NamespacedName, image string) (registry.Content, error) {
	options := b.Images
	options.MaxBytes = maxBytes
	keychain, err := b.keychain(ctx, catalog)
	if err != nil {
		return registry.Content{}, err
	}
	options.Keychain = keychain
	pulled, err := oci.Open(ctx, image, options)
	if err != nil {
		return registry.Content{}, err
	}
	dir, err := os.MkdirTemp("", "bundle-image-")
	if err != nil {
		return registry.Content{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := pulled.Unpack(ctx, dir, "manifests", "metadata"); err != nil {
		return registry.Content{}, err
	}
	if !bundle.Is(os.DirFS(dir), ".") {
		return registry.Content{}, failure.New(failure.Invalid, "the image %q is no bundle: it lacks a directory manifests or metadata", image).
			WithHint("tell the publisher of the catalog, or choose another version")
	}
	parsed, err := bundle.Parse(os.DirFS(dir), image)
	if err != nil {
		return registry.Content{}, invalid(image, err)
	}
	return parsed.Content, nil
}

// invalid makes what is wrong with a bundle readable for users.
func invalid(image string, err error) error {
	if _, ok := errors.AsType[registry.Problem](err); !ok {
		return err
	}
	e := failure.New(failure.Invalid, "the image %q holds no valid bundle: %s", image, strings.Join(strings.Fields(err.Error()), " "))
	e.Err = err
	return e
}

// keychain holds the credentials in the secrets that a catalog names. Secrets
// that are absent are passed over, as the existing catalogs do.
func (b Bundles) keychain(ctx context.Context, catalog types.NamespacedName) (authn.Keychain, error) {
	base := b.Images.Keychain
	if base == nil {
		base = authn.DefaultKeychain
	}
	object := catalogsource.NewObject()
	if err := b.Reader.Get(ctx, catalog, object); err != nil {
		return base, client.IgnoreNotFound(err)
	}
	cs, err := catalogsource.Decode(object)
	if err != nil {
		return nil, err
	}
	found := oci.Credentials{}
	for _, name := range cs.Spec.Secrets {
		secret := &corev1.Secret{}
		err := b.Reader.Get(ctx, types.NamespacedName{Namespace: catalog.Namespace, Name: name}, secret)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("read secret %q: %w", name, err)
		}
		found.AddSecret(string(secret.Type), secret.Data)
	}
	return authn.NewMultiKeychain(found, base), nil
}
