package subscription

import (
	"slices"
	"sync"

	"chandler.dev/olm/pkg/controller/subscription/inventory"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
)

// footprint is which catalogs an answer depends on.
type footprint struct {
	named map[resolver.CatalogRef]bool // a Subscription names it, or the answer used it
	wide  bool                         // something is wanted that any catalog may offer
	// required and brought are the APIs that bundles ask for and bring, of what
	// is there and of what may come.
	required, brought []registry.GVK
}

// concerns reports whether a change of a catalog can change the answer.
func (f footprint) concerns(ref resolver.CatalogRef) bool { return f.wide || f.named[ref] }

// footprintOf returns the footprint of a problem with its offers.
func footprintOf(p resolver.Problem) footprint {
	f := footprint{named: map[resolver.CatalogRef]bool{}}
	f.required, f.brought = resolver.Mentioned(p)
	for _, s := range p.Subscriptions {
		f.named[s.Catalog] = true
		f.wide = f.wide || s.Catalog == resolver.CatalogRef{}
	}
	for _, c := range p.Catalogs {
		f.named[c.Ref] = f.named[c.Ref] || len(c.Packages) > 0
		for _, offer := range c.Packages {
			for _, b := range offer.Bundles {
				f.wide = f.wide || needsOthers(b)
			}
		}
	}
	for _, i := range p.Installed {
		f.wide = f.wide || needsOthers(i.Bundle)
	}
	return f
}

func needsOthers(b registry.Bundle) bool {
	for _, p := range b.Properties {
		switch p.Type {
		case registry.PropertyGVKRequired, registry.PropertyPackageRequired, registry.PropertyLabelRequired, registry.PropertyConstraint:
			return true
		}
	}
	return false
}

// footprints remembers the footprint of every namespace that was resolved.
type footprints struct {
	mu  sync.Mutex
	all map[string]footprint
}

func newFootprints() *footprints { return &footprints{all: map[string]footprint{}} }

func (f *footprints) remember(namespace string, p footprint) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all[namespace] = p
}

func (f *footprints) forget(namespace string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, namespace)
}

// affected returns the resolved namespaces whose answer can change with APIs
// that appear in the cluster or go.
func (f *footprints) affected(c inventory.Change) (namespaces []string) {
	if len(c.APIs)+len(c.Versions) == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for namespace, p := range f.all {
		if slices.ContainsFunc(p.required, c.Concerns) || slices.ContainsFunc(p.brought, c.Concerns) {
			namespaces = append(namespaces, namespace)
		}
	}
	return namespaces
}

// concerned returns the resolved namespaces whose answer can change with a
// catalog. Whether they can see it at all is for the next resolution to say.
func (f *footprints) concerned(ref resolver.CatalogRef) (namespaces []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for namespace, p := range f.all {
		if p.concerns(ref) {
			namespaces = append(namespaces, namespace)
		}
	}
	return namespaces
}
