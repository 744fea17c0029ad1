package bundle

import (
	"fmt"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Add returns a package with one more bundle in the channels that it lists,
// and what fell out of them. known are the bundles of the package. Entries that
// have nothing to do with the new one stay as they are.
func Add(p registry.Package, known []registry.Bundle, b *Parsed, mode Mode) (registry.Package, []registry.Problem, error) {
	if err := isNew(p, known, b); err != nil {
		return p, nil, err
	}
	g := &gathered{name: p.Name, members: map[string]*member{b.Name: {Entry: b.Edges, version: versionOf(b.Bundle)}}}
	for _, other := range known {
		g.members[other.Name] = &member{Entry: registry.Entry{Name: other.Name}, version: versionOf(other)}
	}
	p.Channels = slices.Clone(p.Channels)
	var left []registry.Problem
	for _, name := range b.Channels {
		i := slices.IndexFunc(p.Channels, func(ch registry.Channel) bool { return ch.Name == name })
		if i < 0 {
			i = len(p.Channels)
			p.Channels = append(p.Channels, registry.Channel{Name: name})
		}
		left = append(left, g.extend(&p.Channels[i], b.Edges, mode)...)
		if problems := registry.CheckChannel(p.Channels[i]); len(problems) > 0 {
			return p, left, registry.InvalidCatalog([]registry.Problem{{Message: fmt.Sprintf("invalid channel %q", name), Problems: problems}})
		}
	}
	slices.SortStableFunc(p.Channels, func(a, b registry.Channel) int { return strings.Compare(a.Name, b.Name) })
	if b.DefaultChannel != "" {
		if _, ok := p.Channel(b.DefaultChannel); ok && g.sorted("")[0].Name == b.Name {
			p.DefaultChannel = b.DefaultChannel
		}
	}
	if p.DefaultChannel == "" {
		p.DefaultChannel = slices.Min(b.Channels)
	}
	return p, left, nil
}

// isNew fails if a package has the bundle or its version already.
func isNew(p registry.Package, known []registry.Bundle, b *Parsed) error {
	for _, other := range known {
		if other.Name == b.Name {
			return failure.New(failure.Conflict, "package %q has a bundle %q already", p.Name, b.Name).WithHint("give the new one another name and version")
		}
		if other.Version == b.Version {
			return failure.New(failure.Conflict, "bundle %q of package %q has the version %s already", other.Name, p.Name, b.Version).WithHint("give the new one another version")
		}
	}
	if len(b.Channels) == 0 {
		return failure.New(failure.Invalid, "bundle %q names no channel", b.Name).WithHint("set operators.operatorframework.io.bundle.channels.v1")
	}
	return nil
}

// extend adds an entry to a channel and says what fell out of it.
func (g *gathered) extend(ch *registry.Channel, e registry.Entry, mode Mode) []registry.Problem {
	before := slices.Clone(ch.Entries)
	if mode == SemVer {
		ch.Entries = g.insert(before, e)
	} else {
		ch.Entries = g.put(before, e)
	}
	if heads := registry.Heads(*ch); len(heads) == 1 {
		ch.Head = heads[0]
	}
	var left []registry.Problem
	for _, old := range before {
		if !hasEntry(*ch, old.Name) {
			left = append(left, registry.Problem{
				Message: fmt.Sprintf("bundle %q falls out of channel %q of package %q: the new head does not lead to it", old.Name, ch.Name, g.name),
				Hint:    "let the new bundle replace or skip it",
			})
		}
	}
	return left
}

// insert puts an entry between the next lower and the next higher version.
func (g *gathered) insert(entries []registry.Entry, e registry.Entry) []registry.Entry {
	added := registry.Entry{Name: e.Name, SkipRange: e.SkipRange}
	of := func(name string) version {
		if m := g.members[name]; m != nil {
			return m.version
		}
		return version{}
	}
	lower, higher := -1, -1
	for i, other := range entries {
		below := of(other.Name).compare(of(e.Name)) < 0
		if below && (lower < 0 || of(other.Name).compare(of(entries[lower].Name)) > 0) {
			lower = i
		}
		if !below && (higher < 0 || of(other.Name).compare(of(entries[higher].Name)) < 0) {
			higher = i
		}
	}
	if lower >= 0 {
		added.Replaces = entries[lower].Name
	}
	if higher < 0 {
		return append(slices.Clone(entries), added)
	}
	changed := slices.Clone(entries)
	changed[higher].Replaces = e.Name
	return slices.Insert(changed, lower+1, added)
}

// put adds an entry with its own edges and removes what nothing leads to any
// more.
func (g *gathered) put(entries []registry.Entry, e registry.Entry) []registry.Entry {
	ch := registry.Channel{Entries: append(slices.Clone(entries), e)}
	if len(registry.Heads(ch)) > 1 && e.Replaces != "" {
		// Another entry replaces the same one: the higher version is the head.
		ch.Entries = slices.DeleteFunc(ch.Entries, func(other registry.Entry) bool {
			return other.Name != e.Name && slices.Contains(registry.Heads(ch), other.Name)
		})
	}
	return ch.Entries
}

// CompareVersions orders bundles by version.
func CompareVersions(a, b *Parsed) int { return versionOf(a.Bundle).compare(versionOf(b.Bundle)) }
