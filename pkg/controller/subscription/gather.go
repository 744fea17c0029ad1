package subscription

import (
	"context"
	"errors"
	"slices"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/constraint"
)

// gather reads from the snapshots what the resolver can need to decide: the
// packages that are wanted, and all that could meet their requirements.
func gather(ctx context.Context, v *view, problem resolver.Problem) ([]resolver.Catalog, error) {
	g := &gathering{names: map[string]bool{}}
	for _, c := range v.catalogs {
		out := resolver.Catalog{Ref: c.ref, Priority: c.priority, Unavailable: c.problem}
		var store registry.Store
		if c.snapshot != nil {
			store = c.snapshot.Store
			names, err := store.Packages(ctx)
			if err != nil {
				return nil, err
			}
			out.Names = names
		}
		g.catalogs, g.stores = append(g.catalogs, out), append(g.stores, store)
	}
	for _, sub := range problem.Subscriptions {
		g.want(sub.Package)
	}
	for i := range problem.Installed {
		if err := g.require(ctx, &problem.Installed[i].Bundle); err != nil {
			return nil, err
		}
	}
	return g.catalogs, g.run(ctx)
}

// gathering is the state of a search through all catalogs.
type gathering struct {
	catalogs []resolver.Catalog
	stores   []registry.Store // one per catalog; nil if it was never read
	names    map[string]bool  // of packages that were asked for
	todo     []string
}

func (g *gathering) want(pkg string) {
	if !g.names[pkg] {
		g.names[pkg] = true
		g.todo = append(g.todo, pkg)
	}
}

func (g *gathering) run(ctx context.Context) error {
	for len(g.todo) > 0 {
		name := g.todo[0]
		g.todo = g.todo[1:]
		for i, store := range g.stores {
			if _, ok := slices.BinarySearch(g.catalogs[i].Names, name); store == nil || !ok {
				continue
			}
			offer, err := g.read(ctx, store, name)
			if err != nil {
				return err
			}
			g.catalogs[i].Packages = append(g.catalogs[i].Packages, offer)
		}
	}
	return nil
}

// read returns a package with its bundles, and wants what they need.
func (g *gathering) read(ctx context.Context, store registry.Store, name string) (resolver.Offer, error) {
	pkg, err := store.Package(ctx, name)
	if err != nil {
		return resolver.Offer{}, err
	}
	offer := resolver.Offer{Package: pkg}
	for b, err := range store.Bundles(ctx, name) {
		if err != nil {
			return resolver.Offer{}, err
		}
		offer.Bundles = append(offer.Bundles, b)
		if err := g.require(ctx, &b); err != nil {
			return resolver.Offer{}, err
		}
	}
	return offer, nil
}

// require wants every package that can meet a requirement of a bundle.
func (g *gathering) require(ctx context.Context, b *registry.Bundle) error {
	var errs []error
	for _, p := range constraint.Read(b).Requires {
		keys := p.Keys()
		for _, name := range keys.Packages {
			g.want(name)
		}
		for i, store := range g.stores {
			if store == nil {
				continue
			}
			if keys.Anywhere {
				for _, name := range g.catalogs[i].Names {
					g.want(name)
				}
			}
			for _, api := range keys.APIs {
				members, err := store.Providers(ctx, api)
				if err != nil && failure.KindOf(err) != failure.NotFound {
					errs = append(errs, err)
				}
				for _, m := range members {
					g.want(m.Package)
				}
			}
		}
	}
	return errors.Join(errs...)
}
