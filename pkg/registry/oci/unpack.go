package oci

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"k8s.io/apimachinery/pkg/util/wait"

	"chandler.dev/olm/pkg/failure"
)

const defaultPlatform = "linux/" + runtime.GOARCH

// attempts is how a layer is fetched again when it breaks off on the way.
var attempts = wait.Backoff{Steps: 5, Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.2}

// Unpack writes the files of an image below any of some directories (all if
// there are none) into dir. Links and devices are left out.
func (i *Image) Unpack(ctx context.Context, dir string, below ...string) error {
	cache := i.options.CacheDir
	if cache == "" {
		var err error
		if cache, err = os.MkdirTemp("", "catalog-layers-"); err != nil {
			return err
		}
		defer os.RemoveAll(cache) //nolint:errcheck // it is temporary
	}
	layers, err := i.image.Layers()
	if err != nil {
		return classify(i.Ref, err)
	}
	local := empty.Image
	for _, layer := range layers {
		kept, err := i.fetch(ctx, layer, cache)
		if err != nil {
			return err
		}
		if local, err = mutate.AppendLayers(local, kept); err != nil {
			return err
		}
	}
	flat := mutate.Extract(local)
	defer flat.Close() //nolint:errcheck // only read
	limit := cmp.Or(i.options.MaxBytes, defaultMaxBytes)
	err = extract(flat, dir, limit, below)
	if errors.Is(err, errTooLarge) {
		return failure.New(failure.Invalid, "image %q holds more than %d MB", i.Ref, limit/1e6).WithHint("it is no catalog, or it is broken")
	}
	if err != nil {
		e := failure.New(failure.Invalid, "image %q cannot be unpacked", i.Ref).WithHint("pull it with another tool to see whether it is broken")
		e.Err = err
		return e
	}
	return nil
}

// fetch downloads a layer unless it is in the cache already.
func (i *Image) fetch(ctx context.Context, layer v1.Layer, cache string) (v1.Layer, error) {
	digest, err := layer.Digest()
	if err != nil {
		return nil, classify(i.Ref, err)
	}
	file := filepath.Join(cache, digest.Algorithm+"-"+digest.Hex)
	if _, err := os.Stat(file); err != nil {
		last := errors.New("no attempt was made")
		err := wait.ExponentialBackoffWithContext(ctx, attempts, func(context.Context) (bool, error) {
			last = download(layer, file)
			return last == nil, nil
		})
		if err != nil {
			return nil, classify(i.Ref, errors.Join(last, ctx.Err()))
		}
	}
	return tarball.LayerFromFile(file)
}

// download writes a layer to a file, which appears when it is complete and has
// the digest that it should have.
func download(layer v1.Layer, file string) error {
	in, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // only read
	out, err := os.CreateTemp(filepath.Dir(file), ".layer-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }()
	_, err = io.Copy(out, in) // fails if the digest is wrong
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), file)
}

var errTooLarge = errors.New("too large")

// limited fails when more is read than allowed, as a layer may decompress
// without end.
type limited struct {
	io.Reader

	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n, errTooLarge
	}
	return n, err
}

// extract writes the regular files of a tar stream.
func extract(stream io.Reader, dir string, limit int64, below []string) error {
	root, err := os.OpenRoot(dir) // no name leads out of it
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // only a handle
	in := tar.NewReader(&limited{Reader: stream, left: limit})
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			// What went wrong with a layer comes behind the end of the archive.
			_, err := io.Copy(io.Discard, stream)
			return err
		}
		if err != nil {
			return err
		}
		file := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if header.Typeflag != tar.TypeReg || !wanted(file, below) {
			continue
		}
		if err := root.MkdirAll(path.Dir(file), 0o755); err != nil {
			return err
		}
		out, err := root.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in) //nolint:gosec // the stream is limited
		if err := errors.Join(err, out.Close()); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
}

func wanted(file string, below []string) bool {
	for _, dir := range below {
		dir = strings.Trim(path.Clean("/"+dir), "/")
		if dir == "" || file == dir || strings.HasPrefix(file, dir+"/") {
			return true
		}
	}
	return len(below) == 0
}
