package resolver

import (
	"cmp"
	"slices"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver/constraint"
)

// world is a Problem in the order in which decisions are made, with an index.
type world struct {
	namespace string
	cluster   Cluster
	served    map[registry.GVK]bool     // the APIs that the cluster has from elsewhere, and those that belong to others
	taken     map[registry.GVK]TakenAPI // those that belong to others
	limits    Limits
	catalogs  []*catalog
	installed []*entry          // sorted by name
	retired   map[string]string // names of installed bundles that count as gone, with the subscription whose bundle replaces them
	wants     []*want           // those with something installed first, then by name
	entries   map[entryKey]*entry
	providers map[string][]*entry // by requirement and the catalog that asks
	walk      int                 // number of the last walk by reach
}

// catalog is a Catalog with its offers by package name. It does not depend on
// what is wanted, so that worlds with the same catalogs share it.
type catalog struct {
	Catalog
	offers map[string]*offer
	apis   map[uint64][]*offer // nil until it pays off
	scans  int                 // APIs looked for without it
}

// offer is an Offer with its bundles by name and the graphs of its channels.
type offer struct {
	*Offer
	catalog *catalog
	bundles map[string]*registry.Bundle
	graphs  map[string]*channelGraph
	read    map[string]*constraint.Facts // by bundle, if they did not come with the offer
}

type channelGraph struct {
	*registry.Graph
	err error
}

// entry is a bundle that an answer may contain, installed or offered.
type entry struct {
	bundle    *registry.Bundle
	offer     *offer     // nil if it is installed
	installed *Installed // nil if it is offered
	known     *constraint.Facts
	blocks    *entry  // the failed upgrade that was to replace it; nil if there is none
	needs     []*need // nil until the entry is reached
	reached   bool
	walk      int // the last one that came by
}

// facts reads the properties of the bundle once.
func (e *entry) facts() *constraint.Facts {
	if e.known == nil && e.offer != nil {
		e.known = e.offer.factsOf(e.bundle)
	}
	if e.known == nil {
		e.known = constraint.Read(e.bundle)
	}
	return e.known
}

// id names the entry as the existing resolver does.
func (e *entry) id(w *world, channel string) string {
	if e.installed != nil {
		return "@existing/" + w.namespace + "//" + e.bundle.Name
	}
	return e.offer.catalog.Ref.String() + "/" + channel + "/" + e.bundle.Name
}

type entryKey struct {
	catalog CatalogRef
	name    string
}

// want is a Subscription with what it may get.
type want struct {
	Subscription
	current    *entry // what it owns now; nil if there is nothing
	adopted    bool   // current had no owner
	search     *lookup
	candidates []candidate
	refusal    *Reason // why it cannot get anything; nil if it can
}

// candidate is an entry by way of a channel.
type candidate struct {
	*entry
	channel string // empty if the entry is installed
}

// newWorld takes over the catalogs that it has in common with another world;
// nil if there is none.
func newWorld(p Problem, other *world) (*world, error) {
	if err := validate(p); err != nil {
		return nil, err
	}
	w := &world{
		namespace: p.Namespace,
		cluster:   p.Cluster,
		served:    make(map[registry.GVK]bool, len(p.Cluster.APIs)+len(p.Cluster.Taken)),
		taken:     make(map[registry.GVK]TakenAPI, len(p.Cluster.Taken)),
		limits:    p.Limits.withDefaults(),
		retired:   map[string]string{},
		entries:   map[entryKey]*entry{},
		providers: map[string][]*entry{},
	}
	for _, api := range p.Cluster.APIs {
		w.served[api] = true
	}
	for _, t := range p.Cluster.Taken {
		w.served[t.API], w.taken[t.API] = true, t
	}
	for i := range p.Catalogs {
		w.catalogs = append(w.catalogs, newCatalog(p.Catalogs[i], other))
	}
	slices.SortFunc(w.catalogs, w.compareCatalogs)
	for i := range p.Installed {
		w.installed = append(w.installed, &entry{bundle: &p.Installed[i].Bundle, installed: &p.Installed[i]})
	}
	slices.SortFunc(w.installed, func(a, b *entry) int { return cmp.Compare(a.bundle.Name, b.bundle.Name) })
	for _, s := range p.Subscriptions {
		w.wants = append(w.wants, &want{Subscription: s, current: w.installedNamed(s.Installed)})
	}
	slices.SortFunc(w.wants, func(a, b *want) int { return cmp.Compare(a.Name, b.Name) })
	w.adopt()
	w.retire(p.FailForward)
	slices.SortFunc(w.wants, compareWants)
	return w, nil
}

// validate refuses problems in which a name means two things.
func validate(p Problem) error {
	names := map[string]bool{}
	for _, s := range p.Subscriptions {
		if names[s.Name] {
			return failure.New(failure.Invalid, "subscription %q is there twice", s.Name)
		}
		names[s.Name] = true
	}
	refs := map[CatalogRef]bool{}
	for _, c := range p.Catalogs {
		if refs[c.Ref] {
			return failure.New(failure.Invalid, "catalog %q is there twice", c.Ref)
		}
		refs[c.Ref] = true
	}
	bundles := map[string]bool{}
	for _, i := range p.Installed {
		if bundles[i.Bundle.Name] {
			return failure.New(failure.Invalid, "installed bundle %q is there twice", i.Bundle.Name)
		}
		bundles[i.Bundle.Name] = true
	}
	return nil
}

func newCatalog(c Catalog, other *world) *catalog {
	if other != nil {
		for _, known := range other.catalogs {
			if known.same(c) {
				return known
			}
		}
	}
	view := &catalog{Catalog: c, offers: make(map[string]*offer, len(c.Packages))}
	for i := range c.Packages {
		o := &c.Packages[i]
		view.offers[o.Package.Name] = &offer{Offer: o, catalog: view}
	}
	return view
}

// same reports whether a catalog is the very one that the view is of.
func (c *catalog) same(other Catalog) bool {
	return c.Ref == other.Ref && c.Priority == other.Priority && c.Unavailable == other.Unavailable &&
		len(c.Packages) == len(other.Packages) && len(c.Names) == len(other.Names) &&
		(len(c.Packages) == 0 || &c.Packages[0] == &other.Packages[0]) &&
		(len(c.Names) == 0 || &c.Names[0] == &other.Names[0])
}

// compareCatalogs prefers priority, then the own namespace, then the name.
func (w *world) compareCatalogs(a, b *catalog) int {
	return cmp.Or(
		cmp.Compare(b.Priority, a.Priority),
		cmp.Compare(w.distance(a), w.distance(b)),
		cmp.Compare(a.Ref.Name, b.Ref.Name),
		cmp.Compare(a.Ref.Namespace, b.Ref.Namespace),
	)
}

func (w *world) distance(c *catalog) int {
	if c.Ref.Namespace == w.namespace {
		return 0
	}
	return 1
}

func compareWants(a, b *want) int {
	age := func(s *want) int {
		if s.current != nil {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(age(a), age(b)), cmp.Compare(a.Name, b.Name))
}

func (w *world) installedNamed(name string) *entry {
	i, ok := slices.BinarySearchFunc(w.installed, name, func(e *entry, n string) int { return cmp.Compare(e.bundle.Name, n) })
	if !ok {
		return nil
	}
	return w.installed[i]
}

// entry returns the one entry of an offered bundle, whatever the channel; nil
// if the offer lacks the bundle.
func (w *world) entry(o *offer, name string) *entry {
	key := entryKey{o.catalog.Ref, o.Package.Name + "\x00" + name}
	if e, ok := w.entries[key]; ok {
		return e
	}
	b := o.bundle(name)
	if b == nil {
		return nil
	}
	e := &entry{bundle: b, offer: o}
	w.entries[key] = e
	return e
}

func (o *offer) bundle(name string) *registry.Bundle {
	if o.bundles == nil {
		o.bundles = make(map[string]*registry.Bundle, len(o.Bundles))
		for i := range o.Bundles {
			o.bundles[o.Bundles[i].Name] = &o.Bundles[i]
		}
	}
	return o.bundles[name]
}

func (o *offer) factsOf(b *registry.Bundle) *constraint.Facts {
	if f := o.facts[b.Name]; f != nil {
		return f
	}
	if o.read == nil {
		o.read = map[string]*constraint.Facts{}
	}
	if o.read[b.Name] == nil {
		o.read[b.Name] = constraint.Read(b)
	}
	return o.read[b.Name]
}

func (o *offer) version(name string) string {
	if b := o.bundle(name); b != nil {
		return b.Version
	}
	return ""
}

// channels returns the channels in the order of preference: the default
// channel, then by name.
func (o *offer) channels() []registry.Channel {
	var first, others []registry.Channel
	for _, ch := range o.Package.Channels {
		if ch.Name == o.Package.DefaultChannel {
			first = append(first, ch)
		} else {
			others = append(others, ch)
		}
	}
	slices.SortFunc(others, func(a, b registry.Channel) int { return cmp.Compare(a.Name, b.Name) })
	return append(first, others...)
}

// graph returns the graph of a channel, built once.
func (o *offer) graph(ch registry.Channel) (*registry.Graph, error) {
	if g, ok := o.graphs[ch.Name]; ok {
		return g.Graph, g.err
	}
	if o.graphs == nil {
		o.graphs = map[string]*channelGraph{}
	}
	g, err := registry.NewGraph(ch, o.version)
	o.graphs[ch.Name] = &channelGraph{Graph: g, err: err}
	return g, err
}
