package registry

import (
	"context"
	"errors"
	"iter"
)

// Source yields a whole catalog once, so that it can be indexed without being
// held in memory. Bundles may come before their package. A bundle whose
// package never comes does not belong to the catalog. The error of a source is
// the last thing that it yields.
type Source interface {
	Items(ctx context.Context) iter.Seq2[Item, error]
}

// Item is one part of a catalog: exactly one of Bundle, Package and Blob is set.
type Item struct {
	Bundle  *Bundle // with its Content
	Package *Package
	Blob    *Blob

	// Deprecations says, with a Package, why bundles are deprecated whose own
	// item did not say it: message by bundle name.
	Deprecations map[string]string
	// Dropped names, with a Package, bundles that came before it and do not
	// belong to the catalog after all, because no channel has a place for them.
	Dropped []string
	// Where the item was read, as "file:line"; empty if nobody knows.
	Where string
}

// FromStore returns the content of a store as a source. A store that is a
// Source itself (a remote catalog can send everything in one stream) is
// asked that way; of other stores the blobs are left out, because a store does
// not list their schemas.
func FromStore(store Store) Source {
	if src, ok := store.(Source); ok {
		return src
	}
	return storeSource{store}
}

type storeSource struct{ store Store }

func (s storeSource) Items(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		names, err := s.store.Packages(ctx)
		if err != nil {
			yield(Item{}, err)
			return
		}
		for _, name := range names {
			if !s.packageItems(ctx, name, yield) {
				return
			}
		}
	}
}

// packageItems yields one package and reports whether to go on.
func (s storeSource) packageItems(ctx context.Context, name string, yield func(Item, error) bool) bool {
	for brief, err := range s.store.Bundles(ctx, name) {
		if err != nil {
			yield(Item{}, err)
			return false
		}
		bundle, err := s.store.Bundle(ctx, name, brief.Name)
		if err != nil {
			yield(Item{}, err)
			return false
		}
		if !yield(Item{Bundle: &bundle}, nil) {
			return false
		}
	}
	pkg, err := s.store.Package(ctx, name)
	if err != nil {
		yield(Item{}, err)
		return false
	}
	return yield(Item{Package: &pkg}, nil)
}

// Join returns the items of several sources, one after the other.
func Join(sources ...Source) Source {
	if len(sources) == 1 {
		return sources[0]
	}
	return joined(sources)
}

type joined []Source

func (j joined) Items(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		var problems []Problem
		for _, src := range j {
			for item, err := range src.Items(ctx) {
				if found, ok := errors.AsType[Problem](err); ok {
					problems = append(problems, found.Problems...)
					continue
				}
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
		if err := InvalidCatalog(problems); err != nil {
			yield(Item{}, err)
		}
	}
}

// Catalog is a source that is in memory.
type Catalog []Item

func (c Catalog) Items(context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, item := range c {
			if !yield(item, nil) {
				return
			}
		}
	}
}
