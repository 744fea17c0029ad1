package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/registry/storetest"
)

// TestKept breaks an index that is kept in every way, then makes it again:
// ca-01 … ca-05, ca-09, ca-10.
func TestKept(t *testing.T) {
	write := func(name, text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	edit := func(change func(text []byte) []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			text, err := os.ReadFile(filepath.Join(dir, "c.db"))
			if err != nil {
				t.Fatal(err)
			}
			write("c.db", string(change(text)))(t, dir)
		}
	}
	remove := func(names ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			for _, name := range names {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	tests := map[string]struct {
		damage func(t *testing.T, dir string)
		source string
		from   string
		want   failure.Kind // empty if it opens
	}{
		"ca-01 nothing is there":                 {damage: remove("c.db", "c.json"), source: "one", want: failure.NotFound},
		"ca-02 as it was made":                   {damage: write("other", ""), source: "one"},
		"ca-02 nobody knows the source":          {damage: write("other", ""), from: "here"},
		"ca-03 nobody knows another source":      {damage: write("other", ""), from: "there", want: failure.Invalid},
		"ca-03 the source is another one":        {damage: write("other", ""), source: "two", want: failure.Invalid},
		"ca-04 the last byte is missing":         {damage: edit(func(b []byte) []byte { return b[:len(b)-1] }), source: "one", want: failure.Invalid},
		"ca-04 half of the file is missing":      {damage: edit(func(b []byte) []byte { return b[:len(b)/2] }), source: "one", want: failure.Invalid},
		"ca-04 all of the file is missing":       {damage: edit(func([]byte) []byte { return nil }), source: "one", want: failure.Invalid},
		"ca-04 a bit is another one":             {damage: edit(func(b []byte) []byte { b[len(b)-100] ^= 1; return b }), source: "one", want: failure.Invalid},
		"ca-04 something follows the file":       {damage: edit(func(b []byte) []byte { return append(b, "more"...) }), source: "one", want: failure.Invalid},
		"ca-04 a file of another program":        {damage: write("c.db", "SQLite format 3\x00 of somebody else"), source: "one", want: failure.Invalid},
		"ca-04 only the file is missing":         {damage: remove("c.db"), source: "one", want: failure.NotFound},
		"ca-04 what is beside it is broken":      {damage: write("c.json", "{"), source: "one", want: failure.Invalid},
		"ca-04 what is beside it names another":  {damage: write("c.json", `{"source":"one","digest":"sha256:0"}`), source: "one", want: failure.Invalid},
		"ca-09 files of others are no hindrance": {damage: write("pogreb.v1", "x"), source: "one"},
		"ca-10 a directory that cannot be changed": {damage: func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Chmod(dir, 0o500); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(dir, 0o700) }) //nolint:gosec // so that it can be removed
		}, source: "one"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first, err := sqlite.Kept{Dir: dir, Name: "c", Source: "one", From: "here"}.Create(t.Context(), storetest.F1())
			if err != nil {
				t.Fatal(err)
			}
			closeStore(t, first)
			test.damage(t, dir)
			kept := sqlite.Kept{Dir: dir, Name: "c", Source: test.source, From: test.from}
			store, err := kept.Open(t.Context())
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				closeStore(t, store)
				return
			}
			if err == nil || failure.KindOf(err) != test.want {
				t.Fatalf("Open() error %v, want kind %s", err, test.want)
			}
			again, err := kept.Create(t.Context(), storetest.F1())
			if err != nil {
				t.Fatal(err)
			}
			closeStore(t, again)
			if store, err = kept.Open(t.Context()); err != nil {
				t.Fatalf("Open() after it was made again: %v", err)
			}
			closeStore(t, store)
		})
	}
}

// TestKeptIsTheSame makes an index twice: ca-05.
func TestKeptIsTheSame(t *testing.T) {
	var digests, files []string
	for range 2 {
		dir := t.TempDir()
		store, err := sqlite.Kept{Dir: dir, Name: "c", Source: "one"}.Create(t.Context(), storetest.F1())
		if err != nil {
			t.Fatal(err)
		}
		digest, err := store.Digest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		closeStore(t, store)
		text, err := os.ReadFile(filepath.Join(dir, "c.db"))
		if err != nil {
			t.Fatal(err)
		}
		digests, files = append(digests, digest), append(files, string(text))
	}
	if digests[0] != digests[1] || files[0] != files[1] {
		t.Errorf("digests %v, files of %d and %d bytes, want the same twice", digests, len(files[0]), len(files[1]))
	}
}

// TestKeptKeepsTheOld fails to make an index: what was there stays.
func TestKeptKeepsTheOld(t *testing.T) {
	kept := sqlite.Kept{Dir: t.TempDir(), Name: "c", Source: "one"}
	store, err := kept.Create(t.Context(), storetest.F1())
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, store)
	other := sqlite.Kept{Dir: kept.Dir, Name: "c", Source: "two"}
	if _, err := other.Create(t.Context(), registry.Validated(storetest.F1()[:1])); err == nil {
		t.Fatal("Create() of an invalid catalog gives no error")
	}
	if store, err = kept.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, store)
}

func closeStore(t *testing.T, store *sqlite.Store) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
