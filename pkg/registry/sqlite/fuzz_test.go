package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/registry/storetest"
)

// TestDamage changes bytes all over a file, one at a time, and cuts the file
// off there: opening it must fail with a failure that says what to do.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	if err := sqlite.Create(t.Context(), path, storetest.F2()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, at int, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		store, err := sqlite.Open(t.Context(), path)
		if err == nil {
			_ = store.Close()
		}
		if failure.KindOf(err) != failure.Invalid || err == nil {
			t.Errorf("a file %s at %d opens with error %v, want kind Invalid", what, at, err)
		}
	}
	for at := 0; at < len(good); at += 4999 {
		bad := append([]byte(nil), good...)
		bad[at] ^= 0x55
		check("with another byte", at, bad)
		check("that ends", at, good[:at])
	}
}

// TestSameBytes builds a file twice.
func TestSameBytes(t *testing.T) {
	var texts [2][]byte
	for i := range texts {
		path := filepath.Join(t.TempDir(), "catalog.db")
		if err := sqlite.Create(t.Context(), path, storetest.F1()); err != nil {
			t.Fatal(err)
		}
		var err error
		if texts[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if string(texts[0]) != string(texts[1]) {
		t.Error("the same source gives different files")
	}
}
