package oci

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"chandler.dev/olm/pkg/failure"
)

// keep adds what was found to a layout, under the name that it had. What is
// there already is not fetched again.
func (m *Mirror) keep(ctx context.Context, dir, ref string, found *remote.Descriptor) error {
	m.mu.Lock()
	at, err := layoutAt(dir)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if found.MediaType.IsIndex() {
		var index v1.ImageIndex
		if index, err = found.ImageIndex(); err == nil {
			err = keepIndex(ctx, at, index, 1)
		}
	} else {
		var image v1.Image
		if image, err = found.Image(); err == nil {
			err = keepImage(ctx, at, image)
		}
	}
	if err != nil {
		return classify(ref, err)
	}
	m.mu.Lock() // the layout has one index
	defer m.mu.Unlock()
	if err := at.RemoveDescriptors(isTagged(ref)); err != nil {
		return err
	}
	return at.AppendDescriptor(v1.Descriptor{
		MediaType: found.MediaType, Size: found.Size, Digest: found.Digest, Annotations: map[string]string{tagAnnotation: ref},
	})
}

func keepIndex(ctx context.Context, at layout.Path, index v1.ImageIndex, depth int) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	if depth > maxIndexDepth {
		return failure.New(failure.Invalid, "the index of the image has more than %d levels", maxIndexDepth).WithHint("it is broken")
	}
	for _, m := range manifest.Manifests {
		switch {
		case m.MediaType.IsImage():
			image, err := index.Image(m.Digest)
			if err != nil {
				return err
			}
			if err := keepImage(ctx, at, image); err != nil {
				return err
			}
		case m.MediaType.IsIndex():
			inner, err := index.ImageIndex(m.Digest)
			if err != nil {
				return err
			}
			if err := keepIndex(ctx, at, inner, depth+1); err != nil {
				return err
			}
		}
	}
	return keepDocument(at, index.Digest, index.RawManifest)
}

// keepImage writes the parts of an image, the manifest last.
func keepImage(ctx context.Context, at layout.Path, image v1.Image) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		mediaType, err := layer.MediaType()
		if err != nil {
			return err
		}
		if !mediaType.IsDistributable() {
			continue
		}
		digest, err := layer.Digest()
		if err != nil {
			return err
		}
		file, err := blobFile(at, digest)
		if err != nil {
			return err
		}
		if intact(file, digest) {
			continue
		}
		if err := again(ctx, func() error { return download(layer, digest, file) }); err != nil {
			return err
		}
	}
	if err := keepDocument(at, image.ConfigName, image.RawConfigFile); err != nil {
		return err
	}
	return keepDocument(at, image.Digest, image.RawManifest)
}

func blobFile(at layout.Path, digest v1.Hash) (string, error) {
	dir := filepath.Join(string(at), "blobs", digest.Algorithm)
	return filepath.Join(dir, digest.Hex), os.MkdirAll(dir, 0o755)
}

// keepDocument writes a manifest or a configuration.
func keepDocument(at layout.Path, name func() (v1.Hash, error), read func() ([]byte, error)) error {
	digest, err := name()
	if err != nil {
		return err
	}
	text, err := read()
	if err != nil {
		return err
	}
	file, err := blobFile(at, digest)
	if err != nil || intact(file, digest) {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(file), ".document-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }()
	_, err = io.Copy(out, bytes.NewReader(text))
	if err := errors.Join(err, out.Chmod(0o644), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), file)
}
