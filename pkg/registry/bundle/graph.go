package bundle

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/blang/semver/v4"

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

	version        version
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

// version orders bundles: by semantic version, then by release or build
// metadata. A version that does not parse is the lowest.
type version struct {
	semver.Version

	release []semver.PRVersion
}

func versionOf(b registry.Bundle) version {
	v, err := semver.Parse(b.Version)
	if err != nil {
		return version{}
	}
	full := version{Version: v}
	for _, id := range v.Build {
		full.release = appendIdentifier(full.release, id)
	}
	for _, p := range b.Properties {
		var id registry.PackageProperty
		if p.Type == registry.PropertyPackage && json.Unmarshal(p.Value, &id) == nil && id.Release != "" {
			full.release = nil
			for part := range strings.SplitSeq(id.Release, ".") {
				full.release = appendIdentifier(full.release, part)
			}
		}
	}
	return full
}

func appendIdentifier(all []semver.PRVersion, text string) []semver.PRVersion {
	id, err := semver.NewPRVersion(text)
	if err != nil {
		id = semver.PRVersion{VersionStr: text}
	}
	return append(all, id)
}

func (v version) compare(other version) int {
	if c := v.Compare(other.Version); c != 0 {
		return c
	}
	return slices.CompareFunc(v.release, other.release, semver.PRVersion.Compare)
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
		return cmp.Or(b.version.compare(a.version), cmp.Compare(a.Name, b.Name))
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

// leftOut says which bundles are not in every channel that they list.
func (g *gathered) leftOut(p registry.Package, placed map[string]bool) []registry.Problem {
	var all []registry.Problem
	for _, m := range g.sorted("") {
		var missing []string
		for _, name := range m.channels {
			if ch, _ := p.Channel(name); !hasEntry(ch, m.Name) {
				missing = append(missing, name)
			}
		}
		if len(missing) == 0 && len(m.channels) > 0 {
			continue
		}
		text := fmt.Sprintf("bundle %q of package %q is not in channel %s: nothing there replaces or skips it", m.Name, g.name, strings.Join(missing, ", "))
		if len(m.channels) == 0 {
			text = fmt.Sprintf("bundle %q of package %q names no channel", m.Name, g.name)
		}
		if !placed[m.Name] {
			text += "; it is left out of the catalog"
		}
		all = append(all, registry.Problem{Message: text, Where: m.where, Hint: "set spec.replaces of a later version, or use --graph semver"})
	}
	return all
}

func hasEntry(ch registry.Channel, name string) bool {
	_, ok := ch.Entry(name)
	return ok
}
