package sqlite_test

import (
	"path/filepath"
	"testing"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/registry/storetest"
)

func open(t *testing.T, src registry.Source) registry.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "catalog.db")
	if err := sqlite.Create(t.Context(), path, src); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func TestStore(t *testing.T) {
	storetest.Run(t, open)
	storetest.RunWhole(t, open)
}
