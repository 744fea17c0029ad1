// Package oci reads catalog and bundle images from registries and from OCI
// layouts on disk, and writes catalogs to them. Layers are fetched one by one,
// verified by their digest and kept, so that an interrupted pull goes on where
// it stopped; unpacking never leaves its directory and is bounded in size.
package oci

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

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
	remotePrefix    = "docker://"
	defaultMaxBytes = 8 << 30
	tagAnnotation   = "org.opencontainers.image.ref.name"
)

// Options of reaching registries.
type Options struct {
	PlainHTTP bool
	CAFile    string            // authorities besides those of the system, in PEM
	Mirrors   map[string]string // prefix of a repository by the prefix that it stands for
	CacheDir  string            // keeps layers; empty for a temporary directory
	Platform  string            // os/arch; linux and the own architecture if empty
	MaxBytes  int64             // of an unpacked image; 8 GiB if 0
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

// Open reads the manifest of an image. failure.NotFound if there is none,
// failure.Blocked if the registry wants other credentials, failure.Waiting if
// it cannot be reached.
func Open(ctx context.Context, ref string, o Options) (*Image, error) {
	image, err := find(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	digest, err := image.Digest()
	if err != nil {
		return nil, classify(ref, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, classify(ref, err)
	}
	return &Image{Ref: ref, Digest: digest.String(), Labels: config.Config.Labels, image: image, options: o}, nil
}

func find(ctx context.Context, ref string, o Options) (v1.Image, error) {
	if dir, ok := strings.CutPrefix(ref, LayoutPrefix); ok {
		return fromLayout(dir, o)
	}
	var errs []error
	for _, candidate := range o.candidates(strings.TrimPrefix(ref, remotePrefix)) {
		parsed, err := o.parse(candidate)
		if err != nil {
			return nil, err
		}
		options, err := o.remote(ctx)
		if err != nil {
			return nil, err
		}
		image, err := remote.Image(parsed, options...)
		if err == nil {
			return image, nil
		}
		errs = append(errs, classify(candidate, err))
	}
	return nil, errs[len(errs)-1]
}

// candidates returns the places of an image, mirrors first.
func (o Options) candidates(ref string) []string {
	var all []string
	best := ""
	for prefix := range o.Mirrors {
		if strings.HasPrefix(ref, prefix) && len(prefix) > len(best) {
			best = prefix
		}
	}
	if best != "" {
		all = append(all, o.Mirrors[best]+strings.TrimPrefix(ref, best))
	}
	return append(all, ref)
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

// remote returns the options of the registry client. It retries by itself what
// a registry says will pass.
func (o Options) remote(ctx context.Context) ([]remote.Option, error) {
	keychain := o.Keychain
	if keychain == nil {
		keychain = authn.DefaultKeychain
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(keychain)}
	platform, err := v1.ParsePlatform(cmp.Or(o.Platform, defaultPlatform))
	if err != nil {
		return nil, failure.New(failure.Invalid, "%q is no platform", o.Platform).WithHint("write it as os/architecture")
	}
	options = append(options, remote.WithPlatform(*platform))
	if o.CAFile == "" {
		return options, nil
	}
	text, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, failure.New(failure.Invalid, "cannot read the authorities of the registry: %v", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, failure.New(failure.Invalid, "%q holds no certificate", o.CAFile)
	}
	base, _ := remote.DefaultTransport.(*http.Transport) // it is one
	base = base.Clone()
	base.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return append(options, remote.WithTransport(base)), nil
}

// fromLayout finds an image in a directory, by tag if there are several.
func fromLayout(dir string, o Options) (v1.Image, error) {
	dir, tag := splitLayout(dir)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		e := failure.New(failure.NotFound, "%q is no OCI layout", dir).WithHint("it needs a file index.json")
		e.Err = err
		return nil, e
	}
	return fromIndex(index, tag, cmp.Or(o.Platform, defaultPlatform))
}

func splitLayout(dir string) (path, tag string) {
	if _, err := os.Stat(dir); err == nil {
		return dir, ""
	}
	for i, c := range dir {
		if c != ':' || i == 0 {
			continue
		}
		if _, err := os.Stat(dir[:i]); err == nil {
			return dir[:i], dir[i+1:]
		}
	}
	if i := strings.LastIndex(dir, ":"); i > 0 {
		return dir[:i], dir[i+1:]
	}
	return dir, ""
}

func fromIndex(index v1.ImageIndex, tag, platform string) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	want, err := v1.ParsePlatform(platform)
	if err != nil {
		return nil, failure.New(failure.Invalid, "%q is no platform", platform)
	}
	for _, m := range manifest.Manifests {
		if tag != "" && m.Annotations[tagAnnotation] != tag && m.Digest.String() != tag {
			continue
		}
		if m.MediaType.IsIndex() {
			inner, err := index.ImageIndex(m.Digest)
			if err != nil {
				return nil, err
			}
			return fromIndex(inner, "", platform)
		}
		if m.MediaType.IsImage() && (m.Platform == nil || m.Platform.Satisfies(*want)) {
			return index.Image(m.Digest)
		}
	}
	return nil, failure.New(failure.NotFound, "the OCI layout has no image %q for %s", tag, platform)
}

// classify says who can cure what a registry answers.
func classify(ref string, err error) error {
	if err == nil || failure.KindOf(err) != failure.Internal {
		return err
	}
	e := failure.New(failure.Waiting, "cannot pull %q", ref).WithHint("check the network and the name of the registry; --plain-http and --registry-ca change how it is reached")
	if t, ok := errors.AsType[*transport.Error](err); ok {
		switch t.StatusCode {
		case http.StatusNotFound:
			e = failure.New(failure.NotFound, "there is no image %q", ref).WithHint("check the repository and the tag")
		case http.StatusUnauthorized, http.StatusForbidden:
			e = failure.New(failure.Blocked, "the registry does not let you read %q", ref).WithHint("log in with a tool that writes the docker configuration")
		}
	}
	e.Err = err
	return e
}
