package lock_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chandler.dev/olm/devcluster/internal/lock"
)

func TestOnlyOneHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "lock")
	first, err := lock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Try(path); !errors.Is(err, lock.ErrHeld) {
		t.Fatalf("Try() = %v, want ErrHeld", err)
	}
	waited := make(chan struct{})
	time.AfterFunc(20*time.Millisecond, first.Release)
	second, err := lock.Wait(t.Context(), path, func() { close(waited) })
	if err != nil {
		t.Fatal(err)
	}
	<-waited
	second.Release()
}

func TestARemovedFileNoLongerCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := lock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	if !first.Valid() {
		t.Error("a fresh lock is not valid")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if first.Valid() {
		t.Error("the lock is valid without its file")
	}
	second, err := lock.Try(path)
	if err != nil {
		t.Fatalf("Try() = %v, want a new lock", err)
	}
	defer second.Release()
	if first.Valid() || !second.Valid() {
		t.Error("the old lock is mistaken for the new one")
	}
}
