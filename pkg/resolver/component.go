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
	sets := newSets()
	tooMany := map[*want]bool{}
	visit := func(e *entry) {
		for _, n := range e.needs {
			for _, o := range n.options {
				sets.join(e, o)
			}
		}
		for _, name := range e.facts().PackageNames() {
			sets.join(e, name)
		}
		for _, api := range e.facts().APIs {
			sets.join(e, api)
		}
	}
	for _, s := range wants {
		roots := s.roots()
		for _, e := range roots {
			sets.join(s, e)
		}
		tooMany[s] = !w.reach(roots, visit)
	}
	w.reach(fixed, visit)
	return w.collect(sets, wants, fixed, tooMany)
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

func (w *world) collect(sets *sets, wants []*want, fixed []*entry, tooMany map[*want]bool) []*group {
	var groups []*group
	byRoot := map[any]*group{}
	for _, s := range wants {
		root := sets.root(s)
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
		if g := byRoot[sets.root(e)]; g != nil {
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

// sets are disjoint sets of anything (union and find).
type sets struct{ parent map[any]any }

func newSets() *sets { return &sets{parent: map[any]any{}} }

func (s *sets) root(x any) any {
	p, ok := s.parent[x]
	if !ok {
		s.parent[x] = x
		return x
	}
	if p == x {
		return x
	}
	r := s.root(p)
	s.parent[x] = r
	return r
}

func (s *sets) join(a, b any) {
	if ra, rb := s.root(a), s.root(b); ra != rb {
		s.parent[ra] = rb
	}
}
