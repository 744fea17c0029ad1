package subscription

import (
	"context"

	"chandler.dev/olm/pkg/resolver"
)

// gather adds what the catalogs offer to a problem, and what the cluster has
// from elsewhere, as far as it can matter.
func (r *Reconciler) gather(ctx context.Context, v *view, problem resolver.Problem) (resolver.Problem, error) {
	sources := make([]resolver.Source, 0, len(v.catalogs))
	for _, c := range v.catalogs {
		source := c.source()
		if c.snapshot != nil {
			source.Store = c.snapshot.Store
		}
		sources = append(sources, source)
	}
	problem, err := r.offers.Gather(ctx, sources, problem)
	if err != nil {
		return problem, err
	}
	// What changes from here on wakes the namespace again.
	f := footprintOf(problem)
	r.footprints.remember(v.namespace, f)
	return problem, v.surround(ctx, &problem, f, r.options.Inventory, r.options.Client)
}

// source is a catalog as Gather reads it, without its content.
func (c *catalog) source() resolver.Source {
	return resolver.Source{Ref: c.ref, Priority: c.priority, Unavailable: c.problem}
}
