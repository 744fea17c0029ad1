package legacy_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chandler.dev/olm/internal/testkit/peak"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/sqlite/legacy"
)

// tables are those that every index has, without rows.
var tables = index[:strings.Index(index, "INSERT")]

const pathOfIndex = "OLM_TEST_HOSTILE_INDEX"

// TestMain reads an index in a process of its own, which is measured.
func TestMain(m *testing.M) {
	if path := os.Getenv(pathOfIndex); path != "" {
		if err := readAll(context.Background(), path); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, failure.KindOf(err), err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func readAll(ctx context.Context, path string) error {
	for _, err := range registry.Validated(legacy.File(path)).Items(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

// written makes a file of statements.
func written(t testing.TB, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index.db")
	db, err := sql.Open("sqlite3", path+"?_journal_mode=OFF&_synchronous=OFF")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, statement := range statements {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%.200s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHostileIndexes reads files that would fill the memory, or never end.
func TestHostileIndexes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const (
		count   = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n%s) "
		endless = "CREATE VIEW %s AS " + "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) "
		one     = `INSERT INTO package VALUES ('p', 'c'); INSERT INTO channel_entry VALUES (1, 'c', 'p', 'b', NULL, 0);
			INSERT INTO operatorbundle (name, bundlepath, version) VALUES ('b', 'example.com/b:v1', '1.0.0');
			INSERT INTO properties VALUES ('olm.package', '{"packageName":"p","version":"1.0.0"}', 'b', '1.0.0', '');`
	)
	upTo := func(n int) string { return fmt.Sprintf(count, fmt.Sprintf(" WHERE i < %d", n)) }
	without := func(table string) string { return "DROP TABLE " + table }
	tests := map[string]struct {
		statements []string
		want       string // empty: it is read
	}{
		"nothing hostile":           {[]string{one}, ""},
		"triggers do not run":       {[]string{one, "CREATE TRIGGER x AFTER INSERT ON package BEGIN SELECT RAISE(ABORT, 'x'); END"}, ""},
		"views of other names":      {[]string{one, fmt.Sprintf(endless, "other") + "SELECT i FROM n"}, ""},
		"packages without end":      {[]string{without("package"), fmt.Sprintf(endless, "package") + "SELECT 'p' || i AS name, 'c' AS default_channel FROM n"}, `"package" is no table, but of type view`},
		"entries without end":       {[]string{one, without("channel_entry"), fmt.Sprintf(endless, "Channel_Entry") + "SELECT i AS entry_id, 'c' AS channel_name, 'p' AS package_name, 'b' AS operatorbundle_name, 0 AS replaces, 0 AS depth FROM n"}, "is no table, but of type view"},
		"properties without end":    {[]string{one, without("properties"), fmt.Sprintf(endless, "properties") + "SELECT 'a' AS type, i AS value, 'b' AS operatorbundle_name FROM n"}, `"properties" is no table`},
		"a virtual table":           {[]string{one, without("related_image"), "CREATE VIRTUAL TABLE related_image USING rtree(id, a, b)"}, `"related_image" is no table, but of type virtual`},
		"a computed column":         {[]string{one, without("operatorbundle"), "CREATE TABLE operatorbundle (name TEXT, csv TEXT, bundle TEXT AS (printf('%.*c', 1000000000, 'x')))"}, `the column "bundle" of the table "operatorbundle" is computed`},
		"a blob of 200 MB":          {[]string{one, "UPDATE operatorbundle SET csv = zeroblob(200000000)"}, "a row has more than 128 MiB"},
		"a property of 200 MB":      {[]string{one, "UPDATE properties SET value = zeroblob(200000000)"}, "a row has more than 128 MiB"},
		"properties of 200 MB":      {[]string{one, "INSERT INTO properties " + upTo(20) + "SELECT 'a', printf('%d%.*c', i, 10000000, 'x'), 'b', '', '' FROM n"}, "properties of a bundle have more than 32 MiB"},
		"many properties":           {[]string{one, "INSERT INTO properties " + upTo(100_001) + "SELECT 'a', i, 'b', '', '' FROM n"}, "more than 100000 properties"},
		"many images":               {[]string{one, "INSERT INTO related_image " + upTo(100_001) + "SELECT i, 'b' FROM n"}, "more than 100000 properties"},
		"many packages":             {[]string{one, "INSERT INTO package " + upTo(500_001) + "SELECT i, 'c' FROM n"}, "more than 500000 packages and channel entries"},
		"many entries":              {[]string{one, "INSERT INTO channel_entry " + upTo(500_001) + "SELECT i+1, 'c', 'p', 'b' || i, i, 0 FROM n"}, "more than 500000 packages and channel entries"},
		"many skips":                {[]string{one, "INSERT INTO channel_entry " + upTo(200_000) + "SELECT i+1, 'c', 'p', 'b' || (i % 2), i, 0 FROM n"}, ""},
		"a long name":               {[]string{one, "INSERT INTO package VALUES (printf('%.*c', 2000, 'x'), 'c')"}, "a name has more than 1024 letters"},
		"a name that is a blob":     {[]string{one, "UPDATE package SET default_channel = x'00ff'"}, "default channel"},
		"manifests that are none":   {[]string{one, "UPDATE operatorbundle SET bundle = x'00ff'"}, "read its manifests"},
		"much depth":                {[]string{one, "UPDATE operatorbundle SET bundle = '" + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "'"}, "more than 1000 levels"},
		"a schema that is no SQL":   {[]string{one, "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = 'CREATE nonsense' WHERE name = 'properties'"}, "malformed database schema"},
		"a table in another one":    {[]string{one, "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'package') WHERE name = 'properties'"}, "cannot be read"},
		"a table outside":           {[]string{one, "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET rootpage = 1000000 WHERE name = 'properties'"}, "cannot be read"},
		"tables that are something": {[]string{"DROP TABLE operatorbundle", "CREATE TABLE operatorbundle (x)", one[:strings.Index(one, "INSERT INTO operatorbundle")]}, "no such column"},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			path := written(t, append([]string{tables}, test.statements...)...)
			out, ok := peak.Process(t, 320<<20, pathOfIndex+"="+path)
			switch {
			case test.want == "":
				if !ok {
					t.Errorf("it was not read: %s", out)
				}
			case ok || !strings.HasPrefix(out, string(failure.Invalid)) || !strings.Contains(out, test.want):
				t.Errorf("it says %.500s, want a failure of kind Invalid that says %q", out, test.want)
			}
		})
	}
}

// TestPagesInCircles lets a page be below itself: such a file has rows without
// end.
func TestPagesInCircles(t *testing.T) {
	path := written(t, "PRAGMA page_size = 512", tables, `INSERT INTO package
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000) SELECT 'p' || i, 'c' FROM n`)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page, interior = 512, 5
	found := false
	for at := page; at < len(text); at += page {
		if text[at] != interior {
			continue
		}
		found = true
		self := []byte{0, 0, byte((at/page + 1) >> 8), byte(at/page + 1)}
		copy(text[at+8:], self) // the right-most child
		for cell := 0; cell < int(text[at+3])<<8|int(text[at+4]); cell++ {
			offset := int(text[at+12+2*cell])<<8 | int(text[at+13+2*cell])
			copy(text[at+offset:], self)
		}
	}
	if !found {
		t.Fatal("the table has no interior page")
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := readAll(t.Context(), path); failure.KindOf(err) != failure.Invalid {
		t.Errorf("error %v, want kind Invalid", err)
	}
}

// FuzzIndex changes a good index anywhere, and reads it.
func FuzzIndex(f *testing.F) {
	small := written(f, "PRAGMA page_size = 512", index)
	good, err := os.ReadFile(small)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte{})
	f.Add(uint32(16), []byte{2, 0}) // size of pages
	f.Add(uint32(18), []byte{2, 2}) // a log beside the file
	f.Add(uint32(100), []byte{5})   // the schema is an interior page
	f.Add(uint32(bytes.Index(good, []byte("alpha"))), []byte{0xff})
	f.Add(uint32(bytes.Index(good, []byte("CREATE TABLE package"))), []byte("CREATE VIEW "))
	for at := 512; at < len(good); at += 512 {
		f.Add(uint32(at), []byte{good[at] ^ 8, 0, 1, 0, 200})
	}
	path := filepath.Join(f.TempDir(), "index.db")
	f.Fuzz(func(t *testing.T, at uint32, change []byte) {
		text := bytes.Clone(good)
		copy(text[int(at)%len(text):], change)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := readAll(t.Context(), path); err != nil && failure.KindOf(err) != failure.Invalid {
			t.Errorf("error %v has kind %s, want Invalid", err, failure.KindOf(err))
		}
	})
}

// FuzzRows puts anything into the columns of an index.
func FuzzRows(f *testing.F) {
	f.Add("p", "c", "b", "1.0.0", `{"kind":"ClusterServiceVersion"}`, "olm.package", `{"packageName":"p","version":"1.0.0"}`)
	f.Add("", "\x00", "b", "v1", "[1]{}", "olm.gvk", "\xff")
	path := written(f, tables)
	db, err := sql.Open("sqlite3", path+"?_journal_mode=OFF&_synchronous=OFF")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	f.Fuzz(func(t *testing.T, pkg, channel, bundle, version, manifests, kind, value string) {
		for _, s := range []struct {
			query string
			args  []any
		}{
			{"DELETE FROM package; DELETE FROM channel_entry; DELETE FROM operatorbundle; DELETE FROM properties; DELETE FROM dependencies; DELETE FROM related_image", nil},
			{"INSERT INTO package VALUES (?, ?)", []any{pkg, channel}},
			{"INSERT INTO channel_entry VALUES (1, ?, ?, ?, 2, 0), (2, ?, ?, ?, 1, 1)", []any{channel, pkg, bundle, channel, pkg, bundle + "2"}},
			{"INSERT INTO operatorbundle VALUES (?, ?, ?, ?, ?, ?, '', '', '')", []any{bundle, manifests, []byte(manifests), value, version, version}},
			{"INSERT INTO properties VALUES (?, ?, ?, '', '')", []any{kind, value, bundle}},
			{"INSERT INTO dependencies VALUES (?, ?, ?, '', '')", []any{kind, []byte(value), bundle}},
			{"INSERT INTO related_image VALUES (?, ?)", []any{value, bundle}},
		} {
			if _, err := db.ExecContext(t.Context(), s.query, s.args...); err != nil {
				t.Fatal(err)
			}
		}
		if err := readAll(t.Context(), path); err != nil && failure.KindOf(err) != failure.Invalid {
			t.Errorf("error %v has kind %s, want Invalid", err, failure.KindOf(err))
		}
	})
}
