package fbc_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/storetest"
)

func storeOf(t *testing.T, src registry.Source) *memory.Store {
	t.Helper()
	store, err := memory.New(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// TestRoundTrip writes catalogs and reads them again: nothing may be lost.
func TestRoundTrip(t *testing.T) {
	for name, c := range map[string]registry.Catalog{
		"packages": storetest.F1(), "deprecations": storetest.F2(), "items of other schemas": storetest.F4(),
	} {
		for _, format := range []fbc.Format{fbc.YAML, fbc.JSON} {
			t.Run(name+" as "+string(format), func(t *testing.T) {
				want := storeOf(t, c)
				dir := filepath.Join(t.TempDir(), "out")
				if err := fbc.WriteDir(t.Context(), dir, want, format); err != nil {
					t.Fatal(err)
				}
				got := storeOf(t, registry.Validated(fbc.Dir(dir)))
				wantDigest, _ := want.Digest(t.Context())
				gotDigest, _ := got.Digest(t.Context())
				if wantDigest != gotDigest {
					t.Errorf("the digest is %s after reading it again, want %s", gotDigest, wantDigest)
				}
				var first, second bytes.Buffer
				if err := fbc.Write(t.Context(), &first, want, format); err != nil {
					t.Fatal(err)
				}
				if err := fbc.Write(t.Context(), &second, got, format); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(first.Bytes(), second.Bytes()) {
					t.Errorf("writing it again gives other bytes:\n%s\nthan\n%s", second.Bytes(), first.Bytes())
				}
				if err := fbc.WriteDir(t.Context(), dir, want, format); failure.KindOf(err) != failure.Conflict {
					t.Errorf("writing into a directory that is not empty: %v, want kind Conflict", err)
				}
			})
		}
	}
}
