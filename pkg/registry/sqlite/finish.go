package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/wire"
)

// finish writes what needs the whole catalog: packages with their graph, the
// questions about APIs and edges, and the pages of ListBundles.
func (w *writer) finish(ctx context.Context) error {
	slices.SortStableFunc(w.packages, func(a, b registry.Package) int { return cmp.Compare(a.Name, b.Name) })
	var members []registry.Member
	for i, p := range w.packages {
		if i > 0 && w.packages[i-1].Name == p.Name {
			return failure.New(failure.Invalid, "duplicate package %q", p.Name)
		}
		if err := w.pkg(ctx, p); err != nil {
			return err
		}
		members = append(members, registry.Members(p)...)
	}
	if err := w.exec(ctx, `DELETE FROM bundle WHERE package NOT IN (SELECT name FROM package)`); err != nil {
		return err
	}
	if err := w.writeDictionaries(ctx); err != nil {
		return err
	}
	wire.SortForListing(members)
	if err := w.pages(ctx, members); err != nil {
		return err
	}
	return w.exec(ctx, `INSERT INTO meta (key, value) VALUES (?, ?)`, "digest", []byte(w.digest.Digest()))
}

func (w *writer) writeDictionaries(ctx context.Context) error {
	for _, p := range w.packages {
		d := w.shared.stored(p.Name)
		var blobs [2]any
		for i, data := range [][]byte{d.common, d.content} {
			if len(data) > 0 {
				blobs[i] = compress(data)
			}
		}
		if err := w.exec(ctx, `INSERT INTO dictionary (package, common_z, content_z) VALUES (?, ?, ?)`, p.Name, blobs[0], blobs[1]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) pkg(ctx context.Context, p registry.Package) error {
	slices.SortStableFunc(p.Channels, func(a, b registry.Channel) int { return cmp.Compare(a.Name, b.Name) })
	answer, err := proto.MarshalOptions{Deterministic: true}.Marshal(wire.Package(p))
	if err != nil {
		return err
	}
	properties, err := jsonOrNil(p.Properties)
	if err != nil {
		return err
	}
	fields := wire.FieldsOf(p)
	err = w.exec(ctx, `INSERT INTO package (name, default_channel, answer, description, icon, properties, deprecation) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		p.Name, p.DefaultChannel, answer, nilIfEmpty(fields.Description), nilIfEmpty(fields.Icon), properties, p.Deprecation)
	if err != nil {
		return err
	}
	for _, ch := range p.Channels {
		if err := w.channel(ctx, p.Name, ch); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) channel(ctx context.Context, pkg string, ch registry.Channel) error {
	properties, err := jsonOrNil(ch.Properties)
	if err != nil {
		return err
	}
	err = w.exec(ctx, `INSERT INTO channel (package, name, head, properties, deprecation) VALUES (?, ?, ?, ?, ?)`,
		pkg, ch.Name, ch.Head, properties, ch.Deprecation)
	if err != nil {
		return err
	}
	for i, e := range ch.Entries {
		if err := w.entry(ctx, wire.Address{Package: pkg, Channel: ch.Name, Bundle: e.Name}, e, i); err != nil {
			return err
		}
	}
	if err := w.edges(ctx, pkg, ch); err != nil {
		return err
	}
	return w.heads(ctx, pkg, ch)
}

func (w *writer) entry(ctx context.Context, at wire.Address, e registry.Entry, position int) error {
	skips, err := jsonOrNil(e.Skips)
	if err != nil {
		return err
	}
	owner := wire.Address{Package: at.Package, Bundle: at.Bundle}
	place := wire.WithoutEdges(wire.Place(at.Channel, e))
	place.Deprecation = wire.Deprecation(w.deprecations[owner])
	answer, err := proto.MarshalOptions{Deterministic: true}.Marshal(place)
	if err != nil {
		return err
	}
	var bundle any
	if id, ok := w.ids[owner]; ok {
		bundle = id
	}
	return w.exec(ctx, `INSERT INTO entry (package, channel, name, bundle, replaces, skips, skip_range, position, place) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		at.Package, at.Channel, at.Bundle, bundle, e.Replaces, skips, e.SkipRange, position, answer)
}

// edges writes which entries upgrade each older bundle.
func (w *writer) edges(ctx context.Context, pkg string, ch registry.Channel) error {
	upgrades := registry.Upgrades(ch)
	for _, older := range slices.Sorted(maps.Keys(upgrades)) {
		for rank, name := range upgrades[older] {
			err := w.exec(ctx, `INSERT INTO edge (older, package, channel, name, rank) VALUES (?, ?, ?, ?, ?)`, older, pkg, ch.Name, name, rank)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// heads writes what the head of a channel provides.
func (w *writer) heads(ctx context.Context, pkg string, ch registry.Channel) error {
	head, ok := ch.Entry(ch.Head)
	if !ok {
		return nil
	}
	skips, err := jsonOrNil(wire.SkipsWithin(ch, head))
	if err != nil {
		return err
	}
	for _, api := range w.provided[w.ids[wire.Address{Package: pkg, Bundle: head.Name}]] {
		err := w.exec(ctx, `INSERT OR IGNORE INTO latest (api, package, channel, skips) VALUES (?, ?, ?, ?)`, api, pkg, ch.Name, skips)
		if err != nil {
			return err
		}
	}
	return nil
}

// jsonOrNil returns a list as JSON, nil if it is empty.
func jsonOrNil[T any](list []T) (any, error) {
	if len(list) == 0 {
		return nil, nil //nolint:nilnil // NULL
	}
	b, err := json.Marshal(list)
	return string(b), err
}

func listOf[T any](text *string) ([]T, error) {
	if text == nil {
		return nil, nil
	}
	var list []T
	return list, json.Unmarshal([]byte(*text), &list)
}
