package resolver

import (
	"cmp"
	"slices"
)

// selections returns what a choice installs, sorted by bundle name.
func (w *world) selections(c choice) []Selection {
	var list []Selection
	for _, e := range c.entries {
		if e.installed == nil {
			list = append(list, w.selection(e, c))
		}
	}
	slices.SortFunc(list, func(a, b Selection) int {
		return cmp.Or(cmp.Compare(a.Bundle.Name, b.Bundle.Name), cmp.Compare(a.Catalog.String(), b.Catalog.String()))
	})
	return list
}

func (w *world) selection(e *entry, c choice) Selection {
	sel := Selection{
		Catalog:    e.offer.catalog.Ref,
		Bundle:     *e.bundle,
		RequiredBy: requiredBy(e, c.entries),
	}
	var getters []*want
	for s, got := range c.wants {
		if got.entry == e {
			getters = append(getters, s)
		}
	}
	sel.Subscriptions = names(getters)
	search := &lookup{}
	if len(getters) > 0 {
		// One that has the bundle's predecessor knows what is replaced.
		first := slices.MinFunc(getters, compareWants)
		sel.Channel, search = c.wants[first].channel, first.search
		if first.current != nil {
			sel.Replaces = first.current.bundle.Name
		}
	}
	r := e.route(sel.Channel)
	sel.Channel = r.channel.Name
	if sel.Replaces == "" {
		entry, _ := r.channel.Entry(e.bundle.Name)
		sel.Replaces = entry.Replaces
	}
	sel.Path = search.path(r, e.bundle.Name)
	return sel
}

// route returns the channel of that name, or else the preferred one that the
// entry is in.
func (e *entry) route(name string) route {
	for _, ch := range e.offer.channels() {
		if name != "" && ch.Name != name {
			continue
		}
		if _, ok := ch.Entry(e.bundle.Name); !ok {
			continue
		}
		g, err := e.offer.graph(ch)
		if err == nil && name == "" && !slices.Contains(g.Order(), e.bundle.Name) {
			continue
		}
		return route{e.offer, ch, g}
	}
	return route{offer: e.offer}
}

// requiredBy names the entries that have a need that e meets.
func requiredBy(e *entry, entries []*entry) []string {
	var names []string
	for _, other := range entries {
		if other == e {
			continue
		}
		if slices.ContainsFunc(other.needs, func(n *need) bool { return slices.Contains(n.options, e) }) {
			names = append(names, other.bundle.Name)
		}
	}
	slices.Sort(names)
	return names
}
