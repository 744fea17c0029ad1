// Package held tells temporary files of running processes from those that a
// killed one has left behind: a process locks what it makes, and the kernel
// lets go of the lock when it ends, however it ends.
package held

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

var (
	errGone    = errors.New("it was removed before it could be locked")
	errNoLocks = errors.New("there are no locks where it is")
)

// attempts is how often something is made again because another process swept
// it before it was locked.
const attempts = 10

// Make calls create, which makes a file or a directory and returns its path,
// and locks that until the file that is returned is closed. Where there are no
// locks, nothing is swept either.
func Make(create func() (string, error)) (*os.File, error) {
	var last error
	for range attempts {
		path, err := create()
		if err != nil {
			return nil, err
		}
		f, err := os.Open(path)
		if err != nil {
			last = err
			continue
		}
		if last = lock(f); last == nil || errors.Is(last, errNoLocks) {
			return f, nil
		}
		_ = os.Remove(path)
		_ = f.Close()
	}
	return nil, last
}

// lock locks a file. It fails if another process holds it, or has removed it.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		return errors.Join(errNoLocks, err)
	}
	if err != nil {
		return err
	}
	locked, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(f.Name())
	if err != nil {
		return err
	}
	if !os.SameFile(locked, there) {
		return errGone
	}
	return nil
}

// Sweep removes what nobody holds of the files and directories of this user in
// dir whose names start with prefix. ours says of each whether it was made by
// Make. What cannot be removed stays.
func Sweep(dir, prefix string, ours func(fs.DirEntry) bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !ours(e) || !isMine(e) {
			continue
		}
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		if lock(f) == nil {
			_ = os.RemoveAll(f.Name())
		}
		_ = f.Close()
	}
}

// isMine reports whether an entry belongs to the user of this process.
func isMine(e fs.DirEntry) bool {
	info, err := e.Info()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}
