package registry

import (
	"cmp"
	"slices"
	"strings"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/failure"
)

// Graph is the upgrade graph of one channel: the only place where replaces,
// skips and skipRange are followed. A built Graph has exactly one head, and
// every step along it comes nearer to the head, so walking it always ends.
// A Graph does not change and is safe for concurrent use.
type Graph struct {
	order    []node
	rank     map[string]int // position in order
	versions func(name string) string
}

type node struct {
	Entry
	inRange semver.Range // nil if there is none or it does not parse
}

// NewGraph builds the graph of a channel. versions gives the version of a
// bundle by name and "" if it does not know it. The failure is Invalid if the
// channel has no head, more than one, or a cycle on the way from its head. A
// skipRange that does not parse is as good as none; validation reports it.
func NewGraph(ch Channel, versions func(name string) string) (*Graph, error) {
	heads := Heads(ch)
	switch len(heads) {
	case 0:
		return nil, failure.New(failure.Invalid, "no channel head found in graph").
			WithHint("every entry of channel %q is replaced or skipped by another one: remove an edge", ch.Name)
	case 1:
	default:
		return nil, failure.New(failure.Invalid, "multiple channel heads found in graph: %s", strings.Join(heads, ", ")).
			WithHint("let one entry of channel %q replace or skip the others", ch.Name)
	}
	g := &Graph{rank: map[string]int{}, versions: versions}
	chain, err := chainOf(ch, heads[0])
	if err != nil {
		return nil, err
	}
	skipped := skippedBy(ch)
	for _, e := range chain {
		if skipped[e.Name] {
			continue
		}
		n := node{Entry: e}
		if r, err := ParseRange(e.SkipRange); err == nil {
			n.inRange = r
		}
		g.rank[e.Name] = len(g.order)
		g.order = append(g.order, n)
	}
	return g, nil
}

// Heads returns the names of the entries that no entry of the channel replaces
// or skips, sorted. A valid channel has one.
func Heads(ch Channel) []string {
	targets := map[string]bool{}
	for _, e := range ch.Entries {
		targets[e.Replaces] = true
		for _, s := range e.Skips {
			targets[s] = true
		}
	}
	var heads []string
	for _, e := range ch.Entries {
		if !targets[e.Name] {
			heads = append(heads, e.Name)
		}
	}
	slices.Sort(heads)
	return slices.Compact(heads)
}

// Pruned returns a channel with no other head than the given one: without the
// entries that head does not lead to, nor skips, nor anything that stays skips.
// It also returns the names of those entries, sorted. The channel that remains
// may still be invalid: see CheckChannel.
func Pruned(ch Channel, head string) (kept Channel, fallen []string) {
	kept = ch
	for {
		drop := slices.DeleteFunc(Heads(kept), func(name string) bool { return name == head })
		if len(drop) == 0 {
			drop, _ = stranded(kept, head)
		}
		if len(drop) == 0 {
			slices.Sort(fallen)
			return kept, fallen
		}
		fallen = append(fallen, drop...)
		kept.Entries = slices.DeleteFunc(slices.Clone(kept.Entries), func(e Entry) bool { return slices.Contains(drop, e.Name) })
	}
}

// Head returns the name of the entry that nothing replaces or skips.
func (g *Graph) Head() string { return g.order[0].Name }

// Order returns the names on the way down from the head by replaces, head
// first. Entries that another one skips are left out.
func (g *Graph) Order() []string {
	names := make([]string, len(g.order))
	for i, n := range g.order {
		names[i] = n.Name
	}
	return names
}

// Successors returns the names of the entries that an installed bundle can be
// upgraded to in one step, nearest the head first. The bundle need not be in
// the channel; version may be empty if it is not known.
func (g *Graph) Successors(name, version string) []string {
	limit, ok := g.rank[name]
	if !ok {
		limit = len(g.order)
	}
	installed, err := semver.Parse(version)
	var names []string
	for _, n := range g.order[:limit] {
		inRange := err == nil && n.inRange != nil && n.inRange(installed)
		if inRange || n.upgrades(name) {
			names = append(names, n.Name)
		}
	}
	return names
}

// Path returns the names of the bundles that an installed bundle becomes one
// after the other, each step as near the head as possible. It is empty if the
// bundle is the head, or if no upgrade leads away from it; it ends before the
// head if the way ends there.
func (g *Graph) Path(name, version string) []string {
	var path []string
	for {
		next := g.Successors(name, version)
		if len(next) == 0 {
			return path
		}
		name = next[0]
		version = g.versions(name)
		path = append(path, name)
	}
}

// upgrades reports whether e names the bundle as one that it upgrades.
func (e Entry) upgrades(bundle string) bool {
	return bundle != "" && (e.Replaces == bundle || slices.Contains(e.Skips, bundle))
}

// Upgrades returns, for every name that an entry replaces or skips, the names
// of those entries: nearest the head first, then those off the order by name.
// A range of versions does not count. The channel may be invalid.
func Upgrades(ch Channel) map[string][]string {
	rank := map[string]int{}
	if g, err := NewGraph(ch, nil); err == nil {
		rank = g.rank
	}
	all := map[string][]string{}
	for _, e := range ch.Entries {
		for _, older := range append([]string{e.Replaces}, e.Skips...) {
			// An entry that names a bundle twice comes twice in a row.
			if known := all[older]; older != "" && (len(known) == 0 || known[len(known)-1] != e.Name) {
				all[older] = append(known, e.Name)
			}
		}
	}
	rankOf := func(name string) int {
		if r, ok := rank[name]; ok {
			return r
		}
		return len(rank)
	}
	for _, names := range all {
		slices.SortFunc(names, func(a, b string) int {
			return cmp.Or(cmp.Compare(rankOf(a), rankOf(b)), cmp.Compare(a, b))
		})
	}
	return all
}

// chainOf follows replaces from the head as far as there are entries.
func chainOf(ch Channel, head string) ([]Entry, error) {
	byName := ch.byName()
	var chain []Entry
	seen := map[string]bool{}
	for e, ok := byName[head]; ok; e, ok = byName[e.Replaces] {
		if seen[e.Name] {
			return nil, cycleError(chain, e.Name)
		}
		seen[e.Name] = true
		chain = append(chain, e)
	}
	return chain, nil
}

// stranded walks down from the head, as far as the target is not skipped, and
// returns the names of the entries that stay behind, sorted.
func stranded(ch Channel, head string) ([]string, error) {
	skipped, byName := skippedBy(ch), ch.byName()
	reached := map[string]bool{}
	var chain []Entry
	for e, ok := byName[head]; ok; e, ok = byName[e.Replaces] {
		if reached[e.Name] {
			return nil, cycleError(chain, e.Name)
		}
		reached[e.Name] = true
		chain = append(chain, e)
		if skipped[e.Replaces] {
			break
		}
	}
	var left []string
	for _, e := range ch.Entries {
		if !reached[e.Name] && !skipped[e.Name] {
			left = append(left, e.Name)
		}
	}
	slices.Sort(left)
	return left, nil
}

func (c Channel) byName() map[string]Entry {
	all := make(map[string]Entry, len(c.Entries))
	for _, e := range c.Entries {
		all[e.Name] = e
	}
	return all
}

func cycleError(chain []Entry, again string) error {
	start := slices.IndexFunc(chain, func(e Entry) bool { return e.Name == again })
	var names []string
	for _, e := range chain[start:] {
		names = append(names, e.Name)
	}
	names = append(names, again)
	return failure.New(failure.Invalid, "detected cycle in replaces chain of upgrade graph: %s", strings.Join(names, " -> ")).
		WithHint("remove one of these replaces")
}

func skippedBy(ch Channel) map[string]bool {
	skipped := map[string]bool{}
	for _, e := range ch.Entries {
		for _, s := range e.Skips {
			skipped[s] = true
		}
	}
	return skipped
}
