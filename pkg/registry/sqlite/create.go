package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"

	"chandler.dev/olm/internal/held"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/pipeline"
	"chandler.dev/olm/pkg/registry/wire"
)

// Create writes the catalog of a source to a new file at path, in one pass and
// without holding the catalog in memory. The file appears when it is complete;
// if anything fails, what was at path stays. The same items in the same order
// give the same bytes. The source is not validated: see registry.Validated.
func Create(ctx context.Context, path string, src registry.Source) error {
	f, err := temporary(path)
	if errors.Is(err, os.ErrNotExist) {
		return failure.New(failure.NotFound, "no directory %q for the catalog file", filepath.Dir(path)).WithHint("create it")
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only a lock
	tmp := f.Name()
	defer func() { _ = os.Remove(tmp) }()
	if err := os.Chmod(tmp, 0o644); err != nil { //nolint:gosec // whoever may read its directory may read it
		return err
	}
	if err := write(ctx, tmp, src); err != nil {
		return err
	}
	if err := seal(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// temporary makes the file that becomes the one at path, and removes those that
// killed processes have left.
func temporary(path string) (*os.File, error) {
	dir, prefix := filepath.Dir(path), "."+filepath.Base(path)+"."
	held.Sweep(dir, prefix, func(e fs.DirEntry) bool {
		number := strings.TrimPrefix(e.Name(), prefix)
		return e.Type().IsRegular() && strings.Trim(number, "0123456789") == ""
	})
	return held.Make(func() (string, error) {
		f, err := os.CreateTemp(dir, prefix+"*")
		if err != nil {
			return "", err
		}
		return f.Name(), f.Close()
	})
}

func write(ctx context.Context, path string, src registry.Source) (err error) {
	// A small cache is enough, because rows come in order; what a large one holds
	// the C library does not give back.
	dsn, err := dataSource(path, "_journal_mode=OFF&_synchronous=OFF&_locking_mode=EXCLUSIVE&_cache_size=-2048")
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	for _, statement := range []string{pragma("page_size", pageBytes), pragma("application_id", applicationID), pragma("user_version", schemaVersion), schema} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // a no-op after Commit
	w, err := newWriter(ctx, tx)
	if err != nil {
		return err
	}
	if err := w.all(ctx, src); err != nil {
		return err
	}
	return tx.Commit()
}

// writer fills the tables. Bundles are written as they come, everything that
// needs the whole catalog at the end.
type writer struct {
	tx           *sql.Tx
	statements   map[string]*sql.Stmt
	digest       *registry.Digester
	packages     []registry.Package // small: names and edges
	ids          map[wire.Address]int64
	lastID       int64
	inline       map[int64]bool // bundles whose content is listed
	commonSizes  map[int64]int  // of bundles, before compression
	apis         map[string]int64
	provided     map[int64][]int64 // APIs by bundle
	deprecations map[wire.Address]string
	blobs        map[[3]string]int
	shared       *sharedDictionaries
}

func newWriter(ctx context.Context, tx *sql.Tx) (*writer, error) {
	w := &writer{
		tx: tx, statements: map[string]*sql.Stmt{}, digest: registry.NewDigester(),
		ids: map[wire.Address]int64{}, inline: map[int64]bool{}, commonSizes: map[int64]int{}, apis: map[string]int64{}, provided: map[int64][]int64{},
		deprecations: map[wire.Address]string{}, blobs: map[[3]string]int{}, shared: newSharedDictionaries(),
	}
	// The seal comes first, so that it is near the start of the file.
	return w, w.exec(ctx, `INSERT INTO meta (key, value) VALUES (?, ?)`, "seal", append([]byte(sealMark), make([]byte, sealLength)...))
}

// exec runs a statement that is prepared once.
func (w *writer) exec(ctx context.Context, query string, args ...any) error {
	stmt, ok := w.statements[query]
	if !ok {
		var err error
		if stmt, err = w.tx.PrepareContext(ctx, query); err != nil {
			return err
		}
		w.statements[query] = stmt
	}
	_, err := stmt.ExecContext(point(ctx), args...)
	return err
}

// row is an item in the form in which it is kept.
type row struct {
	registry.Item

	sum             registry.Sum
	common, content []byte // compressed
	commonSize      int    // before
	images          []byte // compressed; nil if there are none
	kind            contentKind
	apis            []string
	err             error
}

// all reads the source, encodes its items on all cores and writes them in order.
func (w *writer) all(ctx context.Context, src registry.Source) error {
	// One goroutine reads, as many as there are cores encode, this one writes.
	rows := pipeline.Ordered(ctx, func(ctx context.Context, start func(func() row) error) error {
		for item, err := range src.Items(ctx) {
			if err != nil {
				return err
			}
			var shared *sharedDictionary
			if item.Bundle != nil {
				shared = w.shared.of(item.Bundle.Package)
			}
			if err := start(shared.encoding(item)); err != nil {
				return err
			}
		}
		return nil
	})
	for r, err := range rows {
		if err != nil {
			return err
		}
		if err := w.item(ctx, r); err != nil {
			return err
		}
	}
	return w.finish(ctx)
}

// encode encodes a bundle with a dictionary, after making it if it has to.
func encode(item registry.Item, make, with *dictionary) row {
	r := row{Item: item, sum: registry.SumOf(item)}
	b := *item.Bundle
	message := wire.Common(b)
	common, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		r.err = err
		return r
	}
	var content []byte
	if r.kind, content, r.err = encodeContent(b); r.err != nil {
		return r
	}
	if make != nil {
		*make = dictionaryOf(common, content)
	}
	r.common, r.commonSize = compressWith(with.common, common), len(common)
	if r.kind != noContent {
		r.content = compressWith(with.content, content)
	}
	if len(b.RelatedImages) > 0 {
		images, err := json.Marshal(b.RelatedImages)
		if err != nil {
			r.err = err
			return r
		}
		r.images = compress(images)
	}
	for _, g := range message.GetProvidedApis() {
		r.apis = append(r.apis, apiKey(registry.GVK{Group: g.GetGroup(), Version: g.GetVersion(), Kind: g.GetKind()}))
	}
	return r
}

func (w *writer) item(ctx context.Context, r row) error {
	if r.err != nil {
		return r.err
	}
	w.digest.Add(r.Item, r.sum)
	switch {
	case r.Bundle != nil:
		return w.bundle(ctx, r)
	case r.Package != nil:
		w.packages = append(w.packages, *r.Package)
		for _, bundle := range r.Dropped {
			delete(w.ids, wire.Address{Package: r.Package.Name, Bundle: bundle})
			if err := w.exec(ctx, `DELETE FROM bundle WHERE package = ? AND name = ?`, r.Package.Name, bundle); err != nil {
				return err
			}
		}
		for bundle, message := range r.Deprecations {
			w.deprecations[wire.Address{Package: r.Package.Name, Bundle: bundle}] = message
		}
	case r.Blob != nil:
		return w.blob(ctx, *r.Blob)
	}
	return nil
}

func (w *writer) bundle(ctx context.Context, r row) error {
	at := wire.Address{Package: r.Bundle.Package, Bundle: r.Bundle.Name}
	if _, ok := w.ids[at]; ok {
		return failure.New(failure.Invalid, "package %q has duplicate bundle %q", at.Package, at.Bundle)
	}
	w.lastID++
	id := w.lastID
	w.ids[at] = id
	w.commonSizes[id] = r.commonSize
	w.inline[id] = r.Bundle.Image == "" && r.kind != noContent
	if r.Bundle.Deprecation != "" {
		w.deprecations[at] = r.Bundle.Deprecation
	}
	err := w.exec(ctx, `INSERT INTO bundle (id, package, name, common_z, content_z, kind, images_z) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		id, at.Package, at.Bundle, r.common, nilIfEmpty(r.content), int(r.kind), nilIfEmpty(r.images))
	if err != nil {
		return err
	}
	return w.provides(ctx, id, r.apis)
}

// provides writes the APIs of a bundle.
func (w *writer) provides(ctx context.Context, bundle int64, keys []string) error {
	for _, key := range keys {
		id, ok := w.apis[key]
		if !ok {
			id = int64(len(w.apis) + 1)
			w.apis[key] = id
			if err := w.exec(ctx, `INSERT INTO api (id, key) VALUES (?, ?)`, id, key); err != nil {
				return err
			}
		}
		w.provided[bundle] = append(w.provided[bundle], id)
		if err := w.exec(ctx, `INSERT OR IGNORE INTO provider (api, bundle) VALUES (?, ?)`, id, bundle); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) blob(ctx context.Context, b registry.Blob) error {
	key := [3]string{b.Schema, b.Package, b.Name}
	w.blobs[key]++
	return w.exec(ctx, `INSERT INTO blob (schema, package, name, number, json) VALUES (?, ?, ?, ?, ?)`,
		b.Schema, b.Package, b.Name, w.blobs[key], string(b.JSON))
}

func nilIfEmpty(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// apiKey is the key of an API in the tables.
func apiKey(gvk registry.GVK) string {
	return string(bytes.Join([][]byte{[]byte(gvk.Version), []byte(gvk.Kind), []byte(gvk.Group)}, []byte{' '}))
}
