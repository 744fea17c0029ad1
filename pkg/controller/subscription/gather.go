package subscription

import (
	"context"

	"chandler.dev/olm/pkg/resolver"
)

// gather adds what the catalogs offer to a problem, as far as it can matter.
func (r *Reconciler) gather(ctx context.Context, v *view, problem resolver.Problem) (resolver.Problem, error) {
	sources := make([]resolver.Source, 0, len(v.catalogs))
	for _, c := range v.catalogs {
		source := c.source()
		if c.snapshot != nil {
			source.Store = c.snapshot.Store
		}
		sources = append(sources, source)
	}
	return r.offers.Gather(ctx, sources, problem)
}

// source is a catalog as Gather reads it, without its content.
func (c *catalog) source() resolver.Source {
	return resolver.Source{Ref: c.ref, Priority: c.priority, Unavailable: c.problem}
}
