package resolver

import (
	"slices"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/resolver/solver"
)

// choice is what a formula decided.
type choice struct {
	entries []*entry // in the order in which they were chosen
	wants   map[*want]candidate
}

// choose makes the decisions in the order of preference: each want takes the
// first of its candidates that leaves a solution; then what was chosen, and
// what stays, takes for each of its needs the first option that does.
// docs/resolver.md tells why in this order.
func (f *formula) choose() (choice, error) {
	c := choice{wants: map[*want]candidate{}}
	for _, s := range f.g.wants {
		lits := make([]solver.Lit, len(s.candidates))
		for i, candidate := range s.candidates {
			lits[i] = f.lits[candidate.entry]
		}
		i, err := f.first(lits)
		if err != nil {
			return c, err
		}
		c.wants[s] = s.candidates[i]
		c.add(s.candidates[i].entry)
	}
	for _, e := range f.g.fixed {
		c.add(e)
	}
	for i := 0; i < len(c.entries); i++ {
		for _, n := range c.entries[i].needs {
			if _, spare := f.spare[n]; spare && slices.Contains(f.g.fixed, c.entries[i]) {
				continue // what nobody owns is left as it is
			}
			if err := f.meet(&c, n); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

func (c *choice) add(e *entry) {
	if !slices.Contains(c.entries, e) {
		c.entries = append(c.entries, e)
	}
}

// meet chooses who meets a need, unless somebody chosen does.
func (f *formula) meet(c *choice, n *need) error {
	if slices.ContainsFunc(n.options, func(o *entry) bool { return slices.Contains(c.entries, o) }) {
		return nil
	}
	lits := make([]solver.Lit, 0, len(n.options)+1)
	for _, o := range n.options {
		lits = append(lits, f.lits[o])
	}
	if spare, ok := f.spare[n]; ok {
		lits = append(lits, spare)
	}
	i, err := f.first(lits)
	if err != nil || i == len(n.options) {
		return err
	}
	c.add(n.options[i])
	return nil
}

func (f *formula) first(lits []solver.Lit) (int, error) {
	i, err := f.s.First(lits)
	if err == nil && i < 0 {
		err = failure.New(failure.Internal, "a solvable component has no preferred answer")
	}
	return i, err
}
