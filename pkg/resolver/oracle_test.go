package resolver_test

import (
	"cmp"
	"maps"
	"slices"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/constraint"
)

// oracle answers small problems by trying all sets of bundles. It shares with
// the resolver only how a property is read.
type oracle struct {
	p        resolver.Problem
	items    []*item
	wants    []*wanted
	standing []*item
}

// item is a bundle that may be there.
type item struct {
	catalog   int // of the sorted catalogs; -1: installed
	name      string
	facts     *constraint.Facts
	bad       bool               // must not be installed
	options   map[string][]*item // by requirement
	must, can map[string]bool    // requirements: to be kept; met by the cluster or unmet today
}

type wanted struct {
	sub        resolver.Subscription
	current    *item
	candidates []*item
}

func newOracle(p resolver.Problem) *oracle {
	o := &oracle{p: p}
	o.p.Catalogs = slices.Clone(p.Catalogs)
	far := func(c resolver.Catalog) int {
		if c.Ref.Namespace == p.Namespace {
			return 0
		}
		return 1
	}
	slices.SortFunc(o.p.Catalogs, func(a, b resolver.Catalog) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), far(a)-far(b), cmp.Compare(a.Ref.Name, b.Ref.Name))
	})
	for i := range p.Installed {
		b := &p.Installed[i].Bundle
		o.items = append(o.items, &item{catalog: -1, name: b.Name, facts: constraint.Read(b)})
	}
	slices.SortFunc(o.items, func(a, b *item) int { return cmp.Compare(a.name, b.name) })
	for i, c := range o.p.Catalogs {
		for _, offer := range c.Packages {
			for j := range offer.Bundles {
				f := constraint.Read(&offer.Bundles[j])
				taken := slices.ContainsFunc(p.Cluster.Taken, func(t resolver.TakenAPI) bool { return slices.Contains(f.APIs, t.API) })
				o.items = append(o.items, &item{
					catalog: i, name: offer.Bundles[j].Name, facts: f,
					bad: f.Deprecated || f.Unreadable != nil || taken,
				})
			}
		}
	}
	o.addWants()
	o.addNeeds()
	return o
}

func (o *oracle) find(catalog int, name string) *item {
	for _, x := range o.items {
		if x.catalog == catalog && x.name == name {
			return x
		}
	}
	return nil
}

func (o *oracle) addWants() {
	owned := map[*item]bool{}
	for _, s := range o.p.Subscriptions {
		w := &wanted{sub: s, current: o.find(-1, s.Installed)}
		owned[w.current] = true
		o.wants = append(o.wants, w)
	}
	slices.SortFunc(o.wants, func(a, b *wanted) int {
		fresh := func(w *wanted) int {
			if w.current == nil {
				return 1
			}
			return 0
		}
		return cmp.Or(fresh(a)-fresh(b), cmp.Compare(a.sub.Name, b.sub.Name))
	})
	for _, w := range o.wants {
		o.addCandidates(w)
	}
	for _, x := range o.items {
		if x.catalog < 0 && !owned[x] {
			o.standing = append(o.standing, x)
		}
	}
}

func (o *oracle) addCandidates(w *wanted) {
	for i, c := range o.p.Catalogs {
		if w.sub.Catalog != (resolver.CatalogRef{}) && c.Ref != w.sub.Catalog {
			continue
		}
		for _, offer := range c.Packages {
			if offer.Package.Name != w.sub.Package {
				continue
			}
			for _, ch := range preferred(offer.Package) {
				if w.sub.Channel != "" && w.sub.Channel != ch.Name {
					continue
				}
				for _, name := range order(ch) {
					e, _ := ch.Entry(name)
					x := o.find(i, name)
					if w.current != nil && !leads(o.p.Installed, w.current.name, e, ch) || slices.Contains(w.candidates, x) {
						continue
					}
					w.candidates = append(w.candidates, x)
				}
			}
		}
	}
	if w.current != nil {
		w.candidates = append(w.candidates, w.current)
	}
}

// leads reports whether an entry upgrades the installed bundle.
func leads(installed []resolver.Installed, name string, e registry.Entry, ch registry.Channel) bool {
	if at := slices.Index(order(ch), name); at >= 0 && slices.Index(order(ch), e.Name) >= at {
		return false
	}
	i := slices.IndexFunc(installed, func(x resolver.Installed) bool { return x.Bundle.Name == name })
	v, err := semver.Parse(installed[i].Bundle.Version)
	r, rangeErr := semver.ParseRange(e.SkipRange)
	return e.Replaces == name || slices.Contains(e.Skips, name) || err == nil && rangeErr == nil && r(v)
}

// preferred is the default channel, then the others by name.
func preferred(p registry.Package) []registry.Channel {
	channels := slices.Clone(p.Channels)
	slices.SortFunc(channels, func(a, b registry.Channel) int {
		if (a.Name == p.DefaultChannel) != (b.Name == p.DefaultChannel) {
			if a.Name == p.DefaultChannel {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return channels
}

// order follows replaces from the one head and leaves out what is skipped.
func order(ch registry.Channel) []string {
	targets, skipped := map[string]bool{}, map[string]bool{}
	for _, e := range ch.Entries {
		targets[e.Replaces] = true
		for _, s := range e.Skips {
			targets[s], skipped[s] = true, true
		}
	}
	var names []string
	for _, e := range ch.Entries {
		for ok := !targets[e.Name]; ok; e, ok = ch.Entry(e.Replaces) {
			if !skipped[e.Name] {
				names = append(names, e.Name)
			}
		}
	}
	return names
}

func (o *oracle) addNeeds() {
	for _, x := range o.items {
		x.options, x.must, x.can = map[string][]*item{}, map[string]bool{}, map[string]bool{}
		for _, r := range x.facts.Requires {
			text := r.String()
			cluster := slices.ContainsFunc(o.clusterAPIs(), func(api registry.GVK) bool { return r.Match(&constraint.Facts{APIs: []registry.GVK{api}}) })
			if cluster && x.catalog < 0 {
				continue
			}
			x.options[text] = o.optionsFor(r, x.catalog)
			met := slices.ContainsFunc(x.options[text], func(y *item) bool { return y.catalog < 0 })
			x.can[text] = cluster || x.catalog < 0 && !met
			x.must[text] = !x.can[text]
		}
	}
}

func (o *oracle) clusterAPIs() []registry.GVK {
	apis := slices.Clone(o.p.Cluster.APIs)
	for _, t := range o.p.Cluster.Taken {
		apis = append(apis, t.API)
	}
	return apis
}

func (o *oracle) optionsFor(r constraint.Predicate, own int) []*item {
	var found []*item
	add := func(x *item) {
		if x != nil && r.Match(x.facts) && !slices.Contains(found, x) {
			found = append(found, x)
		}
	}
	for _, x := range o.items {
		if x.catalog < 0 {
			add(x)
		}
	}
	catalogs := []int{}
	if own >= 0 {
		catalogs = append(catalogs, own)
	}
	for i := range o.p.Catalogs {
		if i != own {
			catalogs = append(catalogs, i)
		}
	}
	for _, i := range catalogs {
		for _, defaults := range []bool{true, false} {
			offers := slices.Clone(o.p.Catalogs[i].Packages)
			slices.SortFunc(offers, func(a, b resolver.Offer) int { return cmp.Compare(a.Package.Name, b.Package.Name) })
			for _, offer := range offers {
				for _, ch := range preferred(offer.Package) {
					if (ch.Name == offer.Package.DefaultChannel) != defaults {
						continue
					}
					for _, name := range order(ch) {
						add(o.find(i, name))
					}
				}
			}
		}
	}
	return found
}

// allowed reports whether exactly these bundles may be there for these wants.
func (o *oracle) allowed(set map[*item]bool, wants []*wanted, standing []*item) bool {
	for _, x := range standing {
		if !set[x] {
			return false
		}
	}
	for _, w := range wants {
		got := slices.ContainsFunc(w.candidates, func(x *item) bool { return set[x] })
		both := w.current != nil && set[w.current] && slices.ContainsFunc(w.candidates, func(x *item) bool { return x != w.current && set[x] })
		if !got || both {
			return false
		}
	}
	for x := range set {
		if x.bad || !met(x, set) {
			return false
		}
		for y := range set {
			if x != y && (x.catalog >= 0 || y.catalog >= 0) && excludes(x, y) {
				return false
			}
		}
	}
	return true
}

func met(x *item, set map[*item]bool) bool {
	for text := range x.must {
		if x.must[text] && !slices.ContainsFunc(x.options[text], func(y *item) bool { return set[y] }) {
			return false
		}
	}
	return true
}

func excludes(x, y *item) bool {
	for _, name := range x.facts.PackageNames() {
		if slices.Contains(y.facts.PackageNames(), name) {
			return true
		}
	}
	for _, api := range x.facts.APIs {
		if slices.Contains(y.facts.APIs, api) {
			return true
		}
	}
	return false
}

// possible reports whether a set with these bundles and for these wants is
// allowed.
func (o *oracle) possible(with, without map[*item]bool, wants []*wanted, standing []*item) bool {
	var free []*item
	for _, x := range o.items {
		gone := x.catalog < 0 && !slices.Contains(standing, x) && !slices.ContainsFunc(wants, func(w *wanted) bool { return w.current == x })
		if !with[x] && !without[x] && !x.bad && !gone {
			free = append(free, x)
		}
	}
	for bits := range 1 << len(free) {
		set := maps.Clone(with)
		for i, x := range free {
			if bits&(1<<i) != 0 {
				set[x] = true
			}
		}
		if o.allowed(set, wants, standing) {
			return true
		}
	}
	return false
}

// prefer returns the preferred set; nil if no set is allowed.
func (o *oracle) prefer() map[*item]bool {
	with, without := map[*item]bool{}, map[*item]bool{}
	if !o.possible(with, without, o.wants, o.standing) {
		return nil
	}
	var queue []*item
	first := func(options []*item) {
		for _, x := range options {
			with[x] = true
			if o.possible(with, without, o.wants, o.standing) {
				if !slices.Contains(queue, x) {
					queue = append(queue, x)
				}
				return
			}
			delete(with, x)
			without[x] = true
		}
	}
	for _, w := range o.wants {
		first(w.candidates)
	}
	for _, x := range o.standing {
		with[x] = true
		if !slices.Contains(queue, x) {
			queue = append(queue, x)
		}
	}
	for i := 0; i < len(queue); i++ {
		for _, r := range queue[i].facts.Requires {
			options := queue[i].options[r.String()]
			if queue[i].can[r.String()] && slices.Contains(o.standing, queue[i]) {
				continue
			}
			if !slices.ContainsFunc(options, func(x *item) bool { return slices.Contains(queue, x) }) {
				first(options)
			}
		}
	}
	chosen := map[*item]bool{}
	for _, x := range queue {
		chosen[x] = true
	}
	return chosen
}
