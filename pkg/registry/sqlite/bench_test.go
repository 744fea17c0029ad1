package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/registry/wire"
)

// BenchmarkBundleAnswer reads the answers of GetBundle one after the other.
func BenchmarkBundleAnswer(b *testing.B) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "data", "catalogs", "community-v4.21")
	if d := os.Getenv("OLM_TESTDATA"); d != "" {
		dir = filepath.Join(d, "catalogs", "community-v4.21")
	}
	if _, err := os.Stat(dir); err != nil {
		b.Skip("no test data; set OLM_TESTDATA")
	}
	path := filepath.Join(b.TempDir(), "catalog.db")
	if err := sqlite.Create(b.Context(), path, fbc.Dir(dir)); err != nil {
		b.Fatal(err)
	}
	store, err := sqlite.Open(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // only read
	var places []wire.Address
	names, err := store.Packages(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		p, err := store.Package(b.Context(), name)
		if err != nil {
			b.Fatal(err)
		}
		for _, ch := range p.Channels {
			for _, e := range ch.Entries {
				places = append(places, wire.Address{Package: name, Channel: ch.Name, Bundle: e.Name})
			}
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := store.BundleAnswer(b.Context(), places[i*7919%len(places)]); err != nil {
			b.Fatal(err)
		}
	}
}
