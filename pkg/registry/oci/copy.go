package oci

import (
	"context"
	"path"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"chandler.dev/olm/pkg/failure"
)

// Mirror is where images are copied to: a prefix of repositories in a registry,
// or a layout on disk. Digests stay what they are.
type Mirror struct {
	dest    string
	options Options

	mu sync.Mutex // a layout has one index
}

// NewMirror returns a mirror at a prefix such as registry/path or oci:DIR.
func NewMirror(dest string, o Options) *Mirror {
	return &Mirror{dest: strings.TrimSuffix(strings.TrimPrefix(dest, remotePrefix), "/"), options: o}
}

// Place returns where an image goes.
func (m *Mirror) Place(ref string) (string, error) {
	parsed, err := m.options.parse(ref)
	if err != nil {
		return "", err
	}
	if dir, ok := strings.CutPrefix(m.dest, LayoutPrefix); ok {
		return LayoutPrefix + dir + ":" + ref, nil
	}
	at := path.Join(m.dest, parsed.Context().RepositoryStr())
	if _, ok := parsed.(name.Digest); ok {
		return at + "@" + parsed.Identifier(), nil
	}
	return at + ":" + parsed.Identifier(), nil
}

// Copy copies an image with all its platforms, and returns where it went.
func (m *Mirror) Copy(ctx context.Context, ref string) (string, error) {
	place, err := m.Place(ref)
	if err != nil {
		return "", err
	}
	found, err := m.options.get(ctx, ref)
	if err != nil {
		return "", err
	}
	if dir, ok := strings.CutPrefix(m.dest, LayoutPrefix); ok {
		return place, m.keep(ctx, dir, ref, found)
	}
	to, err := m.options.parse(place)
	if err != nil {
		return "", err
	}
	options, err := m.options.remote(ctx)
	if err != nil {
		return "", err
	}
	return place, pushed(place, again(ctx, func() error { return put(found, to, options) }))
}

func put(found *remote.Descriptor, to name.Reference, options []remote.Option) error {
	if found.MediaType.IsIndex() {
		index, err := found.ImageIndex()
		if err != nil {
			return err
		}
		return remote.WriteIndex(to, index, options...)
	}
	image, err := found.Image()
	if err != nil {
		return err
	}
	return remote.Write(to, image, options...)
}

// Catalog returns where the catalog itself goes.
func (m *Mirror) Catalog(tag string) (string, error) {
	if tag == "" {
		return "", failure.New(failure.Invalid, "the mirrored catalog needs a tag")
	}
	if strings.HasPrefix(m.dest, LayoutPrefix) {
		return m.dest + ":" + tag, nil
	}
	return m.dest + "/catalog:" + tag, nil
}
