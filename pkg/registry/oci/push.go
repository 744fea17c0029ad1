package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"chandler.dev/olm/pkg/failure"
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
	return hash.String(), pushed(ref, remote.Write(parsed, image, options...))
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
	at, err := layoutAt(dir)
	if err != nil {
		return err
	}
	return at.ReplaceImage(image, isTagged(tag), withTag(tag)...)
}

// layoutAt opens a layout, or makes one.
func layoutAt(dir string) (layout.Path, error) {
	if at, err := layout.FromPath(dir); err == nil {
		return at, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return layout.Write(dir, empty.Index)
}

func isTagged(tag string) match.Matcher {
	return func(d v1.Descriptor) bool { return d.Annotations[tagAnnotation] == tag }
}

func withTag(tag string) []layout.Option {
	if tag == "" {
		return nil
	}
	return []layout.Option{layout.WithAnnotations(map[string]string{tagAnnotation: tag})}
}

// pushed says who can cure it that something cannot be written.
func pushed(place string, err error) error {
	if _, ok := errors.AsType[*failure.Error](err); ok || err == nil {
		return err
	}
	e := failure.New(failure.Waiting, "cannot write %q", place).
		WithHint("check the network and the name of the registry; --plain-http and --registry-ca change how it is reached")
	t, ok := errors.AsType[*transport.Error](err)
	if ok && (t.StatusCode == http.StatusUnauthorized || t.StatusCode == http.StatusForbidden) {
		e = failure.New(failure.Blocked, "the registry does not let you write %q", place).WithHint("log in with a tool that writes the docker configuration")
	}
	e.Err = err
	return e
}
