package sqlite

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"chandler.dev/olm/pkg/registry/storetest"
)

// TestQueryPlans fails if a query that is asked often reads whole tables, or
// all entries of a package for each of its bundles.
func TestQueryPlans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	if err := Create(t.Context(), path, storetest.F1()); err != nil {
		t.Fatal(err)
	}
	store, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // only read
	for _, query := range []string{
		packageAnswerQuery, bundleAnswerQuery, latestQuery, defaultProviderQuery, providersQuery, upgradingQuery, bundleQuery, bundlesQuery,
	} {
		args := []any{"", "", ""}[:strings.Count(query, "?")]
		plan, err := Collect(t.Context(), store.db, func(rows *sql.Rows) (detail string, err error) {
			var id, parent, unused int
			return detail, rows.Scan(&id, &parent, &unused, &detail)
		}, "EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range plan {
			if strings.HasPrefix(line, "SCAN") || strings.HasPrefix(line, "SEARCH e") && !strings.Contains(line, "name=?") {
				t.Errorf("%s\nreads too much: %s", query, line)
			}
		}
	}
}
