// Package sqlite keeps a catalog in a SQLite file.
//
// The file is a build product: Create writes it once from a source and nothing
// changes it afterwards. A file of another schema is rebuilt, not migrated.
// Its rows are answers ready to send, so reading one parses nothing.
package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"

	_ "github.com/mattn/go-sqlite3" // registers the "sqlite3" driver

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/wire"
)

// schemaVersion changes whenever schema.sql or the form of a blob does.
const schemaVersion = 2

// applicationID marks the file as ours ("chnd").
const applicationID = 0x63686e64

// pageBytes is large because rows are: fewer of them are cut in two.
const pageBytes = 16 << 10

//go:embed schema.sql
var schema string

// Store is a catalog in a SQLite file.
type Store struct {
	db     *sql.DB
	digest string

	cache sharedCache

	bundleAnswer, packageAnswer, latest, defaultProvider *sql.Stmt
}

var (
	_ registry.Store  = (*Store)(nil)
	_ registry.Source = (*Store)(nil)
	_ wire.Answers    = (*Store)(nil)

	_ wire.BundleAppender = (*Store)(nil)
)

// Open opens the catalog file at path for reading. failure.NotFound if there is
// none; failure.Invalid if it is damaged, of another program or of another
// version of this one.
func Open(ctx context.Context, path string) (*Store, error) {
	if err := checkSeal(path); err != nil {
		return nil, err
	}
	dsn, err := dataSource(path, "mode=ro&immutable=1&_query_only=1&_cache_size=-256")
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db}
	if err := errors.Join(s.connect(ctx), s.prepare(ctx, path)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// connect opens all connections that the store will ever have. One that is
// opened later could find another file under the same name.
func (s *Store) connect(ctx context.Context) error {
	n := 2 * runtime.GOMAXPROCS(0)
	s.db.SetMaxOpenConns(n)
	s.db.SetMaxIdleConns(n)
	var errs []error
	for range n {
		conn, err := s.db.Conn(ctx)
		if err == nil {
			err = conn.PingContext(ctx)
			defer conn.Close() //nolint:errcheck // gives it back
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Store) prepare(ctx context.Context, path string) error {
	var application, version int
	if err := s.db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application); err != nil {
		return foreign(path, err)
	}
	if err := s.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return foreign(path, err)
	}
	if application != applicationID {
		return foreign(path, nil)
	}
	if version != schemaVersion {
		return failure.New(failure.Invalid, "catalog file %q has schema %d, want %d", path, version, schemaVersion).
			WithHint("build it again with `catalog build`")
	}
	if err := s.db.QueryRowContext(ctx, "SELECT CAST(value AS TEXT) FROM meta WHERE key = 'digest'").Scan(&s.digest); err != nil {
		return foreign(path, err)
	}
	for query, stmt := range map[string]**sql.Stmt{
		bundleAnswerQuery: &s.bundleAnswer, packageAnswerQuery: &s.packageAnswer, latestQuery: &s.latest, defaultProviderQuery: &s.defaultProvider,
	} {
		var err error
		if *stmt, err = s.db.PrepareContext(ctx, query); err != nil { //nolint:sqlclosecheck // they end with the store
			return err
		}
	}
	return nil
}

// Close closes the file. Calls that still read it fail.
func (s *Store) Close() error { return s.db.Close() }

func (s *Store) Digest(context.Context) (string, error) { return s.digest, nil }

// dataSource returns the name of a file for the driver.
func dataSource(path, options string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: options}).String(), nil
}

// Collect reads all rows of a query.
func Collect[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err reports it
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

func scanString(rows *sql.Rows) (s string, err error) { return s, rows.Scan(&s) }

// pragma returns a statement that sets a number of the file.
func pragma(name string, value int) string { return "PRAGMA " + name + " = " + strconv.Itoa(value) }
