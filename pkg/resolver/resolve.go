package resolver

import (
	"cmp"
	"context"
	"slices"
)

// Resolve answers a Problem. The context counts for its deadline only; a
// component that runs out of it is Unsolvable with Exhausted. The failure is
// Invalid if a name means two things.
func Resolve(_ context.Context, p Problem) (Solution, error) {
	w, err := newWorld(p)
	if err != nil {
		return Solution{}, err
	}
	var s Solution
	for _, x := range w.wants {
		w.findCandidates(x)
		s.Components = append(s.Components, w.alone(x))
	}
	slices.SortFunc(s.Components, func(a, b Component) int { return slices.Compare(a.Subscriptions, b.Subscriptions) })
	return s, nil
}

func (w *world) alone(s *want) Component {
	c := Component{Subscriptions: []string{s.Name}}
	if s.refusal != nil {
		c.Unsolvable = &Unsolvable{Reasons: []Reason{*s.refusal, {Subscription: s.Name, Text: "subscription " + s.Name + " exists"}}}
		slices.SortFunc(c.Unsolvable.Reasons, func(a, b Reason) int { return cmp.Compare(a.Text, b.Text) })
		return c
	}
	if best := s.candidates[0]; best.installed == nil {
		c.Selections = []Selection{w.selection(s, best)}
	}
	return c
}

func (w *world) selection(s *want, c candidate) Selection {
	ch, _ := c.offer.Package.Channel(c.channel)
	entry, _ := ch.Entry(c.bundle.Name)
	sel := Selection{
		Catalog:       c.offer.catalog.Ref,
		Channel:       c.channel,
		Bundle:        *c.bundle,
		Replaces:      entry.Replaces,
		Subscriptions: []string{s.Name},
	}
	if s.current != nil {
		sel.Replaces = s.current.bundle.Name
	}
	g, err := c.offer.graph(ch)
	if err != nil {
		g = nil
	}
	sel.Path = s.search.path(route{c.offer, ch, g}, c.bundle.Name)
	return sel
}
