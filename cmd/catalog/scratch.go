package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"chandler.dev/olm/pkg/registry/oci"
)

// scratchPrefix is how this program names its directories among the temporary
// files of everybody.
const scratchPrefix = "chandler-catalog-"

// scratch is a directory for temporary files. It is locked for as long as the
// process lives, however it ends, so that the next one knows what is left over.
type scratch struct {
	dir  string
	lock *os.File
}

var errGone = errors.New("the directory is gone")

// newScratch makes a directory, after it has removed those of this user whose
// processes were killed.
func newScratch() (scratch, error) {
	sweep()
	const attempts = 10 // another process may sweep before the lock is there
	var last error
	for range attempts {
		dir, err := os.MkdirTemp("", scratchPrefix)
		if err != nil {
			return scratch{}, err
		}
		s, err := hold(dir)
		if err == nil {
			return s, nil
		}
		_ = os.Remove(dir)
		last = err
	}
	return scratch{}, last
}

// hold locks a directory. It fails if another process holds it.
func hold(dir string) (scratch, error) {
	f, err := os.Open(dir)
	if err != nil {
		return scratch{}, err
	}
	s := scratch{dir, f}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return scratch{}, errors.Join(err, f.Close())
	}
	locked, err := f.Stat()
	there, gone := os.Lstat(dir)
	if err := errors.Join(err, gone); err != nil {
		return scratch{}, errors.Join(err, f.Close())
	}
	if !os.SameFile(locked, there) {
		return scratch{}, errors.Join(errGone, f.Close())
	}
	return s, nil
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

// sweep removes the directories of this user that nobody holds. What cannot be
// removed stays.
func sweep() {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), scratchPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Getuid() {
			continue
		}
		if s, err := hold(dir); err == nil {
			s.remove()
		}
	}
}
