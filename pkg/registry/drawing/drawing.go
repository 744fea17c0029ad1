// Package drawing draws the channels of packages as text that tools turn into
// pictures (mermaid, dot), or as a picture (SVG). It only describes what
// registry.Graph says.
package drawing

import (
	"cmp"
	"slices"
	"strings"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/registry"
)

// Package is a package to draw.
type Package struct {
	registry.Package

	Bundles []registry.Bundle // versions and deprecations of its bundles
	// Installed is the name of the bundle whose way to the head is marked; may
	// be empty.
	Installed string
	// Floor is the name of the bundle below which nothing is drawn; may be empty.
	Floor string
}

// Kinds of edges.
const (
	kindReplace = "replace"
	kindSkip    = "skip"
	kindRange   = "skipRange"
)

// edge points from an older bundle to the one that upgrades it.
type edge struct {
	from, to string
	kind     string
	label    string
	onPath   bool
}

// channel is a channel as it is drawn: the highest version first.
type channel struct {
	registry.Channel

	entries []registry.Entry
	edges   []edge // of each entry: skips, ranges, replaces
	path    map[string]bool
	skipped map[string]bool
}

func (p Package) version(name string) (semver.Version, bool) {
	i := slices.IndexFunc(p.Bundles, func(b registry.Bundle) bool { return b.Name == name })
	if i < 0 {
		return semver.Version{}, false
	}
	v, err := semver.Parse(p.Bundles[i].Version)
	return v, err == nil
}

func (p Package) versionText(name string) string {
	i := slices.IndexFunc(p.Bundles, func(b registry.Bundle) bool { return b.Name == name })
	if i < 0 {
		return ""
	}
	return p.Bundles[i].Version
}

func (p Package) deprecated(name string) bool {
	return slices.ContainsFunc(p.Bundles, func(b registry.Bundle) bool { return b.Name == name && b.Deprecation != "" })
}

// belowFloor reports whether a bundle is lower than the lowest that is drawn.
func (p Package) belowFloor(name string) bool {
	floor, isFloor := p.version(p.Floor)
	v, known := p.version(name)
	return isFloor && known && v.LT(floor)
}

// drawn prepares a channel.
func (p Package) drawn(ch registry.Channel) channel {
	c := channel{Channel: ch, entries: slices.Clone(ch.Entries), path: map[string]bool{}, skipped: map[string]bool{}}
	slices.SortStableFunc(c.entries, func(a, b registry.Entry) int {
		va, _ := p.version(a.Name)
		vb, _ := p.version(b.Name)
		return cmp.Or(vb.Compare(va), cmp.Compare(b.Name, a.Name))
	})
	var way []string
	if g, err := registry.NewGraph(ch, p.versionText); err == nil && p.Installed != "" {
		way = append([]string{p.Installed}, g.Path(p.Installed, p.versionText(p.Installed))...)
	}
	for _, name := range way {
		c.path[name] = true
	}
	c.entries = slices.DeleteFunc(c.entries, func(e registry.Entry) bool { return p.belowFloor(e.Name) })
	for _, e := range c.entries {
		c.edges = append(c.edges, slices.DeleteFunc(p.edgesTo(ch, e, way), func(e edge) bool {
			return p.Floor != "" && (e.to == p.Floor || p.belowFloor(e.from))
		})...)
		for _, s := range e.Skips {
			c.skipped[s] = true
		}
	}
	return c
}

// edgesTo returns the edges that end at an entry.
func (p Package) edgesTo(ch registry.Channel, e registry.Entry, way []string) []edge {
	var edges []edge
	add := func(from, kind, label string) {
		i := slices.Index(way, from)
		edges = append(edges, edge{
			from: from, to: e.Name, kind: kind, label: label,
			onPath: i >= 0 && i+1 < len(way) && way[i+1] == e.Name,
		})
	}
	for _, s := range e.Skips {
		add(s, kindSkip, kindSkip)
	}
	if inRange, err := registry.ParseRange(e.SkipRange); err == nil {
		for _, older := range ch.Entries {
			if v, ok := p.version(older.Name); ok && older.Name != e.Name && inRange(v) {
				add(older.Name, kindRange, "skipRange("+e.SkipRange+")")
			}
		}
	}
	if e.Replaces != "" {
		add(e.Replaces, kindReplace, kindReplace)
	}
	return edges
}

// names returns every bundle that the channel shows, sorted entries first.
func (c channel) names() []string {
	var all []string
	for _, e := range c.entries {
		all = append(all, e.Name)
	}
	for _, e := range c.edges {
		if !slices.Contains(all, e.from) {
			all = append(all, e.from)
		}
	}
	return all
}

func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `#quot;`) + `"` }
