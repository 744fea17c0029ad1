package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/registry/storetest"
)

func TestCreateRemovesWhatKilledProcessesLeft(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".catalog.db.123", ".catalog.db.swp", ".other.db.123", "catalog.db.123"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := sqlite.Create(t.Context(), filepath.Join(dir, "catalog.db"), storetest.F1()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"catalog.db": true, ".catalog.db.123": false, ".catalog.db.swp": true, ".other.db.123": true, "catalog.db.123": true,
	} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", name, err, want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".catalog.db.[0-9]*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files: %v, %v", left, err)
	}
}
