package resolver

import (
	"context"
	"maps"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver/constraint"
)

// Source is a catalog that Gather reads from.
type Source struct {
	Ref      CatalogRef
	Priority int
	Store    registry.Store // the last good content; nil if there never was any
	// Unavailable says why the content is missing or old; empty if it is not.
	Unavailable string
}

// Gather returns the problem with its Catalogs filled in from the sources, as
// far as its subscriptions and installed bundles can need them: the packages
// they name, and on from there whoever meets a requirement. A source that
// fails counts as unavailable, so that it concerns only those who need it; the
// failure is that of the context.
func Gather(ctx context.Context, sources []Source, p Problem) (Problem, error) {
	return NewCache(0).Gather(ctx, sources, p)
}

// Gather is the function of that name, with what the cache remembers.
func (c *Cache) Gather(ctx context.Context, sources []Source, p Problem) (Problem, error) {
	g := &gathering{seen: map[string]bool{}}
	for _, s := range sources {
		g.readers = append(g.readers, c.reader(ctx, s))
	}
	for _, i := range p.Installed {
		g.require(constraint.Read(&i.Bundle))
	}
	for _, s := range p.Subscriptions {
		g.subscription(ctx, s)
	}
	for len(g.todo) > 0 {
		next := g.todo[0]
		g.todo = g.todo[1:]
		g.requirement(ctx, next)
	}
	if err := ctx.Err(); err != nil {
		return p, err
	}
	p.Catalogs = nil
	for _, r := range g.readers {
		p.Catalogs = append(p.Catalogs, r.catalog())
	}
	return p, nil
}

// gathering is the state of one Gather.
type gathering struct {
	readers []*reader
	todo    []constraint.Predicate
	seen    map[string]bool // predicates, by text
}

func (g *gathering) require(f *constraint.Facts) {
	for _, p := range f.Requires {
		if text := p.String(); !g.seen[text] {
			g.seen[text] = true
			g.todo = append(g.todo, p)
		}
	}
}

// subscription loads what a subscription names. If its catalog lacks the
// package, what others have, and what has nearly the name, serves a proposal.
func (g *gathering) subscription(ctx context.Context, s Subscription) {
	found := false
	for _, r := range g.readers {
		if s.Catalog != (CatalogRef{}) && s.Catalog != r.Ref {
			continue
		}
		if o := r.load(ctx, s.Package); o != nil {
			found = true
			g.channels(o, s.Channel)
		}
	}
	if found {
		return
	}
	for _, r := range g.readers {
		name := s.Package
		if !slices.Contains(r.names, name) {
			name = nearest(name, r.names)
		}
		if o := r.load(ctx, name); o != nil {
			g.channels(o, s.Channel)
		}
	}
}

// channels follows the requirements of the bundles of a channel, or of all if
// there is no channel of that name.
func (g *gathering) channels(o *Offer, channel string) {
	ch, named := o.Package.Channel(channel)
	for name, f := range o.facts {
		if _, ok := ch.Entry(name); ok || !named {
			g.require(f)
		}
	}
}

// requirement loads who meets a requirement, and follows theirs.
func (g *gathering) requirement(ctx context.Context, p constraint.Predicate) {
	keys := p.Keys()
	for _, r := range g.readers {
		packages := slices.Clone(keys.Packages)
		if keys.Anywhere {
			packages = r.names
		}
		for _, api := range keys.APIs {
			packages = append(packages, r.providers(ctx, api)...)
		}
		for _, name := range packages {
			o := r.load(ctx, name)
			if o == nil {
				continue
			}
			for _, f := range o.facts {
				if p.Match(f) {
					g.require(f)
				}
			}
		}
	}
}

// reader reads one source through the cache.
type reader struct {
	Source
	cache  *Cache
	digest string
	names  []string
	offers map[string]*Offer
}

func (c *Cache) reader(ctx context.Context, s Source) *reader {
	r := &reader{Source: s, cache: c, offers: map[string]*Offer{}}
	if s.Store == nil {
		return r
	}
	var err error
	if r.digest, err = s.Store.Digest(ctx); err == nil {
		r.names, err = c.packageNames(ctx, r.digest, s.Store)
	}
	r.failed(err)
	return r
}

// failed notes that the source cannot be read.
func (r *reader) failed(err error) {
	if err != nil && r.Unavailable == "" {
		r.Unavailable = "its content cannot be read: " + err.Error()
	}
}

func (r *reader) load(ctx context.Context, name string) *Offer {
	if _, known := slices.BinarySearch(r.names, name); !known {
		return nil
	}
	if o, ok := r.offers[name]; ok {
		return o
	}
	o, err := r.cache.offer(ctx, r.digest, r.Store, name)
	if err != nil && failure.KindOf(err) != failure.NotFound {
		r.failed(err)
	}
	r.offers[name] = o
	return o
}

func (r *reader) providers(ctx context.Context, api registry.GVK) []string {
	if r.Store == nil {
		return nil
	}
	members, err := r.cache.providers(ctx, r.digest, r.Store, api)
	r.failed(err)
	return members
}

func (r *reader) catalog() Catalog {
	c := Catalog{Ref: r.Ref, Priority: r.Priority, Names: r.names, Unavailable: r.Unavailable}
	for _, o := range r.offers {
		if o != nil {
			c.Packages = append(c.Packages, *o)
		}
	}
	slices.SortFunc(c.Packages, func(a, b Offer) int { return strings.Compare(a.Package.Name, b.Package.Name) })
	return c
}

// Mentioned returns the APIs that the bundles of a problem require and those
// that they bring, each once.
func Mentioned(p Problem) (required, brought []registry.GVK) {
	asked, offered := map[registry.GVK]bool{}, map[registry.GVK]bool{}
	note := func(f *constraint.Facts) {
		for _, r := range f.Requires {
			for _, api := range r.Keys().APIs {
				asked[api] = true
			}
		}
		for _, api := range f.APIs {
			offered[api] = true
		}
	}
	for i := range p.Installed {
		note(constraint.Read(&p.Installed[i].Bundle))
	}
	for i := range p.Catalogs {
		for j := range p.Catalogs[i].Packages {
			o := &p.Catalogs[i].Packages[j]
			for k := range o.Bundles {
				f := o.facts[o.Bundles[k].Name]
				if f == nil {
					f = constraint.Read(&o.Bundles[k])
				}
				note(f)
			}
		}
	}
	return slices.Collect(maps.Keys(asked)), slices.Collect(maps.Keys(offered))
}
