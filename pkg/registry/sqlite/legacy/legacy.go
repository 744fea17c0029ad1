// Package legacy reads the SQLite indexes that catalogs were before they were
// files. It only reads, and copes with what the tools of that time left in
// them: nameless rows, NULLs, duplicates, stale heads, HTML escapes.
package legacy

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"path/filepath"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/document"
	"chandler.dev/olm/pkg/registry/sqlite" // has the driver
	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
)

const csvKind = "ClusterServiceVersion"

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
		names, err := sqlite.Collect(ctx, r.db, func(rows *sql.Rows) (p [2]string, err error) {
			return p, rows.Scan(&p[0], &p[1])
		}, `SELECT name, COALESCE(default_channel, '') FROM package WHERE name IS NOT NULL ORDER BY name`)
		if err != nil {
			yield(registry.Item{}, r.located(err))
			return
		}
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
}

func open(ctx context.Context, path string) (*reader, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite3", (&url.URL{Scheme: "file", Path: abs, RawQuery: "mode=ro&immutable=1"}).String())
	if err != nil {
		return nil, err
	}
	r := &reader{db: db, path: path, columns: map[string]bool{}}
	names, err := sqlite.Collect(ctx, db, scanString, `SELECT name FROM pragma_table_info('operatorbundle')`)
	if err != nil || len(names) == 0 {
		e := failure.New(failure.Invalid, "%q is neither a catalog file nor an old index", path).WithHint("build a catalog file with `catalog build`")
		e.Err = err
		return nil, errors.Join(e, db.Close())
	}
	for _, name := range names {
		r.columns[name] = true
	}
	return r, nil
}

func (r *reader) located(err error) error { return fmt.Errorf("read index %s: %w", r.path, err) }

// pkg yields the bundles of a package, then the package.
func (r *reader) pkg(ctx context.Context, p registry.Package, yield func(registry.Item, error) bool) error {
	places, err := sqlite.Collect(ctx, r.db, scanPlace,
		`SELECT entry_id, channel_name, operatorbundle_name, COALESCE(replaces, 0), COALESCE(depth, 0)
		FROM channel_entry WHERE package_name = ? AND operatorbundle_name IS NOT NULL ORDER BY channel_name, depth, entry_id`, p.Name)
	if err != nil {
		return err
	}
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
		return "COALESCE(" + name + ", '')"
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
		return none, nil, err
	}
	if err := r.facts(ctx, msg); err != nil {
		return none, nil, err
	}
	b := wire.BundleOf(msg)
	if b.Content, err = contentOf(csv, objects); err != nil {
		return none, nil, fmt.Errorf("bundle %q: %w", name, err)
	}
	images, err := r.optional(ctx, `SELECT DISTINCT image, '' FROM related_image WHERE operatorbundle_name = ? AND image IS NOT NULL ORDER BY image`, name)
	for _, image := range images {
		b.RelatedImages = append(b.RelatedImages, registry.RelatedImage{Image: image[0]})
	}
	return b, &skipRange, err
}

// facts reads the properties and dependencies of a bundle.
func (r *reader) facts(ctx context.Context, msg *api.Bundle) error {
	properties, err := r.optional(ctx, `SELECT DISTINCT CAST(type AS TEXT), CAST(value AS TEXT) FROM properties
		WHERE operatorbundle_name = ? AND type IS NOT NULL ORDER BY 1, 2`, msg.GetCsvName())
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
	dependencies, err := r.optional(ctx, `SELECT DISTINCT CAST(type AS TEXT), CAST(value AS TEXT) FROM dependencies
		WHERE operatorbundle_name = ? AND type IS NOT NULL ORDER BY 1, 2`, msg.GetCsvName())
	for _, d := range dependencies {
		msg.Dependencies = append(msg.Dependencies, &api.Dependency{Type: d[0], Value: d[1]})
	}
	return err
}

// optional reads pairs from a table that old indexes may lack.
func (r *reader) optional(ctx context.Context, query, bundle string) ([][2]string, error) {
	pairs, err := sqlite.Collect(ctx, r.db, func(rows *sql.Rows) (p [2]string, err error) {
		return p, rows.Scan(&p[0], &p[1])
	}, query, bundle)
	if err != nil && bytes.Contains([]byte(err.Error()), []byte("no such table")) {
		return nil, nil
	}
	return pairs, err
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

func scanString(rows *sql.Rows) (s string, err error) { return s, rows.Scan(&s) }
