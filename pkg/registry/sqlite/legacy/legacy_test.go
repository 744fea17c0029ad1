package legacy_test

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/sqlite/legacy"
)

// index is an index as the old tools wrote it, with their mistakes.
const index = `
CREATE TABLE package (name TEXT PRIMARY KEY, default_channel TEXT);
CREATE TABLE channel (name TEXT, package_name TEXT, head_operatorbundle_name TEXT);
CREATE TABLE channel_entry (entry_id INTEGER PRIMARY KEY, channel_name TEXT, package_name TEXT, operatorbundle_name TEXT, replaces INTEGER, depth INTEGER);
CREATE TABLE operatorbundle (name TEXT, csv TEXT, bundle TEXT, bundlepath TEXT, skiprange TEXT, version TEXT, replaces TEXT, skips TEXT, substitutesfor TEXT);
CREATE TABLE dependencies (type TEXT, value TEXT, operatorbundle_name TEXT, operatorbundle_version TEXT, operatorbundle_path TEXT);
CREATE TABLE properties (type TEXT, value TEXT, operatorbundle_name TEXT, operatorbundle_version TEXT, operatorbundle_path TEXT);
CREATE TABLE related_image (image TEXT, operatorbundle_name TEXT);
INSERT INTO package VALUES ('etcd', 'alpha');
INSERT INTO channel VALUES ('alpha', 'etcd', 'etcd.v0.6.1'); -- a stale head
INSERT INTO channel_entry VALUES (1, 'alpha', 'etcd', 'etcd.v0.9.2', 9, 0), (2, 'alpha', 'etcd', 'etcd.v0.9.1', NULL, 1),
  (3, 'alpha', 'etcd', 'etcd.v0.9.2', 2, 1), (9, 'alpha', 'etcd', 'etcd.v0.9.0', NULL, 2);
INSERT INTO operatorbundle VALUES ('etcd.v0.9.2', NULL, NULL, 'example.com/etcd:v0.9.2', '<0.6.0', '0.9.2', 'etcd.v0.9.0', 'etcd.v0.9.1', '');
INSERT INTO operatorbundle VALUES ('etcd.v0.9.0', '{"kind":"ClusterServiceVersion","spec":{"description":"a \u003cb\u003e"}}', '{"kind":"ClusterServiceVersion","spec":{"description":"a \u003cb\u003e"}}
{"kind":"Service"}
', NULL, NULL, NULL, '', '', '');
INSERT INTO operatorbundle VALUES (NULL, NULL, NULL, NULL, NULL, '0.6.1', '', '', '');
INSERT INTO properties VALUES ('olm.package', '{"packageName":"etcd","version":"0.9.2"}', 'etcd.v0.9.2', '0.9.2', '');
INSERT INTO properties VALUES ('olm.package', '{"packageName":"etcd","version":"0.9.2"}', 'etcd.v0.9.2', '0.9.2', '');
INSERT INTO properties VALUES ('olm.gvk', CAST('{"group":"g","kind":"K","version":"v1"}' AS BLOB), 'etcd.v0.9.2', '0.9.2', '');
INSERT INTO properties VALUES ('olm.package', '{"packageName":"etcd","version":"0.9.0"}', 'etcd.v0.9.0', NULL, '');
INSERT INTO dependencies VALUES ('olm.package', '{"packageName":"q","version":"\u003e1.0.0"}', 'etcd.v0.9.2', '0.9.2', '');
INSERT INTO dependencies VALUES ('olm.constraint', '{"cel":{"rule":"true"}}', 'etcd.v0.9.2', '0.9.2', '');
INSERT INTO related_image VALUES ('example.com/etcd:v1', 'etcd.v0.9.2');
`

// TestFile reads an index with everything that is broken in old ones: qs-01, qs-02.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), index); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	store, err := memory.New(t.Context(), registry.Validated(legacy.File(path)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := store.Package(t.Context(), "etcd")
	wantPackage := registry.Package{Name: "etcd", DefaultChannel: "alpha", Channels: []registry.Channel{{
		Name: "alpha", Head: "etcd.v0.9.2", Entries: []registry.Entry{
			{Name: "etcd.v0.9.0"},
			{Name: "etcd.v0.9.2", Replaces: "etcd.v0.9.0", Skips: []string{"etcd.v0.9.1"}, SkipRange: "<0.6.0"},
		},
	}}}
	compare(t, wantPackage, p, err)
	property := func(kind, value string) registry.Property {
		return registry.Property{Type: kind, Value: json.RawMessage(value)}
	}
	b, err := store.Bundle(t.Context(), "etcd", "etcd.v0.9.2")
	compare(t, registry.Bundle{
		Package: "etcd", Name: "etcd.v0.9.2", Version: "0.9.2", Image: "example.com/etcd:v0.9.2",
		Properties: []registry.Property{
			property("olm.gvk", `{"group":"g","kind":"K","version":"v1"}`),
			property("olm.package", `{"packageName":"etcd","version":"0.9.2"}`),
			property("olm.constraint", `{"cel":{"rule":"true"}}`),
			property("olm.package.required", `{"packageName":"q","versionRange":">1.0.0"}`),
		},
		RelatedImages: []registry.RelatedImage{{Image: "example.com/etcd:v1"}},
	}, b, err)
	b, err = store.Bundle(t.Context(), "etcd", "etcd.v0.9.0")
	csv := []byte(`{"kind":"ClusterServiceVersion","spec":{"description":"a <b>"}}`)
	compare(t, registry.Bundle{
		Package: "etcd", Name: "etcd.v0.9.0", Version: "0.9.0",
		Properties: []registry.Property{property("olm.package", `{"packageName":"etcd","version":"0.9.0"}`)},
		Content:    registry.Content{CSV: csv, Objects: [][]byte{csv, []byte(`{"kind":"Service"}`)}},
	}, b, err)
}

func TestForeignFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	if err := os.WriteFile(path, []byte("SQLite format 3\x00 and nothing else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := memory.New(t.Context(), legacy.File(path)); failure.KindOf(err) != failure.Invalid {
		t.Errorf("error %v, want kind Invalid", err)
	}
}

func compare(t *testing.T, want, got any, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
