package resolver

import (
	"slices"
	"strings"

	"chandler.dev/olm/pkg/registry"
)

// group is wants that may depend on or exclude each other, with all entries
// that they can lead to.
type group struct {
	wants   []*want
	fixed   []*entry // installed and owned by none of the wants: they stay
	entries []*entry // in the order in which they are reached
	tooMany bool     // more entries than the limit
}

// partition splits wants into groups that share no candidates, dependencies
// or conflicts. The fixed entries join the group that they matter to; those
// that matter to none are left out.
func (w *world) partition(wants []*want, fixed []*entry) []*group {
	p := &parts{
		packages: map[string]*node{},
		apis:     map[registry.GVK]*node{},
		entries:  map[*entry]*node{},
		wants:    map[*want]*node{},
		visited:  map[*entry]bool{},
	}
	tooMany := map[*want]bool{}
	for _, s := range wants {
		p.wants[s] = &node{}
		roots := s.roots()
		tooMany[s] = !w.reach(roots, p.entry)
		for _, e := range roots {
			p.wants[s].join(nodeOf(p.entries, e))
		}
	}
	w.reach(fixed, p.entry)
	return w.collect(p, wants, fixed, tooMany)
}

// parts are the disjoint sets of what belongs together.
type parts struct {
	packages map[string]*node
	apis     map[registry.GVK]*node
	entries  map[*entry]*node
	wants    map[*want]*node
	visited  map[*entry]bool
}

// entry joins an entry with what it touches.
func (p *parts) entry(e *entry) {
	if p.visited[e] {
		return
	}
	p.visited[e] = true
	n := nodeOf(p.entries, e)
	for _, name := range e.facts().PackageNames() {
		n.join(nodeOf(p.packages, name))
	}
	for _, api := range e.facts().APIs {
		n.join(nodeOf(p.apis, api))
	}
	for _, need := range e.needs {
		for _, o := range need.options {
			n.join(nodeOf(p.entries, o))
		}
	}
}

func nodeOf[K comparable](nodes map[K]*node, key K) *node {
	n := nodes[key]
	if n == nil {
		n = &node{}
		nodes[key] = n
	}
	return n
}

func (s *want) roots() []*entry {
	roots := make([]*entry, 0, len(s.candidates)+1)
	for _, c := range s.candidates {
		roots = append(roots, c.entry)
	}
	if s.current != nil && !slices.Contains(roots, s.current) {
		roots = append(roots, s.current)
	}
	return roots
}

func (w *world) collect(p *parts, wants []*want, fixed []*entry, tooMany map[*want]bool) []*group {
	var groups []*group
	byRoot := map[*node]*group{}
	for _, s := range wants {
		root := p.wants[s].root()
		g := byRoot[root]
		if g == nil {
			g = &group{}
			byRoot[root] = g
			groups = append(groups, g)
		}
		g.wants = append(g.wants, s)
		g.tooMany = g.tooMany || tooMany[s]
	}
	for _, e := range fixed {
		if g := byRoot[nodeOf(p.entries, e).root()]; g != nil {
			g.fixed = append(g.fixed, e)
		}
	}
	for _, g := range groups {
		roots := slices.Clone(g.fixed)
		for _, s := range g.wants {
			roots = append(roots, s.roots()...)
		}
		inLimit := w.reach(roots, func(e *entry) { g.entries = append(g.entries, e) })
		g.tooMany = g.tooMany || !inLimit
	}
	return groups
}

// names returns the names of the wants, sorted.
func names(wants []*want) []string {
	var names []string
	for _, s := range wants {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

// packages returns the entries by the package that they claim to be, and apis
// by the API that they provide, where more than one entry does.
func (g *group) packages() map[string][]*entry {
	byName := map[string][]*entry{}
	for _, e := range g.entries {
		for _, name := range e.facts().PackageNames() {
			byName[name] = append(byName[name], e)
		}
	}
	return byName
}

func (g *group) apis() map[registry.GVK][]*entry {
	byAPI := map[registry.GVK][]*entry{}
	for _, e := range g.entries {
		for _, api := range e.facts().APIs {
			byAPI[api] = append(byAPI[api], e)
		}
	}
	return byAPI
}

// samePackage reports whether all entries claim one package, so that they
// exclude each other anyway.
func samePackage(entries []*entry) bool {
	common := entries[0].facts().PackageNames()
	for _, e := range entries[1:] {
		common = slices.DeleteFunc(slices.Clone(common), func(n string) bool {
			return !slices.Contains(e.facts().PackageNames(), n)
		})
	}
	return len(common) > 0
}

func compareAPIs(a, b registry.GVK) int {
	return strings.Compare(a.Group+"\x00"+a.Version+"\x00"+a.Kind, b.Group+"\x00"+b.Version+"\x00"+b.Kind)
}

// node is a member of one of several disjoint sets (union and find).
type node struct{ parent *node }

func (n *node) root() *node {
	for n.parent != nil {
		if n.parent.parent != nil {
			n.parent = n.parent.parent
		}
		n = n.parent
	}
	return n
}

func (n *node) join(other *node) {
	if a, b := n.root(), other.root(); a != b {
		a.parent = b
	}
}
