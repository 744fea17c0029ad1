package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"iter"

	"google.golang.org/protobuf/proto"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
)

func (s *Store) Packages(ctx context.Context) ([]string, error) {
	return Collect(ctx, s.db, scanString, `SELECT name FROM package ORDER BY name`)
}

func (s *Store) Package(ctx context.Context, name string) (registry.Package, error) {
	p := registry.Package{Name: name}
	var (
		fields     wire.Fields
		properties *string
	)
	err := s.db.QueryRowContext(ctx, `SELECT default_channel, description, icon, properties, deprecation FROM package WHERE name = ?`, name).
		Scan(&p.DefaultChannel, &fields.Description, &fields.Icon, &properties, &p.Deprecation)
	if errors.Is(err, sql.ErrNoRows) {
		return registry.Package{}, wire.NoPackage(name)
	}
	if err != nil {
		return registry.Package{}, err
	}
	if p.Properties, err = listOf[registry.Property](properties); err != nil {
		return registry.Package{}, err
	}
	if err := fields.Describe(&p); err != nil {
		return registry.Package{}, err
	}
	if p.Channels, err = s.channels(ctx, name); err != nil {
		return registry.Package{}, err
	}
	return p, nil
}

func (s *Store) channels(ctx context.Context, pkg string) ([]registry.Channel, error) {
	entries, err := Collect(ctx, s.db, scanMember,
		`SELECT package, channel, name, replaces, skip_range, skips FROM entry WHERE package = ? ORDER BY channel, position`, pkg)
	if err != nil {
		return nil, err
	}
	byChannel := map[string][]registry.Entry{}
	for _, m := range entries {
		byChannel[m.Channel] = append(byChannel[m.Channel], m.Entry)
	}
	return Collect(ctx, s.db, func(rows *sql.Rows) (registry.Channel, error) {
		var (
			ch         registry.Channel
			properties *string
		)
		if err := rows.Scan(&ch.Name, &ch.Head, &properties, &ch.Deprecation); err != nil {
			return ch, err
		}
		ch.Entries = byChannel[ch.Name]
		var err error
		ch.Properties, err = listOf[registry.Property](properties)
		return ch, err
	}, `SELECT name, head, properties, deprecation FROM channel WHERE package = ? ORDER BY name`, pkg)
}

// The deprecation of a bundle is part of its places; one is as good as another.
const bundleQuery = `SELECT b.common_z, b.kind, b.content_z, b.images_z,
	(SELECT e.place FROM channel c CROSS JOIN entry e ON e.package = c.package AND e.channel = c.name AND e.name = b.name WHERE c.package = b.package LIMIT 1)
	FROM bundle b WHERE b.package = ? AND b.name = ?`

const bundlesQuery = `SELECT b.common_z, 0, NULL, b.images_z,
	(SELECT e.place FROM channel c CROSS JOIN entry e ON e.package = c.package AND e.channel = c.name AND e.name = b.name WHERE c.package = b.package LIMIT 1)
	FROM bundle b WHERE b.package = ? ORDER BY b.name`

func (s *Store) Bundles(ctx context.Context, pkg string) iter.Seq2[registry.Bundle, error] {
	return func(yield func(registry.Bundle, error) bool) {
		d, err := s.shared(ctx, pkg)
		if err != nil {
			yield(registry.Bundle{}, err)
			return
		}
		all, err := Collect(ctx, s.db, d.scanBundle, bundlesQuery, pkg)
		if err != nil {
			yield(registry.Bundle{}, err)
			return
		}
		for _, b := range all {
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (s *Store) Bundle(ctx context.Context, pkg, name string) (registry.Bundle, error) {
	d, err := s.shared(ctx, pkg)
	if err != nil {
		return registry.Bundle{}, err
	}
	found, err := Collect(ctx, s.db, d.scanBundle, bundleQuery, pkg, name)
	if err != nil {
		return registry.Bundle{}, err
	}
	if len(found) == 0 {
		return registry.Bundle{}, failure.New(failure.NotFound, "package %q has no bundle %q", pkg, name)
	}
	return found[0], nil
}

func (d dictionary) scanBundle(rows *sql.Rows) (registry.Bundle, error) {
	var (
		common, content, place, images sql.RawBytes
		kind                           contentKind
	)
	if err := rows.Scan(&common, &kind, &content, &images, &place); err != nil {
		return registry.Bundle{}, err
	}
	data, err := expandWith(d.common, append([]byte(nil), place...), common)
	if err != nil {
		return registry.Bundle{}, err
	}
	msg := &api.Bundle{}
	if err := proto.Unmarshal(data, msg); err != nil {
		return registry.Bundle{}, err
	}
	b := wire.Stored(msg)
	if len(images) > 0 {
		if data, err = expand(nil, images); err != nil {
			return registry.Bundle{}, err
		}
		if err := json.Unmarshal(data, &b.RelatedImages); err != nil {
			return registry.Bundle{}, err
		}
	}
	b.Content, err = d.decodeContent(kind, content)
	return b, err
}

func (d dictionary) decodeContent(kind contentKind, z []byte) (registry.Content, error) {
	if kind == noContent {
		return registry.Content{}, nil
	}
	data, err := expandWith(d.content, nil, z)
	if err != nil {
		return registry.Content{}, err
	}
	if kind == messageContent {
		msg := &api.Bundle{}
		if err := proto.Unmarshal(data, msg); err != nil {
			return registry.Content{}, err
		}
		return wire.ContentOf(msg), nil
	}
	t, metadata, err := decodeTemplate(data)
	if err != nil {
		return registry.Content{}, err
	}
	if kind == templateContent {
		metadata = t.MetadataOf()
	}
	return registry.Content{Metadata: metadata}, nil
}

func (s *Store) Blobs(ctx context.Context, schema, pkg string) ([]registry.Blob, error) {
	return Collect(ctx, s.db, scanBlob,
		`SELECT schema, package, name, json FROM blob WHERE schema = ? AND package = ? ORDER BY name, number`, schema, pkg)
}

// AllBlobs returns the items of all extension schemas, sorted.
func (s *Store) AllBlobs(ctx context.Context) ([]registry.Blob, error) {
	return Collect(ctx, s.db, scanBlob, `SELECT schema, package, name, json FROM blob ORDER BY schema, package, name, number`)
}

func scanBlob(rows *sql.Rows) (registry.Blob, error) {
	var (
		b   registry.Blob
		raw string
	)
	err := rows.Scan(&b.Schema, &b.Package, &b.Name, &raw)
	b.JSON = json.RawMessage(raw)
	return b, err
}

// Items yields the packages in order, each after its bundles, then the blobs.
func (s *Store) Items(ctx context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		if err := s.items(ctx, yield); err != nil {
			yield(registry.Item{}, err)
		}
	}
}

func (s *Store) items(ctx context.Context, yield func(registry.Item, error) bool) error {
	packages, err := s.Packages(ctx)
	if err != nil {
		return err
	}
	for _, pkg := range packages {
		names, err := Collect(ctx, s.db, scanString, `SELECT name FROM bundle WHERE package = ? ORDER BY name`, pkg)
		if err != nil {
			return err
		}
		for _, name := range names {
			b, err := s.Bundle(ctx, pkg, name)
			if err != nil {
				return err
			}
			if !yield(registry.Item{Bundle: &b}, nil) {
				return nil
			}
		}
		p, err := s.Package(ctx, pkg)
		if err != nil {
			return err
		}
		if !yield(registry.Item{Package: &p}, nil) {
			return nil
		}
	}
	blobs, err := s.AllBlobs(ctx)
	for i := range blobs {
		if !yield(registry.Item{Blob: &blobs[i]}, nil) {
			return nil
		}
	}
	return err
}
