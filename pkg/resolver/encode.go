package resolver

import (
	"maps"
	"slices"
	"strings"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver/solver"
)

// formula is a group as constraints for the solver. Every solver group is one
// fact that an explanation can tell.
type formula struct {
	w     *world
	g     *group
	s     *solver.Solver
	lits  map[*entry]solver.Lit
	spare map[*need]solver.Lit // holds if nobody in the group meets a need that can do without
	facts []fact               // by solver group
}

// fact is what a solver group stands for.
type fact struct {
	kind    factKind
	want    *want
	entries []*entry
	needs   []*need // beside entries, for factNeed
	pkg     string
	api     registry.GVK
	detail  string
}

type factKind int

const (
	factWanted     factKind = iota // the subscription exists
	factCandidates                 // it gets one of its candidates
	factReplaces                   // its upgrade replaces what it has
	factFixed                      // an installed bundle stays
	factNeed                       // bundles need others
	factOnePackage
	factOneProvider
	factDeprecated
	factKube
	factTaken
	factUnreadable
)

func newFormula(w *world, g *group, limits solver.Limits) *formula {
	f := &formula{w: w, g: g, s: solver.New(limits), lits: map[*entry]solver.Lit{}, spare: map[*need]solver.Lit{}}
	for _, e := range g.entries {
		f.lits[e] = f.s.Var()
	}
	f.addExclusions()
	f.addProhibitions()
	f.addNeeds()
	for _, e := range g.fixed {
		f.clause(f.fact(fact{kind: factFixed, entries: []*entry{e}}), f.lits[e])
	}
	for _, s := range g.wants {
		f.addWant(s)
	}
	return f
}

// fact makes a solver group for a fact.
func (f *formula) fact(x fact) solver.Group {
	f.facts = append(f.facts, x)
	return f.s.Group()
}

func (f *formula) clause(g solver.Group, lits ...solver.Lit) { f.s.Clause(g, lits...) }

func (f *formula) addWant(s *want) {
	wanted := f.s.Var()
	f.clause(f.fact(fact{kind: factWanted, want: s}), wanted)
	lits := []solver.Lit{-wanted}
	for _, c := range s.candidates {
		lits = append(lits, f.lits[c.entry])
	}
	f.clause(f.fact(fact{kind: factCandidates, want: s}), lits...)
	if s.current == nil {
		return
	}
	replaces := solver.Group(-1)
	for _, c := range s.candidates {
		if c.entry == s.current || samePackage([]*entry{c.entry, s.current}) {
			continue
		}
		if replaces < 0 {
			replaces = f.fact(fact{kind: factReplaces, want: s, entries: []*entry{s.current}})
		}
		f.clause(replaces, -f.lits[c.entry], -f.lits[s.current])
	}
}

// addExclusions allows one bundle per package and one provider per API.
func (f *formula) addExclusions() {
	packages := f.g.packages()
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		if entries := packages[name]; len(entries) > 1 {
			f.atMostOne(fact{kind: factOnePackage, pkg: name, entries: entries})
		}
	}
	apis := f.g.apis()
	for _, api := range slices.SortedFunc(maps.Keys(apis), compareAPIs) {
		if entries := apis[api]; len(entries) > 1 && !samePackage(entries) {
			f.atMostOne(fact{kind: factOneProvider, api: api, entries: entries})
		}
	}
}

// atMostOne lets one of the entries be there. What is installed side by side
// may go on so, except behind a failed upgrade: what that was to replace
// excludes it, and so stops the next one.
func (f *formula) atMostOne(x fact) {
	var offered, installed []*entry
	var lits []solver.Lit
	for _, e := range x.entries {
		if e.installed != nil {
			installed = append(installed, e)
			continue
		}
		offered = append(offered, e)
		lits = append(lits, f.lits[e])
	}
	g := f.fact(x)
	f.s.AtMostOne(g, lits...)
	for i, a := range installed {
		for _, b := range offered {
			f.clause(g, -f.lits[a], -f.lits[b])
		}
		for _, b := range installed[:i] {
			if a.blocks == b && !slices.Contains(f.g.fixed, b) || b.blocks == a && !slices.Contains(f.g.fixed, a) {
				f.clause(g, -f.lits[a], -f.lits[b])
			}
		}
	}
}

// addProhibitions rules out offered bundles that must not be installed.
// Bundles of a package with the same flaw are one fact.
func (f *formula) addProhibitions() {
	byFlaw := map[string]*fact{}
	var order []string
	for _, e := range f.g.entries {
		flaw, ok := f.w.flaw(e)
		if !ok {
			continue
		}
		key := e.bundle.Package + "\x00" + flaw.detail + string(rune('0'+flaw.kind)) + flaw.api.Kind + flaw.api.Group + flaw.api.Version
		if known, ok := byFlaw[key]; ok {
			known.entries = append(known.entries, e)
			continue
		}
		flaw.entries = []*entry{e}
		byFlaw[key] = &flaw
		order = append(order, key)
	}
	for _, key := range order {
		g := f.fact(*byFlaw[key])
		for _, e := range byFlaw[key].entries {
			f.clause(g, -f.lits[e])
		}
	}
}

// flaw says why an offered bundle must not be installed. What is installed
// already stays in spite of it.
func (w *world) flaw(e *entry) (fact, bool) {
	if e.installed != nil {
		return fact{}, false
	}
	facts := e.facts()
	switch {
	case facts.Deprecated:
		return fact{kind: factDeprecated}, true
	case facts.Unreadable != nil:
		return fact{kind: factUnreadable, detail: facts.Unreadable.Error()}, true
	case !kubeAllows(w.cluster.KubeVersion, facts.MinKube):
		return fact{kind: factKube, detail: facts.MinKube}, true
	}
	var flaw fact
	for _, api := range facts.APIs {
		t, ok := w.taken[api]
		if ok && (flaw.kind != factTaken || compareAPIs(api, flaw.api) < 0) {
			flaw = fact{kind: factTaken, api: api, detail: t.Owner}
		}
	}
	return flaw, flaw.kind == factTaken
}

// kubeAllows reports whether a cluster is new enough. The suffix of a
// distribution, as in 1.30.2-gke.1, does not make it older.
func kubeAllows(cluster, minimum string) bool {
	have, err := semver.ParseTolerant(strings.TrimPrefix(cluster, "v"))
	if err != nil {
		return true
	}
	need, err := semver.ParseTolerant(minimum)
	if err != nil {
		return true
	}
	have.Pre, have.Build = nil, nil
	return have.GE(need)
}

// addNeeds demands what the bundles require. The same requirement of several
// bundles of a package is one fact.
func (f *formula) addNeeds() {
	byKey := map[string]int{} // position in found
	var found []fact
	for _, e := range f.g.entries {
		for _, n := range e.needs {
			if f.canDoWithout(e, n) {
				f.spare[n] = f.s.Var()
				continue
			}
			key := e.bundle.Package + "\x00" + n.predicate.Subject()
			if e.installed != nil {
				key = "\x00" + e.bundle.Name + key
			}
			i, ok := byKey[key]
			if !ok {
				i = len(found)
				byKey[key] = i
				found = append(found, fact{kind: factNeed})
			}
			found[i].entries = append(found[i].entries, e)
			found[i].needs = append(found[i].needs, n)
		}
	}
	for _, x := range found {
		g := f.fact(x)
		for i, n := range x.needs {
			f.clause(g, f.alternatives(x.entries[i], n)...)
		}
	}
}

func (f *formula) alternatives(e *entry, n *need) []solver.Lit {
	lits := make([]solver.Lit, 0, len(n.options)+1)
	lits = append(lits, -f.lits[e])
	for _, o := range n.options {
		if o == e {
			// Its own requirement, which it meets itself.
			return []solver.Lit{-f.lits[e], f.lits[e]}
		}
		lits = append(lits, f.lits[o])
	}
	return lits
}

// canDoWithout reports whether a need may remain unmet: the cluster meets it,
// or an installed bundle runs without it today and is no worse off tomorrow.
func (f *formula) canDoWithout(e *entry, n *need) bool {
	if n.cluster {
		return true
	}
	return e.installed != nil && !slices.ContainsFunc(n.options, func(o *entry) bool { return o.installed != nil })
}
