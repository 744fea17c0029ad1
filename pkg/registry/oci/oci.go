// Package oci reads catalog and bundle images from registries and from OCI
// layouts on disk, and writes catalogs to them. Layers are fetched one by one,
// verified by their digest and kept, so that an interrupted pull goes on where
// it stopped; unpacking never leaves its directory and is bounded in size.
package oci

import (
	"context"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"chandler.dev/olm/pkg/failure"
)

// Labels that say what is in an image.
const (
	LabelConfigs  = "operators.operatorframework.io.index.configs.v1"  // directory of a file-based catalog
	LabelDatabase = "operators.operatorframework.io.index.database.v1" // path of an old index
	LabelPackage  = "operators.operatorframework.io.bundle.package.v1" // the image is a bundle
)

// LayoutPrefix begins the name of an image in a directory: oci:DIR[:TAG].
const LayoutPrefix = "oci:"

const (
	remotePrefix  = "docker://"
	tagAnnotation = "org.opencontainers.image.ref.name"
)

// Options of reaching registries.
type Options struct {
	PlainHTTP bool
	CAFile    string            // authorities besides those of the system, in PEM
	Mirrors   map[string]string // prefix of a repository by the prefix that it stands for
	CacheDir  string            // keeps layers; empty for a temporary directory
	Platform  string            // os/arch; if empty, linux on the own architecture or else on any
	MaxBytes  int64             // of all layers, decompressed; 8 GiB if 0
	Keychain  authn.Keychain    // the docker configuration if nil
}

// IsReference reports whether a text names an image, and not just any word: it
// has a registry in front.
func IsReference(text string) bool {
	if strings.HasPrefix(text, LayoutPrefix) || strings.HasPrefix(text, remotePrefix) {
		return true
	}
	host, rest, ok := strings.Cut(text, "/")
	if !ok || rest == "" || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return false
	}
	_, err := name.ParseReference(text)
	return err == nil
}

// Image is an image whose manifest was read.
type Image struct {
	Ref    string // as it was asked for
	Digest string
	Labels map[string]string

	image   v1.Image
	options Options
}

// Open reads the manifest of an image. failure.NotFound if there is none for
// the platform, failure.Blocked if the registry wants other credentials,
// failure.Waiting if it cannot be reached or serves something else.
func Open(ctx context.Context, ref string, o Options) (*Image, error) {
	image, err := find(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	digest, err := image.Digest()
	if err != nil {
		return nil, classify(ref, err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, classify(ref, err)
	}
	if size := manifest.Config.Size; size > maxDocument {
		return nil, failure.New(failure.Invalid, "the configuration of image %q has %d MB, the limit is %d", ref, size/1e6, maxDocument/1_000_000).
			WithHint("it is no image of a catalog or a bundle")
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, classify(ref, err)
	}
	return &Image{Ref: ref, Digest: digest.String(), Labels: config.Config.Labels, image: image, options: o}, nil
}

func find(ctx context.Context, ref string, o Options) (v1.Image, error) {
	want, err := o.platforms()
	if err != nil {
		return nil, err
	}
	if dir, ok := strings.CutPrefix(ref, LayoutPrefix); ok {
		return fromLayout(dir, want)
	}
	found, err := o.get(ctx, ref)
	if err != nil {
		return nil, err
	}
	if !found.MediaType.IsIndex() {
		image, err := found.Image()
		return image, classify(ref, err)
	}
	index, err := found.ImageIndex()
	if err != nil {
		return nil, classify(ref, err)
	}
	image, err := imageOf(index, want)
	return image, classify(ref, err)
}

// get reads the manifest of a reference from the first place that has it.
func (o Options) get(ctx context.Context, ref string) (*remote.Descriptor, error) {
	options, err := o.remote(ctx)
	if err != nil {
		return nil, err
	}
	var causes []error
	for _, candidate := range o.candidates(strings.TrimPrefix(ref, remotePrefix)) {
		parsed, err := o.parse(candidate)
		if err != nil {
			return nil, err
		}
		found, err := remote.Get(parsed, options...)
		if err == nil {
			return found, nil
		}
		causes = append(causes, err)
	}
	return nil, classify(ref, causes...)
}

// candidates returns the places of an image, mirrors first.
func (o Options) candidates(ref string) []string {
	best := ""
	for prefix := range o.Mirrors {
		if len(prefix) > len(best) && isPrefix(prefix, ref) {
			best = prefix
		}
	}
	if best == "" {
		return []string{ref}
	}
	return []string{strings.TrimSuffix(o.Mirrors[best], "/") + strings.TrimPrefix(ref, strings.TrimSuffix(best, "/")), ref}
}

// isPrefix reports whether a reference is below a registry or repository.
func isPrefix(prefix, ref string) bool {
	rest, ok := strings.CutPrefix(ref, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || strings.ContainsRune("/:@", rune(rest[0])))
}

func (o Options) parse(ref string) (name.Reference, error) {
	var options []name.Option
	if o.PlainHTTP {
		options = append(options, name.Insecure)
	}
	parsed, err := name.ParseReference(ref, options...)
	if err != nil {
		return nil, failure.New(failure.Invalid, "%q is no image reference", ref).WithHint("write it as registry/repository:tag or registry/repository@sha256:…")
	}
	return parsed, nil
}
