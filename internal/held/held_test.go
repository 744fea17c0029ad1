package held_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/internal/held"
)

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	mine, err := held.Make(func() (string, error) {
		path := filepath.Join(dir, "x-running")
		return path, os.Mkdir(path, 0o700)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x-killed/below/it", "y-other", "x-foreign"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	sweep := func() { held.Sweep(dir, "x-", func(e fs.DirEntry) bool { return e.Name() != "x-foreign" }) }
	sweep()
	if diff := cmp.Diff([]string{"x-foreign", "x-running", "y-other"}, names(t, dir)); diff != "" {
		t.Errorf("while it runs (-want +got):\n%s", diff)
	}
	if err := mine.Close(); err != nil { // as when the process ends
		t.Fatal(err)
	}
	sweep()
	if diff := cmp.Diff([]string{"x-foreign", "y-other"}, names(t, dir)); diff != "" {
		t.Errorf("when it has ended (-want +got):\n%s", diff)
	}
}

func TestMakeTriesAgainIfItIsSweptAtOnce(t *testing.T) {
	dir := t.TempDir()
	made := 0
	f, err := held.Make(func() (string, error) {
		made++
		path := filepath.Join(dir, "x")
		if made < 3 {
			return path, nil // gone already
		}
		return path, os.WriteFile(path, nil, 0o600)
	})
	if err != nil || made != 3 {
		t.Fatalf("Make() = %v after %d attempts, want 3", err, made)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = held.Make(func() (string, error) { return filepath.Join(dir, "never"), nil })
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Make() = %v, want that it is not there", err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
