// Package changes says how one catalog differs from another, and what that
// means for operators that are installed.
package changes

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

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
	Deprecated     Kind = "deprecation changed" // of the package, channel or bundle; Old and New are the messages
	// PathLost says that who has the bundle of the channel installed does not
	// get to the head any more. The bundle need not be an entry: one that is only
	// replaced or skipped may be installed too.
	PathLost Kind = "path lost"
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
		found, err := comparePackage(ctx, old, next, name)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// pair is a package in both catalogs; empty in the one that lacks it.
type pair struct {
	old, next                 registry.Package
	oldVersions, nextVersions map[string]string // by bundle
	oldBundles, nextBundles   map[string]registry.Bundle
}

func comparePackage(ctx context.Context, old, next registry.Store, name string) ([]Change, error) {
	var (
		p   pair
		err error
	)
	if p.old, p.oldBundles, err = load(ctx, old, name); err != nil {
		return nil, err
	}
	if p.next, p.nextBundles, err = load(ctx, next, name); err != nil {
		return nil, err
	}
	p.oldVersions, p.nextVersions = versions(p.oldBundles), versions(p.nextBundles)
	all := p.compareChannels()
	changed, err := p.changedBundles(ctx, old, next)
	return append(all, changed...), err
}

// load returns a package with its bundles by name; empty if there is none.
func load(ctx context.Context, store registry.Store, name string) (registry.Package, map[string]registry.Bundle, error) {
	p, err := store.Package(ctx, name)
	if err != nil && failure.KindOf(err) != failure.NotFound {
		return p, nil, err
	}
	bundles := map[string]registry.Bundle{}
	for b, err := range store.Bundles(ctx, name) {
		if err != nil {
			return p, nil, err
		}
		bundles[b.Name] = b
	}
	return p, bundles, nil
}

func versions(bundles map[string]registry.Bundle) map[string]string {
	all := make(map[string]string, len(bundles))
	for name, b := range bundles {
		all[name] = b.Version
	}
	return all
}

func (p pair) compareChannels() []Change {
	name := p.old.Name
	var all []Change
	switch {
	case p.old.Name == "":
		return []Change{{Kind: PackageAdded, Package: p.next.Name}}
	case p.next.Name == "":
		all = append(all, Change{Kind: PackageRemoved, Package: name})
	case p.old.DefaultChannel != p.next.DefaultChannel:
		all = append(all, Change{Kind: DefaultChanged, Package: name, Old: p.old.DefaultChannel, New: p.next.DefaultChannel})
	}
	if p.next.Name != "" && p.old.Deprecation != p.next.Deprecation {
		all = append(all, Change{Kind: Deprecated, Package: name, Old: p.old.Deprecation, New: p.next.Deprecation})
	}
	for _, channel := range union(channelNames(p.old), channelNames(p.next)) {
		x, inOld := p.old.Channel(channel)
		y, inNew := p.next.Channel(channel)
		switch {
		case !inOld:
			all = append(all, Change{Kind: ChannelAdded, Package: name, Channel: channel})
			continue
		case inNew:
			all = append(all, compareChannel(name, x, y)...)
		case p.next.Name != "":
			all = append(all, Change{Kind: ChannelRemoved, Package: name, Channel: channel})
		}
		all = append(all, lostPaths(name, graph(x, p.oldVersions), graph(y, p.nextVersions), x)...)
	}
	return all
}

func channelNames(p registry.Package) []string {
	var names []string
	for _, ch := range p.Channels {
		names = append(names, ch.Name)
	}
	return names
}

func compareChannel(pkg string, a, b registry.Channel) []Change {
	var all []Change
	if a.Head != b.Head {
		all = append(all, Change{Kind: HeadChanged, Package: pkg, Channel: a.Name, Old: a.Head, New: b.Head})
	}
	if a.Deprecation != b.Deprecation {
		all = append(all, Change{Kind: Deprecated, Package: pkg, Channel: a.Name, Old: a.Deprecation, New: b.Deprecation})
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
		default:
			change.Kind = EdgesChanged
			if change.Old, change.New = edges(x, y), edges(y, x); change.Old == change.New {
				continue
			}
		}
		all = append(all, change)
	}
	return all
}

// edges says what an entry upgrades that other does not.
func edges(e, other registry.Entry) string {
	var parts []string
	if e.Replaces != other.Replaces {
		parts = append(parts, "replaces "+cmp.Or(e.Replaces, "nothing"))
	}
	var skips []string
	for _, s := range e.Skips {
		if !slices.Contains(other.Skips, s) {
			skips = append(skips, s)
		}
	}
	switch {
	case len(skips) > 0:
		parts = append(parts, "skips "+strings.Join(skips, ","))
	case !slices.Equal(e.Skips, other.Skips) && len(e.Skips) == len(other.Skips):
		parts = append(parts, "skips in the order "+strings.Join(e.Skips, ","))
	}
	if e.SkipRange != other.SkipRange {
		parts = append(parts, "skipRange "+cmp.Or(e.SkipRange, "none"))
	}
	return strings.Join(parts, "; ")
}

// view is the graph of a channel with the versions of its catalog; the graph
// is nil if the channel is invalid or not there.
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

// How far the way from an installed bundle leads.
const (
	nowhere = iota
	further
	toHead
)

func (v view) leads(name, version string) int {
	if v.Graph == nil {
		return nowhere
	}
	path := v.Path(name, version)
	switch {
	case v.Head() == name, len(path) > 0 && path[len(path)-1] == v.Head():
		return toHead
	case len(path) > 0:
		return further
	}
	return nowhere
}

// lostPaths returns the bundles from which the way led further than it does now.
func lostPaths(pkg string, old, next view, ch registry.Channel) []Change {
	var names []string
	for _, e := range ch.Entries {
		names = append(names, e.Name, e.Replaces)
		names = append(names, e.Skips...)
	}
	var all []Change
	for _, name := range union(names, nil) {
		version := old.versions[name]
		if name != "" && old.leads(name, version) > next.leads(name, version) {
			all = append(all, Change{Kind: PathLost, Package: pkg, Channel: ch.Name, Bundle: name})
		}
	}
	return all
}

func (p pair) changedBundles(ctx context.Context, old, next registry.Store) ([]Change, error) {
	var all []Change
	for _, name := range slices.Sorted(maps.Keys(p.oldBundles)) {
		if _, ok := p.nextBundles[name]; !ok {
			continue // its entries are told
		}
		a, err := old.Bundle(ctx, p.old.Name, name)
		if err != nil {
			return nil, err
		}
		b, err := next.Bundle(ctx, p.old.Name, name)
		if err != nil {
			return nil, err
		}
		if registry.SumOf(registry.Item{Bundle: &a}) != registry.SumOf(registry.Item{Bundle: &b}) {
			all = append(all, Change{Kind: BundleChanged, Package: p.old.Name, Bundle: name})
		}
		if a.Deprecation != b.Deprecation {
			all = append(all, Change{Kind: Deprecated, Package: p.old.Name, Bundle: name, Old: a.Deprecation, New: b.Deprecation})
		}
	}
	return all, nil
}
