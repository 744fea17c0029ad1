package resolver

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/resolver/solver"
)

// Rationale is why a subscription has the version it has, and not the newest.
type Rationale struct {
	Subscription string
	Package      string
	Bundle       string   // name of what it gets, or else keeps; empty: nothing
	Newest       string   // name of the head of its channel; empty if there is none
	Path         []string // names of the bundles from Bundle on to Newest, if it takes several steps
	// Reasons are why Bundle is not Newest, sorted by text; empty if it is.
	Reasons []Reason
}

// WhyVersion tells why a subscription of a problem does not get the newest
// version of its channel. The failure is NotFound if there is no such
// subscription.
func WhyVersion(ctx context.Context, p Problem, subscription string) (Rationale, error) {
	a, err := answer(ctx, p, nil)
	if err != nil {
		return Rationale{}, err
	}
	s, x := a.find(subscription)
	if s == nil {
		return Rationale{}, failure.New(failure.NotFound, "there is no subscription %q", subscription)
	}
	why := Rationale{Subscription: s.Name, Package: s.Package}
	head, ok := s.search.head()
	if ok {
		why.Newest = head.name
	}
	if s.current != nil {
		why.Bundle = s.current.bundle.Name
	}
	if u := x.component.Unsolvable; u != nil {
		why.Reasons = u.Reasons
		return why, nil
	}
	got := x.choice.wants[s]
	why.Bundle = got.bundle.Name
	if !ok || why.Bundle == why.Newest {
		return why, nil
	}
	if s.mayGet(head.name) {
		why.Reasons, err = a.forced(x, s, head.name)
		return why, err
	}
	if got.installed == nil {
		why.Path = s.search.path(got.route(got.channel), why.Bundle)
	} else if next := s.candidates[0]; next.installed == nil {
		// Not even the first hop on the way is possible.
		why.Reasons, err = a.forced(x, s, next.bundle.Name)
	}
	why.Reasons = sorted(append(why.Reasons, s.outOfReach(head)))
	return why, err
}

// find returns a want and the answer that it is part of.
func (a *answers) find(subscription string) (*want, *answered) {
	for i := range a.answers {
		for _, s := range a.answers[i].wants {
			if s.Name == subscription {
				return s, &a.answers[i]
			}
		}
	}
	return nil, nil
}

// headOf is the head of the channel that a want prefers.
type headOf struct {
	route
	name string
}

func (l *lookup) head() (headOf, bool) {
	for _, r := range l.channels {
		if r.graph != nil {
			return headOf{r, r.graph.Head()}, true
		}
	}
	return headOf{}, false
}

// mayGet reports whether a bundle is among the candidates.
func (s *want) mayGet(bundle string) bool {
	return slices.ContainsFunc(s.candidates, func(c candidate) bool { return c.bundle.Name == bundle && c.installed == nil })
}

// outOfReach tells why the head of its channel is no candidate of a want.
func (s *want) outOfReach(head headOf) Reason {
	r := Reason{Subscription: s.Name}
	switch {
	case !s.search.accepts(head.offer, head.name):
		r.Text = fmt.Sprintf("version range %q of subscription %s leaves out %s", s.VersionRange, s.Name, head.name)
		r.Cure = "widen or remove annotation chandler.dev/version-range"
	case s.current == nil:
		r.Text = fmt.Sprintf("subscription %s starts with %s and upgrades from there", s.Name, s.StartingCSV)
	case len(head.graph.Path(s.current.bundle.Name, s.current.bundle.Version)) == 0:
		r.Text = fmt.Sprintf("no upgrade leads from %s to %s in channel %s", s.current.bundle.Name, head.name, head.channel.Name)
		r.Cure = "choose a channel with an upgrade of the installed version"
	default:
		path := head.graph.Path(s.current.bundle.Name, s.current.bundle.Version)
		r.Text = fmt.Sprintf("%s does not upgrade %s directly: the way is %s", head.name, s.current.bundle.Name, joinOr(path, "and then"))
		if i := slices.IndexFunc(path, func(n string) bool { return !s.search.accepts(head.offer, n) }); i >= 0 {
			r.Text += fmt.Sprintf(", and version range %q leaves out %s", s.VersionRange, path[i])
			r.Cure = "widen or remove annotation chandler.dev/version-range"
		}
	}
	return r
}

// forced tells why a want cannot get a certain one of its candidates together
// with all that is served beside it. It leaves the want with that one only.
func (a *answers) forced(x *answered, s *want, bundle string) ([]Reason, error) {
	s.candidates = slices.DeleteFunc(s.candidates, func(c candidate) bool { return c.installed != nil || c.bundle.Name != bundle })
	for _, g := range a.partition(x.wants, x.fixed) {
		if !slices.Contains(g.wants, s) || g.tooMany {
			continue
		}
		f := newFormula(a.world, g, a.solverLimits())
		sat, err := f.s.Solve()
		if sat {
			break
		}
		if err != nil {
			return nil, failure.New(failure.Waiting, "the search for the reason took too long")
		}
		core, err := f.s.Core()
		if err != nil {
			return nil, failure.New(failure.Waiting, "the search for the reason took too long")
		}
		return f.obstacles(core, s), nil
	}
	return []Reason{{Subscription: s.Name, Text: bundle + " is possible, but an earlier subscription prefers otherwise"}}, nil
}

// obstacles tells the facts of a core beside those that say what one want asks
// for, and that others exist.
func (f *formula) obstacles(core []solver.Group, s *want) []Reason {
	var reasons []Reason
	for _, g := range core {
		k := f.facts[g]
		if k.kind == factWanted || k.kind == factCandidates && k.want == s {
			continue
		}
		reasons = append(reasons, f.reason(k))
	}
	return sorted(reasons)
}

// Presence is why a bundle is there, or gets there.
type Presence struct {
	Bundle        string
	Subscriptions []string // that own it, sorted
	RequiredBy    []string // names of the bundles that need it, sorted
	// Chain leads from the bundle over those that need it to one that a
	// subscription owns; empty if it is owned itself, or if nobody needs it.
	Chain []string
}

// WhyHere tells for every bundle that is there once the problem is answered,
// or that is installed, why. They are sorted by name.
func WhyHere(ctx context.Context, p Problem) ([]Presence, error) {
	a, err := answer(ctx, p, nil)
	if err != nil {
		return nil, err
	}
	there := a.presence()
	var list []Presence
	for e, owners := range there {
		w := Presence{Bundle: e.bundle.Name, Subscriptions: owners}
		slices.Sort(w.Subscriptions)
		for other := range there {
			if other != e && needs(other, e) {
				w.RequiredBy = append(w.RequiredBy, other.bundle.Name)
			}
		}
		slices.Sort(w.RequiredBy)
		if len(owners) == 0 {
			w.Chain = chain(e, there)
		}
		list = append(list, w)
	}
	slices.SortFunc(list, func(x, y Presence) int { return cmp.Compare(x.Bundle, y.Bundle) })
	return list, nil
}

// presence returns what is there in the end with the owners.
func (a *answers) presence() map[*entry][]string {
	there := map[*entry][]string{}
	replaced := map[*entry]bool{}
	for _, x := range a.answers {
		for s, got := range x.choice.wants {
			there[got.entry] = append(there[got.entry], s.Name)
			replaced[s.current] = replaced[s.current] || got.entry != s.current
		}
		for _, e := range x.choice.entries {
			there[e] = append([]string(nil), there[e]...)
		}
		if x.component.Unsolvable != nil {
			for _, s := range x.wants {
				if s.current != nil {
					there[s.current] = append(there[s.current], s.Name)
				}
			}
		}
	}
	for _, e := range a.installed {
		if !replaced[e] {
			there[e] = append([]string(nil), there[e]...)
		}
	}
	for e := range there {
		a.fillNeeds(e)
	}
	return there
}

func needs(e, other *entry) bool {
	return slices.ContainsFunc(e.needs, func(n *need) bool { return slices.Contains(n.options, other) })
}

// chain finds the shortest way from an entry to one with an owner, by name
// where there are several.
func chain(e *entry, there map[*entry][]string) []string {
	type step struct {
		entry *entry
		names []string
	}
	seen := map[*entry]bool{e: true}
	todo := []step{{e, nil}}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		if len(there[at.entry]) > 0 {
			return at.names
		}
		var next []*entry
		for other := range there {
			if !seen[other] && needs(other, at.entry) {
				next = append(next, other)
			}
		}
		slices.SortFunc(next, func(a, b *entry) int { return cmp.Compare(a.bundle.Name, b.bundle.Name) })
		for _, other := range next {
			seen[other] = true
			todo = append(todo, step{other, append(slices.Clone(at.names), other.bundle.Name)})
		}
	}
	return nil
}
