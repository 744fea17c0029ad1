package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// configsDir is where a catalog image has its file-based catalog.
const configsDir = "configs"

// Push writes the files of a file-based catalog as a catalog image to a
// registry, or to a layout on disk, and returns its digest. The same files
// give the same digest.
func Push(ctx context.Context, ref string, files fs.FS, o Options) (digest string, err error) {
	image, err := catalogImage(files)
	if err != nil {
		return "", err
	}
	hash, err := image.Digest()
	if err != nil {
		return "", err
	}
	if dir, ok := strings.CutPrefix(ref, LayoutPrefix); ok {
		return hash.String(), toLayout(dir, image)
	}
	parsed, err := o.parse(strings.TrimPrefix(ref, remotePrefix))
	if err != nil {
		return "", err
	}
	options, err := o.remote(ctx)
	if err != nil {
		return "", err
	}
	return hash.String(), classify(ref, remote.Write(parsed, image, options...))
}

// catalogImage makes an image of one layer, in which nothing depends on when
// and where it was made.
func catalogImage(files fs.FS) (v1.Image, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: path.Join(configsDir, name), Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64" // data runs anywhere; readers ask for something
	config.Config.Labels = map[string]string{LabelConfigs: "/" + configsDir}
	image, err = mutate.ConfigFile(mutate.ConfigMediaType(image, types.OCIConfigJSON), config)
	return image, err
}

// toLayout adds an image to a layout, in place of one of the same tag.
func toLayout(dir string, image v1.Image) error {
	dir, tag := splitLayout(dir)
	at, err := layout.FromPath(dir)
	if err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if at, err = layout.Write(dir, empty.Index); err != nil {
			return err
		}
	}
	var annotations []layout.Option
	if tag != "" {
		annotations = append(annotations, layout.WithAnnotations(map[string]string{tagAnnotation: tag}))
	}
	return at.ReplaceImage(image, func(d v1.Descriptor) bool { return d.Annotations[tagAnnotation] == tag }, annotations...)
}
