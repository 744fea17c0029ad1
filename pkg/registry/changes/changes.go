// Package changes says how one catalog differs from another, and what that
// means for operators that are installed.
package changes

import (
	"context"
	"maps"
	"slices"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Change is one difference.
type Change struct {
	Kind    Kind   `json:"kind"`
	Package string `json:"package"`
	Channel string `json:"channel,omitempty"`
	Bundle  string `json:"bundle,omitempty"`
	Old     string `json:"old,omitempty"` // what it was, if it changed
	New     string `json:"new,omitempty"`
}

// Kind says what happened.
type Kind string

// Kinds of changes, in the order in which they are told.
const (
	PackageAdded   Kind = "package added"
	PackageRemoved Kind = "package removed"
	DefaultChanged Kind = "default channel changed"
	ChannelAdded   Kind = "channel added"
	ChannelRemoved Kind = "channel removed"
	HeadChanged    Kind = "head changed"
	EntryAdded     Kind = "entry added"
	EntryRemoved   Kind = "entry removed"
	EdgesChanged   Kind = "edges changed"
	BundleChanged  Kind = "bundle changed"
	PathLost       Kind = "path lost" // who has the bundle of the channel installed gets no upgrade any more
)

// Between returns how next differs from old, by package, channel and bundle.
func Between(ctx context.Context, old, next registry.Store) ([]Change, error) {
	oldNames, err := old.Packages(ctx)
	if err != nil {
		return nil, err
	}
	newNames, err := next.Packages(ctx)
	if err != nil {
		return nil, err
	}
	var all []Change
	for _, name := range union(oldNames, newNames) {
		switch {
		case !slices.Contains(oldNames, name):
			all = append(all, Change{Kind: PackageAdded, Package: name})
		case !slices.Contains(newNames, name):
			all = append(all, Change{Kind: PackageRemoved, Package: name})
		default:
			found, err := comparePackage(ctx, old, next, name)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	return all, nil
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func comparePackage(ctx context.Context, old, next registry.Store, name string) ([]Change, error) {
	a, err := old.Package(ctx, name)
	if err != nil {
		return nil, err
	}
	b, err := next.Package(ctx, name)
	if err != nil {
		return nil, err
	}
	var all []Change
	if a.DefaultChannel != b.DefaultChannel {
		all = append(all, Change{Kind: DefaultChanged, Package: name, Old: a.DefaultChannel, New: b.DefaultChannel})
	}
	oldVersions, err := versions(ctx, old, name)
	if err != nil {
		return nil, err
	}
	newVersions, err := versions(ctx, next, name)
	if err != nil {
		return nil, err
	}
	for _, channel := range union(channelNames(a), channelNames(b)) {
		x, inOld := a.Channel(channel)
		y, inNew := b.Channel(channel)
		switch {
		case !inOld:
			all = append(all, Change{Kind: ChannelAdded, Package: name, Channel: channel})
		case !inNew:
			all = append(all, Change{Kind: ChannelRemoved, Package: name, Channel: channel})
		default:
			all = append(all, compareChannel(name, x, y)...)
			all = append(all, lostPaths(name, graph(x, oldVersions), graph(y, newVersions), x)...)
		}
	}
	changed, err := changedBundles(ctx, old, next, name, slices.Sorted(maps.Keys(oldVersions)))
	return append(all, changed...), err
}

func channelNames(p registry.Package) []string {
	var names []string
	for _, ch := range p.Channels {
		names = append(names, ch.Name)
	}
	return names
}

func versions(ctx context.Context, store registry.Store, pkg string) (map[string]string, error) {
	all := map[string]string{}
	for b, err := range store.Bundles(ctx, pkg) {
		if err != nil {
			return nil, err
		}
		all[b.Name] = b.Version
	}
	return all, nil
}

func compareChannel(pkg string, a, b registry.Channel) []Change {
	var all []Change
	if a.Head != b.Head {
		all = append(all, Change{Kind: HeadChanged, Package: pkg, Channel: a.Name, Old: a.Head, New: b.Head})
	}
	var names []string
	for _, e := range slices.Concat(a.Entries, b.Entries) {
		names = append(names, e.Name)
	}
	for _, name := range union(names, nil) {
		x, inOld := a.Entry(name)
		y, inNew := b.Entry(name)
		change := Change{Package: pkg, Channel: a.Name, Bundle: name}
		switch {
		case !inOld:
			change.Kind = EntryAdded
		case !inNew:
			change.Kind = EntryRemoved
		case x.Replaces != y.Replaces || x.SkipRange != y.SkipRange || !slices.Equal(x.Skips, y.Skips):
			change.Kind = EdgesChanged
		default:
			continue
		}
		all = append(all, change)
	}
	return all
}

// view is the graph of a channel with the versions of its catalog; the graph
// is nil if the channel is invalid.
type view struct {
	*registry.Graph

	versions map[string]string
}

func graph(ch registry.Channel, versions map[string]string) view {
	g, err := registry.NewGraph(ch, func(name string) string { return versions[name] })
	if err != nil {
		return view{versions: versions}
	}
	return view{g, versions}
}

// leads reports whether who has a bundle installed is at the head or on the way.
func (v view) leads(name, version string) bool {
	return v.Graph != nil && (v.Head() == name || len(v.Path(name, version)) > 0)
}

// lostPaths returns the entries from which a way led on and no longer does.
func lostPaths(pkg string, old, next view, ch registry.Channel) []Change {
	var all []Change
	for _, e := range ch.Entries {
		version := old.versions[e.Name]
		if old.leads(e.Name, version) && !next.leads(e.Name, version) {
			all = append(all, Change{Kind: PathLost, Package: pkg, Channel: ch.Name, Bundle: e.Name})
		}
	}
	return all
}

func changedBundles(ctx context.Context, old, next registry.Store, pkg string, names []string) ([]Change, error) {
	var all []Change
	for _, name := range names {
		a, err := old.Bundle(ctx, pkg, name)
		if err != nil {
			return nil, err
		}
		b, err := next.Bundle(ctx, pkg, name)
		if failure.KindOf(err) == failure.NotFound && err != nil {
			continue // its entries are told
		}
		if err != nil {
			return nil, err
		}
		if registry.SumOf(registry.Item{Bundle: &a}) != registry.SumOf(registry.Item{Bundle: &b}) || a.Deprecation != b.Deprecation {
			all = append(all, Change{Kind: BundleChanged, Package: pkg, Bundle: name})
		}
	}
	return all, nil
}
