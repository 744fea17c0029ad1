package main

import (
	"io/fs"
	"os"
	"path/filepath"

	"chandler.dev/olm/internal/held"
	"chandler.dev/olm/pkg/registry/oci"
)

// scratchPrefix is how this program names its directories among the temporary
// files of everybody.
const scratchPrefix = "chandler-catalog-"

// scratch is a directory for temporary files.
type scratch struct {
	dir  string
	lock *os.File // of the directory, so that the next process knows whether it is left over
}

// newScratch makes a directory, after it has removed those whose processes were
// killed.
func newScratch() (scratch, error) {
	held.Sweep(os.TempDir(), scratchPrefix, fs.DirEntry.IsDir)
	lock, err := held.Make(func() (string, error) { return os.MkdirTemp("", scratchPrefix) })
	if err != nil {
		return scratch{}, err
	}
	return scratch{lock.Name(), lock}, nil
}

// remove removes the directory with all that is in it.
func (s scratch) remove() {
	_ = os.RemoveAll(s.dir)
	_ = s.lock.Close()
}

// unpacking returns a directory in it for the files of images, and options
// with which their layers are in it too, if nobody keeps them.
func (s scratch) unpacking(o oci.Options) (oci.Options, string, error) {
	files := filepath.Join(s.dir, "files")
	if err := os.Mkdir(files, 0o700); err != nil {
		return o, "", err
	}
	if o.CacheDir != "" {
		return o, files, nil
	}
	o.CacheDir = filepath.Join(s.dir, "layers")
	return o, files, os.Mkdir(o.CacheDir, 0o700)
}
