// Package fingerprint identifies the files of a source, so that what was made
// of them need not be made again. It reads bytes and understands nothing.
package fingerprint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"chandler.dev/olm/pkg/registry/pipeline"
)

// Of returns the fingerprint of a file, or of all files at or below a
// directory, together with words that matter as well. Names count relative to
// the path, times and owners do not; so a copy has the same fingerprint. Names
// that begin with two dots are the inner workings of a mounted volume and do
// not count.
func Of(ctx context.Context, root string, words ...string) (string, error) {
	h := sha256.New()
	for _, word := range words {
		h.Write(fmt.Appendf(nil, "word %q\n", word))
	}
	info, err := os.Stat(root)
	if err != nil {
		return "", err
	}
	base, name := root, "."
	if !info.IsDir() {
		base, name = filepath.Split(root)
	}
	fsys := os.DirFS(filepath.Clean(base))
	results := pipeline.Ordered(ctx, func(_ context.Context, start func(func() sum) error) error {
		return fs.WalkDir(fsys, name, func(file string, entry fs.DirEntry, err error) error {
			switch hidden := strings.HasPrefix(path.Base(file), ".."); {
			case err != nil:
				return err
			case hidden && entry.IsDir():
				return fs.SkipDir
			case hidden || entry.IsDir():
				return nil
			}
			return start(func() sum { return sumOf(fsys, file) })
		})
	})
	for one, err := range results {
		if err := errors.Join(err, one.err); err != nil {
			return "", err
		}
		h.Write(fmt.Appendf(nil, "file %q %x\n", one.name, one.hash))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// sum is what one file contributes.
type sum struct {
	name string
	hash []byte
	err  error
}

func sumOf(fsys fs.FS, name string) sum {
	f, err := fsys.Open(name)
	if err != nil {
		return sum{err: err}
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return sum{name: name} // a link to a directory; readers say what they think of it
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return sum{name, h.Sum(nil), err}
}
