package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chandler.dev/olm/pkg/resolver/solver"
)

// Resolve answers a Problem. The context counts for its deadline only; a
// component that runs out of time is Unsolvable with Exhausted. The failure is
// Invalid if a name means two things.
func Resolve(ctx context.Context, p Problem) (Solution, error) {
	w, err := answer(ctx, p, nil)
	if err != nil {
		return Solution{}, err
	}
	for i := range w.answers {
		if u := w.answers[i].component.Unsolvable; u != nil && !u.Exhausted {
			w.cure(p, &w.answers[i])
		}
	}
	return w.solution(), nil
}

// answers is a world with the answers to its wants.
type answers struct {
	*world
	ctx     context.Context //nolint:containedctx // for its deadline, during one call
	answers []answered
	touched map[any][]int // answers by the packages and APIs that they touch; made when needed
}

// answered is a component with what led to it.
type answered struct {
	component Component
	wants     []*want
	fixed     []*entry // that stay beside them, if solved
	choice    choice
	neighbors []string // names of all wants that it was decided together with
	facts     []fact   // of the core, if unsolvable
	entries   []*entry // that were under consideration
}

// answer resolves without looking for cures. It takes over the catalogs that
// it has in common with another world; nil if there is none.
func answer(ctx context.Context, p Problem, other *world) (*answers, error) {
	w, err := newWorld(p, other)
	if err != nil {
		return nil, err
	}
	a := &answers{world: w, ctx: ctx}
	var open []*want
	for _, s := range w.wants {
		w.findCandidates(s)
		if s.refusal != nil {
			a.answers = append(a.answers, refused(s))
		} else {
			open = append(open, s)
		}
	}
	if err := a.solve(open, w.standing(open)); err != nil {
		return nil, err
	}
	slices.SortFunc(a.answers, func(x, y answered) int {
		return slices.Compare(x.component.Subscriptions, y.component.Subscriptions)
	})
	return a, nil
}

func (a *answers) solution() Solution {
	var s Solution
	for _, x := range a.answers {
		s.Components = append(s.Components, x.component)
	}
	return s
}

// standing returns what is installed and owned by none of the wants.
func (w *world) standing(wants []*want) []*entry {
	owned := map[*entry]bool{}
	for _, s := range wants {
		if s.current != nil {
			owned[s.current] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(w.installed), func(e *entry) bool { return owned[e] })
}

// solve answers wants group by group. From a group without a solution those
// to blame are taken out, so that the others get theirs.
func (a *answers) solve(wants []*want, fixed []*entry) error {
	for _, g := range a.partition(wants, fixed) {
		if g.tooMany {
			a.answers = append(a.answers, a.exhausted(g.wants, fmt.Sprintf("more than %d bundles would have to be considered", a.limits.Entries)))
			continue
		}
		blamed, err := a.solveGroup(g)
		if errors.Is(err, solver.ErrExhausted) {
			a.answers = append(a.answers, a.exhausted(g.wants, "the search takes more steps or time than allowed"))
			continue
		}
		if err != nil {
			return err
		}
		if len(blamed) == 0 {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(g.wants), func(s *want) bool { return slices.Contains(blamed, s) })
		stay := slices.Clone(g.fixed)
		for _, s := range blamed {
			if s.current != nil && !ownedBy(rest, s.current) {
				stay = append(stay, s.current)
			}
		}
		slices.SortFunc(stay, func(x, y *entry) int { return cmp.Compare(x.bundle.Name, y.bundle.Name) })
		if err := a.solve(rest, slices.Compact(stay)); err != nil {
			return err
		}
	}
	return nil
}

func ownedBy(wants []*want, e *entry) bool {
	return slices.ContainsFunc(wants, func(s *want) bool { return s.current == e })
}

// solveGroup records the answer of a group, or returns the wants that are to
// blame that there is none and records why.
func (a *answers) solveGroup(g *group) ([]*want, error) {
	f := newFormula(a.world, g, a.solverLimits())
	sat, err := f.s.Solve()
	if err != nil {
		return nil, err
	}
	if !sat {
		core, err := f.s.Core()
		if err != nil {
			return nil, err
		}
		x := f.unsolvable(core)
		a.answers = append(a.answers, x)
		return x.wants, nil
	}
	c, err := f.choose()
	if err != nil {
		return nil, err
	}
	a.answers = append(a.answers, answered{
		component: Component{Subscriptions: names(g.wants), Selections: a.selections(c), Adopted: adopted(g.wants)},
		wants:     g.wants,
		fixed:     g.fixed,
		choice:    c,
		neighbors: names(g.wants),
		entries:   g.entries,
	})
	return nil, nil
}

// solverLimits are the limits for one component. It gets no more than half of
// the time that is left, so that the next one has some too.
func (a *answers) solverLimits() solver.Limits {
	end, cancel := a.allowance()
	defer cancel()
	deadline, _ := end.Deadline()
	return solver.Limits{
		Solves:    a.limits.Solves,
		Remaining: func() int64 { return int64(time.Until(deadline)) },
	}
}

func (a *answers) allowance() (context.Context, context.CancelFunc) {
	allowed := a.limits.Time
	if deadline, ok := a.ctx.Deadline(); ok {
		allowed = min(allowed, time.Until(deadline)/2)
	}
	return context.WithTimeout(a.ctx, allowed)
}

func adopted(wants []*want) []Adoption {
	var list []Adoption
	for _, s := range wants {
		if s.adopted {
			list = append(list, Adoption{s.Name, s.current.bundle.Name})
		}
	}
	slices.SortFunc(list, func(a, b Adoption) int { return cmp.Compare(a.Subscription, b.Subscription) })
	return list
}

func refused(s *want) answered {
	reasons := []Reason{*s.refusal, {Subscription: s.Name, Text: "subscription " + s.Name + " exists"}}
	return answered{
		component: Component{
			Subscriptions: []string{s.Name},
			Adopted:       adopted([]*want{s}),
			Unsolvable:    &Unsolvable{Reasons: sorted(reasons)},
		},
		wants:     []*want{s},
		neighbors: []string{s.Name},
		entries:   s.roots(),
	}
}

func (a *answers) exhausted(wants []*want, why string) answered {
	subject := "subscription " + list(names(wants))
	if len(wants) > 1 {
		subject = "subscriptions " + list(names(wants))
	}
	reason := Reason{
		Text: fmt.Sprintf("gave up before there was an answer for %s: %s", subject, why),
		Cure: "leave fewer choices: name catalogs and channels, or set annotation chandler.dev/version-range",
	}
	return answered{
		component: Component{
			Subscriptions: names(wants),
			Adopted:       adopted(wants),
			Unsolvable:    &Unsolvable{Reasons: []Reason{reason}, Exhausted: true},
		},
		wants:     wants,
		neighbors: names(wants),
	}
}

func sorted(reasons []Reason) []Reason {
	slices.SortFunc(reasons, func(a, b Reason) int { return cmp.Compare(a.Text, b.Text) })
	return reasons
}
