// Package legacy reads the SQLite indexes that catalogs were before they were
// files. It only reads, and copes with what the tools of that time left in
// them: nameless rows, NULLs, duplicates, stale heads, HTML escapes.
package legacy

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/document"
	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
)

const csvKind = "ClusterServiceVersion"

// Limits of one index. The largest that was published has 8,000 bundles.
const (
	maxRows  = 500_000  // of packages and channels
	maxFacts = 100_000  // properties, dependencies or images of one bundle
	maxBytes = 32 << 20 // of them
	maxName  = 1024     // letters of what is named
)

var tables = []string{"package", "channel_entry", "operatorbundle", "properties", "dependencies", "related_image"}

// File returns the content of an index file.
func File(path string) registry.Source { return source{path} }

type source struct{ path string }

// Items yields the bundles that are in a channel, then their package.
func (s source) Items(ctx context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		r, err := open(ctx, s.path)
		if err != nil {
			yield(registry.Item{}, err)
			return
		}
		defer r.db.Close() //nolint:errcheck // only read
		names, err := collect(ctx, r, scanNames, `SELECT CAST(name AS TEXT), COALESCE(CAST(default_channel AS TEXT), '') FROM package WHERE name IS NOT NULL`)
		if err != nil {
			yield(registry.Item{}, r.located(err))
			return
		}
		slices.SortFunc(names, comparePairs)
		for _, name := range names {
			err := r.pkg(ctx, registry.Package{Name: name[0], DefaultChannel: name[1]}, yield)
			if errors.Is(err, errStopped) {
				return
			}
			if err != nil {
				yield(registry.Item{}, r.located(err))
				return
			}
		}
	}
}

var errStopped = errors.New("stopped")

type reader struct {
	db      *sql.DB
	path    string
	columns map[string]bool // of operatorbundle; old indexes lack some
	rows    int             // that were read of packages and channels
}

func open(ctx context.Context, path string) (*reader, error) {
	r := &reader{path: path, columns: map[string]bool{}}
	var err error
	if r.db, err = sqlite.OpenForeign(ctx, path, tables...); err != nil {
		return nil, r.located(err)
	}
	names, err := collect(ctx, r, scanString, `SELECT name FROM pragma_table_info('operatorbundle')`)
	if err != nil || len(names) == 0 {
		e := failure.New(failure.Invalid, "%q is neither a catalog file nor an old index", path).WithHint("build a catalog file with `catalog build`")
		e.Err = err
		return nil, errors.Join(e, r.db.Close())
	}
	for _, name := range names {
		r.columns[name] = true
	}
	return r, nil
}

// located says which index is to blame.
func (r *reader) located(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if found, ok := errors.AsType[*failure.Error](err); ok {
		return failure.New(found.Kind, "index %q: %s", r.path, found.Message).WithHint("%s", found.Hint)
	}
	e := failure.New(failure.Invalid, "index %q cannot be read", r.path).WithHint("it is damaged, or of another program")
	e.Err = err
	return e
}

func tooMuch(format string, limit int) error {
	return failure.New(failure.Invalid, format, limit).WithHint("it is no index of operators, or it is broken")
}

// pkg yields the bundles of a package, then the package.
func (r *reader) pkg(ctx context.Context, p registry.Package, yield func(registry.Item, error) bool) error {
	places, err := collect(ctx, r, scanPlace,
		`SELECT entry_id, CAST(channel_name AS TEXT), CAST(operatorbundle_name AS TEXT), CAST(COALESCE(replaces, 0) AS INTEGER), CAST(COALESCE(depth, 0) AS INTEGER)
		FROM channel_entry WHERE package_name = ? AND operatorbundle_name IS NOT NULL AND channel_name IS NOT NULL`, p.Name)
	if err != nil {
		return err
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.channel, b.channel), cmp.Compare(a.depth, b.depth), cmp.Compare(a.id, b.id))
	})
	known := map[string]*string{} // range of versions by bundle, nil if there is no such bundle
	for _, place := range places {
		if _, ok := known[place.bundle]; ok {
			continue
		}
		b, skipRange, err := r.bundle(ctx, p.Name, place.bundle)
		if err != nil {
			return err
		}
		known[place.bundle] = skipRange
		if skipRange == nil {
			continue
		}
		if !yield(registry.Item{Bundle: &b, Where: r.path}, nil) {
			return errStopped
		}
	}
	p.Channels = channels(places, known)
	if err := r.present(ctx, &p); err != nil {
		return err
	}
	if !yield(registry.Item{Package: &p, Where: r.path}, nil) {
		return errStopped
	}
	return nil
}

// column returns the expression of a column that old indexes may lack.
func (r *reader) column(name string) string {
	if r.columns[name] {
		return "COALESCE(CAST(" + name + " AS TEXT), '')"
	}
	return "''"
}

// bundle returns a bundle and its range of versions; nil if it is not there.
func (r *reader) bundle(ctx context.Context, pkg, name string) (registry.Bundle, *string, error) {
	var (
		msg             = &api.Bundle{PackageName: pkg, CsvName: name}
		csv, objects    []byte
		skipRange       string
		none            registry.Bundle
		version, bundle = r.column("version"), r.column("bundlepath")
	)
	query := `SELECT COALESCE(csv, ''), COALESCE(bundle, ''), ` + bundle + `, ` + r.column("skiprange") + `, ` + version +
		` FROM operatorbundle WHERE name = ?`
	err := r.db.QueryRowContext(ctx, query, name).Scan(&csv, &objects, &msg.BundlePath, &skipRange, &msg.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return none, nil, nil
	}
	if err != nil {
		return none, nil, fmt.Errorf("bundle %q: %w", name, sqlite.Foreign(err))
	}
	if err := r.facts(ctx, msg); err != nil {
		return none, nil, err
	}
	b := wire.BundleOf(msg)
	if b.Content, err = contentOf(csv, objects); err != nil {
		return none, nil, fmt.Errorf("bundle %q: %w", name, err)
	}
	images, err := r.optional(ctx, `SELECT CAST(image AS TEXT), '' FROM related_image WHERE operatorbundle_name = ? AND image IS NOT NULL`, name)
	for _, image := range images {
		b.RelatedImages = append(b.RelatedImages, registry.RelatedImage{Image: image[0]})
	}
	return b, &skipRange, err
}

// facts reads the properties and dependencies of a bundle.
func (r *reader) facts(ctx context.Context, msg *api.Bundle) error {
	properties, err := r.optional(ctx, `SELECT CAST(type AS TEXT), CAST(value AS TEXT) FROM properties
		WHERE operatorbundle_name = ? AND type IS NOT NULL AND value IS NOT NULL`, msg.GetCsvName())
	if err != nil {
		return err
	}
	for _, p := range properties {
		msg.Properties = append(msg.Properties, &api.Property{Type: p[0], Value: p[1]})
		var identity registry.PackageProperty
		if p[0] == registry.PropertyPackage && msg.GetVersion() == "" && json.Unmarshal([]byte(p[1]), &identity) == nil {
			msg.Version = identity.Version
		}
	}
	dependencies, err := r.optional(ctx, `SELECT CAST(type AS TEXT), CAST(value AS TEXT) FROM dependencies
		WHERE operatorbundle_name = ? AND type IS NOT NULL AND value IS NOT NULL`, msg.GetCsvName())
	for _, d := range dependencies {
		msg.Dependencies = append(msg.Dependencies, &api.Dependency{Type: d[0], Value: d[1]})
	}
	return err
}

// optional reads pairs from a table that old indexes may lack, sorted and each
// once.
func (r *reader) optional(ctx context.Context, query, bundle string) ([][2]string, error) {
	size, count := 0, 0
	pairs, err := sqlite.Collect(ctx, r.db, func(rows *sql.Rows) (p [2]string, err error) {
		err = rows.Scan(&p[0], &p[1])
		if size += len(p[0]) + len(p[1]); size > maxBytes {
			err = tooMuch("the properties of a bundle have more than %d MiB", maxBytes>>20)
		}
		if count++; count > maxFacts {
			err = tooMuch("a bundle has more than %d properties", maxFacts)
		}
		return p, err
	}, query, bundle)
	if err != nil && strings.Contains(err.Error(), "no such table") {
		return nil, nil
	}
	slices.SortFunc(pairs, comparePairs) // SQLite would hold all of them more than once
	return slices.Compact(pairs), sqlite.Foreign(err)
}

func comparePairs(a, b [2]string) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
}

// contentOf reads the manifests, which are JSON objects one after the other.
func contentOf(csv, objects []byte) (registry.Content, error) {
	var c registry.Content
	for dec := json.NewDecoder(bytes.NewReader(objects)); ; {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return c, fmt.Errorf("read its manifests: %w", err)
		}
		object, err := document.FromJSON(raw)
		if err != nil {
			return c, err
		}
		c.Objects = append(c.Objects, object)
		var head struct{ Kind string }
		if c.CSV == nil && json.Unmarshal(object, &head) == nil && head.Kind == csvKind {
			c.CSV = object
		}
	}
	if c.CSV != nil || len(csv) == 0 {
		return c, nil
	}
	object, err := document.FromJSON(csv)
	if err != nil {
		return c, fmt.Errorf("read its ClusterServiceVersion: %w", err)
	}
	c.CSV = object
	c.Objects = append(c.Objects, object)
	return c, nil
}

// present takes the looks of a package from the head of its default channel.
func (r *reader) present(ctx context.Context, p *registry.Package) error {
	ch, _ := p.Channel(p.DefaultChannel)
	if ch.Head == "" {
		return nil
	}
	var csv []byte
	err := r.db.QueryRowContext(ctx, `SELECT COALESCE(csv, '') FROM operatorbundle WHERE name = ?`, ch.Head).Scan(&csv)
	if err != nil || len(csv) == 0 {
		return err
	}
	var v struct {
		Spec struct {
			Description string
			Icon        []struct {
				Data      []byte `json:"base64data"`
				MediaType string `json:"mediatype"`
			}
		}
	}
	if err := json.Unmarshal(csv, &v); err != nil {
		return nil //nolint:nilerr // an icon that is none is no reason to fail
	}
	p.Description = v.Spec.Description
	if len(v.Spec.Icon) > 0 {
		p.Icon = &registry.Icon{Data: v.Spec.Icon[0].Data, MediaType: v.Spec.Icon[0].MediaType}
	}
	return nil
}

// collect reads rows of names, of which an index has only so many.
func collect[T any](ctx context.Context, r *reader, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	all, err := sqlite.Collect(ctx, r.db, func(rows *sql.Rows) (T, error) {
		if r.rows++; r.rows > maxRows {
			var none T
			return none, tooMuch("it has more than %d packages and channel entries", maxRows)
		}
		return scan(rows)
	}, query, args...)
	return all, sqlite.Foreign(err)
}

func scanString(rows *sql.Rows) (s string, err error) { return s, rows.Scan(&s) }

func scanNames(rows *sql.Rows) (p [2]string, err error) {
	err = rows.Scan(&p[0], &p[1])
	return p, errors.Join(err, checkName(p[0]), checkName(p[1]))
}

func checkName(name string) error {
	if len(name) > maxName {
		return tooMuch("a name has more than %d letters", maxName)
	}
	return nil
}
