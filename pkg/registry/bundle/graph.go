package bundle

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/registry"
)

// gathered is a package while its bundles are collected.
type gathered struct {
	name    string
	members map[string]*member // by name
}

// member is a bundle as far as the graph needs it.
type member struct {
	registry.Entry

	version        registry.Version
	channels       []string // that it lists
	defaultChannel string
	where          string
	presentation   *presentation
}

// presentation is how a package looks to people.
type presentation struct {
	description string
	icon        *registry.Icon
}

// versionOf returns the version of a bundle, with build metadata as its release.
// One that does not parse is the lowest.
func versionOf(b registry.Bundle) registry.Version {
	v, err := registry.VersionOf(b)
	if err != nil {
		return registry.Version{}
	}
	return v.WithBuild()
}

// sorted returns the members of a channel, the highest version first.
func (g *gathered) sorted(channel string) []*member {
	var all []*member
	for _, m := range g.members {
		if channel == "" || slices.Contains(m.channels, channel) {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *member) int {
		return cmp.Or(b.version.Compare(a.version), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// assemble makes the package, and says what found no place in it.
func (g *gathered) assemble(mode Mode) (registry.Item, []registry.Problem) {
	p := registry.Package{Name: g.name}
	names := map[string]bool{}
	for _, m := range g.members {
		for _, ch := range m.channels {
			names[ch] = true
		}
	}
	placed := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		entries := g.byVersion(name)
		if mode == Replaces {
			entries = g.byEdges(name)
		}
		for _, e := range entries {
			placed[e.Name] = true
		}
		ch := registry.Channel{Name: name, Entries: entries}
		if heads := registry.Heads(ch); len(heads) == 1 {
			ch.Head = heads[0]
		}
		p.Channels = append(p.Channels, ch)
	}
	p.DefaultChannel = g.defaultChannel(p)
	g.present(&p)
	return g.item(p, placed), g.leftOut(p, placed)
}

// item returns the package, without the bundles that have no place in it.
func (g *gathered) item(p registry.Package, placed map[string]bool) registry.Item {
	item := registry.Item{Package: &p}
	for _, m := range g.sorted("") {
		if !placed[m.Name] {
			item.Dropped = append(item.Dropped, m.Name)
		}
	}
	return item
}

// byVersion links every version to the next lower one.
func (g *gathered) byVersion(channel string) []registry.Entry {
	var entries []registry.Entry
	members := g.sorted(channel)
	for i, m := range members {
		e := registry.Entry{Name: m.Name, SkipRange: m.SkipRange}
		if i+1 < len(members) {
			e.Replaces = members[i+1].Name
		}
		entries = append(entries, e)
	}
	slices.Reverse(entries)
	return entries
}

// byEdges follows what the bundles replace, from the highest version down, into
// bundles that do not list the channel too. What they skip is an entry as well.
func (g *gathered) byEdges(channel string) []registry.Entry { return g.below(g.sorted(channel)[0]) }

// below returns the entries of a channel with that head.
func (g *gathered) below(head *member) []registry.Entry {
	var entries []registry.Entry
	seen := map[string]bool{}
	add := func(m *member) {
		seen[m.Name] = true
		entries = append(entries, m.Entry)
	}
	for m := head; m != nil && !seen[m.Name]; m = g.members[m.Replaces] {
		add(m)
	}
	for _, e := range slices.Clone(entries) {
		for _, s := range e.Skips {
			if m := g.members[s]; m != nil && !seen[s] {
				add(m)
			}
		}
	}
	slices.Reverse(entries)
	return entries
}

// defaultChannel is what the highest version says that names a channel of the
// package, else the only channel, else the one with the highest head.
func (g *gathered) defaultChannel(p registry.Package) string {
	for _, m := range g.sorted("") {
		if _, ok := p.Channel(m.defaultChannel); ok {
			return m.defaultChannel
		}
	}
	for _, m := range g.sorted("") {
		if len(m.channels) > 0 {
			return slices.Min(m.channels)
		}
	}
	return ""
}

// present gives the package the looks of the head of its default channel.
func (g *gathered) present(p *registry.Package) {
	ch, _ := p.Channel(p.DefaultChannel)
	if head, ok := g.members[ch.Head]; ok {
		p.Description, p.Icon = head.presentation.description, head.presentation.icon
	}
}

// leftOut says which bundles are not in every channel that they list, and
// where those channels end; nothing if all have their places.
func (g *gathered) leftOut(p registry.Package, placed map[string]bool) []registry.Problem {
	var all []registry.Problem
	ends := map[string]bool{}
	dropped := 0
	for _, m := range g.sorted("") {
		var missing []string
		for _, name := range m.channels {
			if ch, _ := p.Channel(name); !hasEntry(ch, m.Name) {
				missing = append(missing, name)
				ends[name] = true
			}
		}
		if len(missing) == 0 && len(m.channels) > 0 {
			continue
		}
		text := fmt.Sprintf("bundle %q is not in channel %s: nothing there replaces or skips it", m.Name, strings.Join(missing, ", "))
		if len(m.channels) == 0 {
			text = fmt.Sprintf("bundle %q names no channel", m.Name)
		}
		if !placed[m.Name] {
			text += "; it is left out of the catalog"
			dropped++
		}
		all = append(all, registry.Problem{Message: text, Where: m.where})
	}
	if len(all) == 0 {
		return nil
	}
	for _, ch := range p.Channels {
		if ends[ch.Name] {
			all = append(all, registry.Problem{Message: g.end(ch)})
		}
	}
	count := len(all) - len(ends)
	return []registry.Problem{{
		Message: fmt.Sprintf("package %q: %d of %d bundles have no place in a channel, %d are left out of the catalog", g.name, count, len(g.members), dropped),
		Hint:    "set spec.replaces of a later version, or use --graph semver", Problems: all,
	}}
}

// end says where the way down from the head of a channel ends.
func (g *gathered) end(ch registry.Channel) string {
	last := g.members[ch.Head]
	if last == nil {
		return fmt.Sprintf("channel %q has no head", ch.Name)
	}
	seen := map[string]bool{}
	for next := last; next != nil && !seen[next.Name]; next = g.members[next.Replaces] {
		last = next
		seen[next.Name] = true
	}
	if last.Replaces == "" {
		return fmt.Sprintf("channel %q ends at %q, which replaces nothing", ch.Name, last.Name)
	}
	return fmt.Sprintf("channel %q ends at %q, which replaces %q, which is not there", ch.Name, last.Name, last.Replaces)
}

func hasEntry(ch registry.Channel, name string) bool {
	_, ok := ch.Entry(name)
	return ok
}
