package resolver

import (
	"cmp"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver/constraint"
)

// need is a requirement of an entry with the entries that meet it, best first.
type need struct {
	predicate constraint.Predicate
	options   []*entry
	cluster   bool // the cluster itself meets it, if nobody else does
}

// reach fills in the needs of an entry and of all that it can lead to, and
// calls visit for each. It returns false if there are more than the limit.
func (w *world) reach(roots []*entry, visit func(*entry)) bool {
	w.walk++
	todo := slices.Clone(roots)
	for n := 0; len(todo) > 0; {
		e := todo[0]
		todo = todo[1:]
		if e.walk == w.walk {
			continue
		}
		e.walk = w.walk
		if n++; n > w.limits.Entries {
			return false
		}
		w.fillNeeds(e)
		visit(e)
		for _, n := range e.needs {
			todo = append(todo, n.options...)
		}
	}
	return true
}

func (w *world) fillNeeds(e *entry) {
	if e.reached {
		return
	}
	e.reached = true
	for _, p := range e.facts().Requires {
		n := &need{predicate: p, cluster: w.clusterMeets(p)}
		if n.cluster && e.installed != nil {
			continue
		}
		n.options = w.options(p, e)
		e.needs = append(e.needs, n)
	}
}

// options returns the entries that meet a requirement: what is installed, then
// the catalog of the entry that asks, then the others by preference.
func (w *world) options(p constraint.Predicate, asker *entry) []*entry {
	key := p.String()
	if asker.offer != nil {
		key = asker.offer.catalog.Ref.String() + " " + key
	}
	if found, ok := w.providers[key]; ok {
		return found
	}
	found := []*entry{}
	for _, e := range w.installed {
		if p.Match(e.facts()) {
			found = append(found, e)
		}
	}
	catalogs := w.catalogs
	if asker.offer != nil {
		own := asker.offer.catalog
		catalogs = append([]*catalog{own}, slices.DeleteFunc(slices.Clone(w.catalogs), func(c *catalog) bool { return c == own })...)
	}
	keys := p.Keys()
	for _, c := range catalogs {
		for _, e := range w.offered(c, keys) {
			if p.Match(e.facts()) {
				found = append(found, e)
			}
		}
	}
	w.providers[key] = found
	return found
}

// offered returns the entries of a catalog that a requirement with these keys
// may look at, in the order of preference: default channels first, then by
// package and channel name, in a channel from its head down.
func (w *world) offered(c *catalog, keys constraint.Keys) []*entry {
	var routes []route
	for _, o := range w.offersFor(c, keys) {
		for _, ch := range o.Package.Channels {
			// A channel without an order concerns those who name it.
			if g, err := o.graph(ch); err == nil {
				routes = append(routes, route{o, ch, g})
			}
		}
	}
	slices.SortFunc(routes, func(a, b route) int {
		return cmp.Or(
			cmp.Compare(a.defaultRank(), b.defaultRank()),
			cmp.Compare(a.offer.Package.Name, b.offer.Package.Name),
			cmp.Compare(a.channel.Name, b.channel.Name),
		)
	})
	var found []*entry
	seen := map[*entry]bool{}
	for _, r := range routes {
		for _, name := range r.graph.Order() {
			if e := w.entry(r.offer, name); e != nil && !seen[e] {
				seen[e] = true
				found = append(found, e)
			}
		}
	}
	return found
}

func (r route) defaultRank() int {
	if r.channel.Name == r.offer.Package.DefaultChannel {
		return 0
	}
	return 1
}

// offersFor returns the packages of a catalog that can meet a requirement,
// sorted by name.
func (w *world) offersFor(c *catalog, keys constraint.Keys) []*offer {
	var offers []*offer
	add := func(o *offer) {
		if o != nil && !slices.Contains(offers, o) {
			offers = append(offers, o)
		}
	}
	if keys.Anywhere {
		for _, o := range c.offers {
			offers = append(offers, o)
		}
	}
	for _, name := range keys.Packages {
		add(c.offers[name])
	}
	for _, api := range keys.APIs {
		for _, o := range c.offersOf(api) {
			add(o)
		}
	}
	slices.SortFunc(offers, func(a, b *offer) int { return strings.Compare(a.Package.Name, b.Package.Name) })
	return offers
}

// fewAPIs is how many APIs are looked for one by one, before an index of all
// pays off.
const fewAPIs = 3

// offersOf returns the packages in which a bundle may provide an API.
func (c *catalog) offersOf(api registry.GVK) []*offer {
	if c.apis != nil {
		return c.apis[constraint.APIKey(api)]
	}
	if c.scans++; c.scans <= fewAPIs {
		return c.scan(api)
	}
	c.apis = map[uint64][]*offer{}
	for _, o := range c.offers {
		c.index(o)
	}
	return c.apis[constraint.APIKey(api)]
}

func (c *catalog) scan(api registry.GVK) []*offer {
	var found []*offer
	provides := constraint.ProviderOf(api)
	for _, o := range c.offers {
		if slices.ContainsFunc(o.Bundles, provides) {
			found = append(found, o)
		}
	}
	return found
}

func (c *catalog) index(o *offer) {
	for i := range o.Bundles {
		constraint.APIKeys(&o.Bundles[i], func(key uint64) {
			if known := c.apis[key]; len(known) == 0 || known[len(known)-1] != o {
				c.apis[key] = append(known, o)
			}
		})
	}
}

// clusterMeets reports whether an API that the cluster has from elsewhere is
// what a requirement asks for.
func (w *world) clusterMeets(p constraint.Predicate) bool {
	keys := p.Keys()
	if keys.Anywhere {
		return false
	}
	return slices.ContainsFunc(keys.APIs, func(api registry.GVK) bool {
		return w.served[api] && p.Match(&constraint.Facts{APIs: []registry.GVK{api}})
	})
}
