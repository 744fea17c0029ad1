package bundle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Addition is a package with bundles taken into it.
type Addition struct {
	Package registry.Package
	Placed  []registry.Member // entries of the new bundles, and old ones that they bring into a channel
	Fallen  []registry.Member // entries that the new head of their channel does not lead to
	Dropped []string          // bundles that are in no channel any more
}

// Add takes bundles of one package into it: into the channels that they list.
// known are the bundles that the package has. Entries that have nothing to do
// with the new ones stay as they are. Conflict if the package has a bundle or a
// version already; Invalid if a new bundle finds no place.
func Add(p registry.Package, known []registry.Bundle, added []*Parsed, mode Mode) (Addition, error) {
	g := &gathered{name: p.Name, members: map[string]*member{}}
	for _, b := range known {
		g.members[b.Name] = &member{Entry: anyEntry(p, b.Name), version: versionOf(b)}
	}
	added = slices.SortedStableFunc(slices.Values(added), CompareVersions)
	for _, b := range added {
		if err := isNew(p, known, b); err != nil {
			return Addition{}, err
		}
		known = append(slices.Clip(known), b.Bundle)
		g.members[b.Name] = &member{
			Entry: b.Edges, version: versionOf(b.Bundle), channels: b.Channels, defaultChannel: b.DefaultChannel,
			where: b.Where, presentation: &presentation{b.Description, b.Icon},
		}
	}
	a := Addition{Package: p}
	a.Package.Channels = slices.Clone(p.Channels)
	for _, name := range channelsOf(added) {
		if err := g.extend(&a, name, mode); err != nil {
			return a, err
		}
	}
	if err := g.lost(a); err != nil {
		return a, err
	}
	slices.SortStableFunc(a.Package.Channels, func(x, y registry.Channel) int { return strings.Compare(x.Name, y.Name) })
	a.Dropped = dropped(p, a.Package)
	g.choose(&a.Package)
	if len(p.Channels) == 0 {
		g.present(&a.Package)
	}
	return a, nil
}

// anyEntry returns the edges of a bundle in the channels of a package; the
// default channel knows best.
func anyEntry(p registry.Package, name string) registry.Entry {
	ch, _ := p.Channel(p.DefaultChannel)
	for _, ch := range append([]registry.Channel{ch}, p.Channels...) {
		if e, ok := ch.Entry(name); ok {
			return e
		}
	}
	return registry.Entry{Name: name}
}

// isNew fails if a package has the bundle or its version already.
func isNew(p registry.Package, known []registry.Bundle, b *Parsed) error {
	for _, other := range known {
		if other.Name == b.Name {
			return failure.New(failure.Conflict, "package %q has a bundle %q already", p.Name, b.Name).WithHint("give the new one another name and version")
		}
		if versionOf(other).Compare(versionOf(b.Bundle)) == 0 {
			return failure.New(failure.Conflict, "bundle %q of package %q has the version %s already", other.Name, p.Name, b.Version).WithHint("give the new one another version")
		}
	}
	if len(b.Channels) == 0 {
		return failure.New(failure.Invalid, "bundle %q names no channel", b.Name).WithHint("set operators.operatorframework.io.bundle.channels.v1")
	}
	return nil
}

func channelsOf(added []*Parsed) []string {
	var names []string
	for _, b := range added {
		names = append(names, b.Channels...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// extend adds the new bundles that list a channel to it.
func (g *gathered) extend(a *Addition, name string, mode Mode) error {
	i := slices.IndexFunc(a.Package.Channels, func(ch registry.Channel) bool { return ch.Name == name })
	if i < 0 {
		i = len(a.Package.Channels)
		a.Package.Channels = append(a.Package.Channels, registry.Channel{Name: name})
	}
	ch := a.Package.Channels[i]
	before := ch
	for _, m := range slices.Backward(g.sorted(name)) { // of the new bundles, the lowest version first
		if mode == SemVer {
			ch.Entries = g.insert(ch, m.Entry)
		} else {
			ch.Entries = g.put(ch.Entries, m)
		}
	}
	var fallen []string
	if heads := registry.Heads(ch); len(heads) > 0 {
		slices.SortFunc(heads, func(x, y string) int { return g.members[y].version.Compare(g.members[x].version) })
		ch.Head = heads[0]
		ch, fallen = registry.Pruned(ch, ch.Head)
	}
	for _, left := range fallen {
		a.Fallen = append(a.Fallen, registry.Member{Package: g.name, Channel: name, Entry: registry.Entry{Name: left}})
	}
	for _, e := range ch.Entries {
		if !hasEntry(before, e.Name) {
			a.Placed = append(a.Placed, registry.Member{Package: g.name, Channel: name, Entry: e})
		}
	}
	a.Package.Channels[i] = ch
	if problems := registry.CheckChannel(ch); len(problems) > 0 {
		return registry.InvalidCatalog([]registry.Problem{{Message: fmt.Sprintf("invalid channel %q of package %q", name, g.name), Problems: problems}})
	}
	return nil
}

// insert puts an entry between the next lower and the next higher version on
// the way down from the head.
func (g *gathered) insert(ch registry.Channel, e registry.Entry) []registry.Entry {
	added := registry.Entry{Name: e.Name, SkipRange: e.SkipRange}
	of := func(name string) registry.Version { return g.members[name].version }
	lower, higher := "", ""
	if graph, err := registry.NewGraph(ch, nil); err == nil {
		for _, name := range graph.Order() {
			switch c := of(name).Compare(of(e.Name)); {
			case c < 0 && (lower == "" || of(name).Compare(of(lower)) > 0):
				lower = name
			case c > 0 && (higher == "" || of(name).Compare(of(higher)) < 0):
				higher = name
			}
		}
	}
	added.Replaces = lower
	changed := slices.Clone(ch.Entries)
	at := len(changed)
	for i := range changed {
		if changed[i].Name == higher {
			changed[i].Replaces, at = e.Name, i
		}
	}
	return slices.Insert(changed, at, added)
}

// put adds a bundle with its own edges, and what it replaces from other
// channels, as far down as that goes.
func (g *gathered) put(entries []registry.Entry, m *member) []registry.Entry {
	ch := registry.Channel{Entries: slices.Clone(entries)}
	var below []registry.Entry
	for ; m != nil && !hasEntry(ch, m.Name); m = g.members[m.Replaces] {
		below = append(below, m.Entry)
		ch.Entries = append(ch.Entries, m.Entry)
	}
	slices.Reverse(below)
	return append(slices.Clone(entries), below...)
}

// lost fails if new bundles fell out at once.
func (g *gathered) lost(a Addition) error {
	var problems []registry.Problem
	for _, ch := range a.Package.Channels {
		var lost []registry.Problem
		for _, m := range a.Fallen {
			if one := g.members[m.Name]; m.Channel == ch.Name && slices.Contains(one.channels, ch.Name) {
				lost = append(lost, registry.Problem{Message: fmt.Sprintf("nothing replaces or skips bundle %q", m.Name), Where: one.where})
			}
		}
		if len(lost) > 0 {
			problems = append(problems, registry.Problem{
				Message:  fmt.Sprintf("channel %q of package %q, whose head is %q, has no place for new bundles", ch.Name, g.name, ch.Head),
				Hint:     "set spec.replaces of a later version, leave the bundles out, or use --graph semver",
				Problems: lost,
			})
		}
	}
	return registry.InvalidCatalog(problems)
}

// dropped returns the bundles that had an entry before and have none now.
func dropped(before, after registry.Package) []string {
	var names []string
	for _, m := range registry.Members(before) {
		if !slices.ContainsFunc(after.Channels, func(ch registry.Channel) bool { return hasEntry(ch, m.Name) }) {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// choose sets the default channel: what the highest version says, if that is a
// new one; what it was; the first channel.
func (g *gathered) choose(p *registry.Package) {
	highest := g.sorted("")[0]
	if _, ok := p.Channel(highest.defaultChannel); ok {
		p.DefaultChannel = highest.defaultChannel
	}
	if p.DefaultChannel == "" {
		p.DefaultChannel = g.defaultChannel(*p)
	}
}

// CompareVersions orders bundles by version, then by name.
func CompareVersions(a, b *Parsed) int {
	return cmp.Or(versionOf(a.Bundle).Compare(versionOf(b.Bundle)), cmp.Compare(a.Name, b.Name))
}
