package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// MaxForeignRow bounds the bytes of a row in a file of another program.
const MaxForeignRow = 128 << 20

const foreignDriver = "sqlite3-foreign"

func init() {
	sql.Register(foreignDriver, &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		c.SetLimit(sqlite3.SQLITE_LIMIT_LENGTH, MaxForeignRow)
		return nil
	}})
}

// ErrLimit is wrapped by errors about rows that are larger than MaxForeignRow.
var ErrLimit = fmt.Errorf("a row has more than %d MiB", MaxForeignRow>>20)

// OpenForeign opens a file that another program wrote, for reading. It trusts
// nothing in it: the structure of the file is checked, the tables that are
// named must be tables and not computed, and rows are limited. Tables that are
// not there are not an error.
func OpenForeign(ctx context.Context, path string, tables ...string) (*sql.DB, error) {
	dsn, err := dataSource(path, "mode=ro&immutable=1&_query_only=1&_cache_size=-2048")
	if err != nil {
		return nil, err
	}
	db, err := sql.Open(foreignDriver, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // the settings are those of a connection
	if err := distrust(ctx, db, tables); err != nil {
		return nil, errors.Join(Foreign(err), db.Close())
	}
	return db, nil
}

func distrust(ctx context.Context, db *sql.DB, tables []string) error {
	for _, setting := range []string{"trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "temp_store = FILE"} {
		if _, err := db.ExecContext(ctx, "PRAGMA "+setting); err != nil {
			return err
		}
	}
	for _, table := range tables {
		if err := checkTable(ctx, db, table); err != nil {
			return err
		}
	}
	return checkPages(ctx, db)
}

// checkTable fails if a table is a view, virtual, or has computed columns: it
// could have rows without end.
func checkTable(ctx context.Context, db *sql.DB, table string) error {
	var kind string
	err := db.QueryRowContext(ctx, "SELECT type FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE", table).Scan(&kind)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if kind != "table" {
		return fmt.Errorf("%q is no table, but of type %s", table, kind)
	}
	var column string
	err = db.QueryRowContext(ctx, "SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 0 LIMIT 1", table).Scan(&column)
	if err == nil {
		return fmt.Errorf("the column %q of the table %q is computed", column, table)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// checkPages fails if the pages of the file are not what they should be; a page
// in several places makes a small file endless. Values that a table does not
// allow are none of its business.
func checkPages(ctx context.Context, db *sql.DB) error {
	const most = 100
	rows, err := db.QueryContext(ctx, "PRAGMA quick_check(100)")
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err reports it
	for n := 1; rows.Next(); n++ {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		isValue := strings.HasPrefix(text, "NULL value in ") || strings.HasPrefix(text, "CHECK constraint failed in ") || strings.HasPrefix(text, "non-")
		if text != "ok" && (!isValue || n == most) {
			return errors.New(strings.ReplaceAll(text, "\n", " "))
		}
	}
	return rows.Err()
}

// Foreign says what an error about such a file means.
func Foreign(err error) error {
	if found, ok := errors.AsType[sqlite3.Error](err); ok && found.Code == sqlite3.ErrTooBig {
		return fmt.Errorf("%w: %w", ErrLimit, err)
	}
	return err
}
