// Package memory keeps a catalog in memory: for tests, and for catalogs of a
// few bundles that need no file.
package memory

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"slices"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Store is a registry.Store in memory. It does not change.
type Store struct {
	packages []registry.Package // sorted by name
	bundles  map[string][]registry.Bundle
	blobs    []registry.Blob // sorted by schema, package, name
	digest   string
}

var (
	_ registry.Store  = (*Store)(nil)
	_ registry.Source = (*Store)(nil)
)

// New reads a whole source into memory.
func New(ctx context.Context, src registry.Source) (*Store, error) {
	s := &Store{bundles: map[string][]registry.Bundle{}}
	digest := registry.NewDigester()
	deprecations := map[[2]string]string{}
	for item, err := range src.Items(ctx) {
		if err != nil {
			return nil, err
		}
		digest.Add(item, registry.SumOf(item))
		s.add(item)
		for bundle, message := range item.Deprecations {
			deprecations[[2]string{item.Package.Name, bundle}] = message
		}
	}
	s.digest = digest.Digest()
	s.settle(deprecations)
	return s, nil
}

func (s *Store) add(item registry.Item) {
	switch {
	case item.Bundle != nil:
		s.bundles[item.Bundle.Package] = append(s.bundles[item.Bundle.Package], *item.Bundle)
	case item.Package != nil:
		s.packages = append(s.packages, *item.Package)
		s.bundles[item.Package.Name] = slices.DeleteFunc(s.bundles[item.Package.Name], func(b registry.Bundle) bool {
			return slices.Contains(item.Dropped, b.Name)
		})
	case item.Blob != nil:
		s.blobs = append(s.blobs, *item.Blob)
	}
}

// settle sorts everything and says which bundles are deprecated.
func (s *Store) settle(deprecations map[[2]string]string) {
	slices.SortStableFunc(s.packages, func(a, b registry.Package) int { return cmp.Compare(a.Name, b.Name) })
	for pkg, bundles := range s.bundles {
		slices.SortStableFunc(bundles, func(a, b registry.Bundle) int { return cmp.Compare(a.Name, b.Name) })
		for i := range bundles {
			if message, ok := deprecations[[2]string{pkg, bundles[i].Name}]; ok {
				bundles[i].Deprecation = message
			}
		}
	}
	slices.SortStableFunc(s.blobs, func(a, b registry.Blob) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Package, b.Package), cmp.Compare(a.Name, b.Name))
	})
}

func (s *Store) Digest(context.Context) (string, error) { return s.digest, nil }

func (s *Store) Packages(context.Context) ([]string, error) {
	var names []string
	for _, p := range s.packages {
		names = append(names, p.Name)
	}
	return names, nil
}

func (s *Store) Package(_ context.Context, name string) (registry.Package, error) {
	for _, p := range s.packages {
		if p.Name == name {
			return p, nil
		}
	}
	return registry.Package{}, failure.New(failure.NotFound, "package %q not found", name)
}

func (s *Store) Bundles(_ context.Context, pkg string) iter.Seq2[registry.Bundle, error] {
	return func(yield func(registry.Bundle, error) bool) {
		for _, b := range s.bundles[pkg] {
			b.Content = registry.Content{}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (s *Store) Bundle(_ context.Context, pkg, name string) (registry.Bundle, error) {
	for _, b := range s.bundles[pkg] {
		if b.Name == name {
			return b, nil
		}
	}
	return registry.Bundle{}, failure.New(failure.NotFound, "package %q has no bundle %q", pkg, name)
}

func (s *Store) Providers(_ context.Context, gvk registry.GVK) ([]registry.Member, error) {
	var all []registry.Member
	for _, p := range s.packages {
		for _, m := range registry.Members(p) {
			if slices.ContainsFunc(s.bundles[p.Name], func(b registry.Bundle) bool { return b.Name == m.Name && provides(b, gvk) }) {
				all = append(all, m)
			}
		}
	}
	return all, nil
}

func (s *Store) Blobs(_ context.Context, schema, pkg string) ([]registry.Blob, error) {
	var all []registry.Blob
	for _, b := range s.blobs {
		if b.Schema == schema && b.Package == pkg {
			all = append(all, b)
		}
	}
	return all, nil
}

// Items yields the bundles, the packages and the blobs, each sorted.
func (s *Store) Items(context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		for _, p := range s.packages {
			for _, b := range s.bundles[p.Name] {
				if !yield(registry.Item{Bundle: &b}, nil) {
					return
				}
			}
			if !yield(registry.Item{Package: &p}, nil) {
				return
			}
		}
		for _, b := range s.blobs {
			if !yield(registry.Item{Blob: &b}, nil) {
				return
			}
		}
	}
}

func provides(b registry.Bundle, gvk registry.GVK) bool {
	return slices.ContainsFunc(b.Properties, func(p registry.Property) bool {
		if p.Type != registry.PropertyGVK {
			return false
		}
		var v registry.GVK
		return json.Unmarshal(p.Value, &v) == nil && v == gvk
	})
}

// AllBlobs returns the items of all extension schemas, sorted.
func (s *Store) AllBlobs(context.Context) ([]registry.Blob, error) { return slices.Clone(s.blobs), nil }
