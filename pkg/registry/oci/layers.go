package oci

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/klauspost/compress/zstd"
	"k8s.io/apimachinery/pkg/util/wait"

	"chandler.dev/olm/pkg/failure"
)

// attempts is how a layer is fetched again when it breaks off on the way.
var attempts = wait.Backoff{Steps: 5, Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.2}

const (
	// idleTimeout is how long a transfer may rest.
	idleTimeout = time.Minute
	// maxWindow bounds the memory of a decompressor.
	maxWindow = 128 << 20
)

// layers returns the layers of the image, the lowest first. They must not have
// more bytes than they may have when they are decompressed.
func (i *Image) layers() ([]v1.Layer, error) {
	layers, err := i.image.Layers()
	if err != nil {
		return nil, classify(i.Ref, err)
	}
	left := i.limit()
	for _, layer := range layers {
		size, err := layer.Size()
		if err != nil {
			return nil, classify(i.Ref, err)
		}
		if left -= size; left < 0 || size < 0 {
			return nil, i.tooLarge()
		}
	}
	return layers, nil
}

func (i *Image) tooLarge() error {
	return failure.New(failure.Invalid, "image %q holds more than %d MB", i.Ref, i.limit()/1e6).WithHint("it is no catalog, or it is broken")
}

// fetch returns the file of a layer, and downloads it unless it is in the cache
// as it should be.
func (i *Image) fetch(ctx context.Context, layer v1.Layer, cache string) (file string, err error) {
	digest, err := layer.Digest()
	if err != nil {
		return "", classify(i.Ref, err)
	}
	file = filepath.Join(cache, digest.Algorithm+"-"+digest.Hex)
	if intact(file, digest) {
		return file, nil
	}
	return file, classify(i.Ref, again(ctx, func() error { return download(layer, digest, file) }))
}

// again repeats a transfer that fails, unless the registry says that it will
// fail again.
func again(ctx context.Context, transfer func() error) error {
	last := errors.New("no attempt was made")
	err := wait.ExponentialBackoffWithContext(ctx, attempts, func(context.Context) (bool, error) {
		last = transfer()
		if t, ok := errors.AsType[*transport.Error](last); ok && !t.Temporary() {
			return false, last
		}
		if _, ok := errors.AsType[*failure.Error](last); ok {
			return false, last
		}
		return last == nil, nil
	})
	if err == nil {
		return nil
	}
	return errors.Join(last, ctx.Err())
}

// intact reports whether a file is there and complete.
func intact(file string, digest v1.Hash) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read
	sum := hasher(digest.Algorithm)
	if sum == nil {
		return false
	}
	_, err = io.Copy(sum, f)
	return err == nil && hex.EncodeToString(sum.Sum(nil)) == digest.Hex
}

// download writes a layer to a file, which appears when it is complete and has
// the digest that it should have.
func download(layer v1.Layer, digest v1.Hash, file string) error {
	size, err := layer.Size()
	if err != nil {
		return err
	}
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
	sum := hasher(digest.Algorithm)
	if sum == nil {
		return failure.New(failure.Invalid, "the digest %s of a layer has an unknown algorithm", digest).WithHint("use sha256 or sha512")
	}
	watched := awake(in)
	defer watched.timer.Stop()
	n, err := io.Copy(io.MultiWriter(out, sum), watched)
	if got := hex.EncodeToString(sum.Sum(nil)); n == size && got != digest.Hex {
		err = &mismatch{what: "layer", want: digest.String(), got: digest.Algorithm + ":" + got}
	}
	if err := errors.Join(err, out.Chmod(0o644), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), file)
}

// wakeful breaks off a transfer that rests.
type wakeful struct {
	io.Reader

	timer *time.Timer
}

func awake(in io.ReadCloser) wakeful {
	return wakeful{Reader: in, timer: time.AfterFunc(idleTimeout, func() { _ = in.Close() })}
}

func (w wakeful) Read(p []byte) (int, error) {
	w.timer.Reset(idleTimeout)
	return w.Reader.Read(p)
}

// decompressed returns the archive in the file of a layer.
func decompressed(f io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(f, 64<<10)
	head, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzip.NewReader(in)
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(in), nil
}
