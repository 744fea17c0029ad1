// Package lock makes processes take turns by means of a file that may disappear between them.
package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"chandler.dev/olm/devcluster/internal/clock"
)

// ErrHeld is returned when another process holds the lock.
var ErrHeld = errors.New("the lock is held by another process")

const retryEvery = 50 * time.Millisecond

// Lock is a held lock. It ends with Release, or when every process that has its file open has ended.
type Lock struct {
	file *os.File
	path string
}

// Try takes the lock, creating its file and folder if needed, or returns ErrHeld at once.
func Try(path string) (*Lock, error) {
	for {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("create lock: %w", err)
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			continue // the folder was removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("open lock: %w", err)
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			_ = file.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, ErrHeld
			}
			return nil, fmt.Errorf("take lock %s: %w", path, err)
		}
		l := &Lock{file: file, path: path}
		if l.Valid() {
			return l, nil
		}
		_ = file.Close() // its last holder removed the file: take the new one
	}
}

// Wait takes the lock as soon as it is free. The function waiting is called once if that is not at once; it may be nil.
func Wait(ctx context.Context, path string, waiting func()) (*Lock, error) {
	for {
		l, err := Try(path)
		if !errors.Is(err, ErrHeld) {
			return l, err
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		if err := clock.Wait(ctx, retryEvery); err != nil {
			return nil, fmt.Errorf("wait for lock %s: %w", path, err)
		}
	}
}

// Adopt continues a lock whose open file was inherited from the process that took it.
func Adopt(file *os.File, path string) *Lock {
	return &Lock{file: file, path: path}
}

// File is what a child process must inherit to hold the lock too.
func (l *Lock) File() *os.File { return l.file }

// Valid says whether the path of the lock still names the file that is held.
func (l *Lock) Valid() bool {
	held, err := l.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(l.path)
	return err == nil && os.SameFile(held, named)
}

// Release gives the lock up; its file stays.
func (l *Lock) Release() {
	_ = l.file.Close()
}
