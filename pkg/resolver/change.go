package resolver

import (
	"slices"

	"chandler.dev/olm/pkg/registry"
)

// Change is one difference to a Problem; exactly one field is set.
type Change struct {
	Subscribe     *Subscription // added, or put in place of the one of that name
	Unsubscribe   string        // name of a subscription
	Install       *Installed    // added, or put in place of the one of that name
	Uninstall     string        // name of an installed bundle
	Catalog       *Catalog      // added, or put in place of the one of that reference
	RemoveCatalog *CatalogRef
	KubeVersion   string
	Release       *registry.GVK // an API that nobody outside of the namespace has any more
	FailForward   bool          // upgrades continue past one that failed
}

// Apply returns the problem after the changes. The given one stays as it is.
func Apply(p Problem, changes ...Change) Problem {
	for _, c := range changes {
		p = c.apply(p)
	}
	return p
}

func (c Change) apply(p Problem) Problem {
	switch {
	case c.Subscribe != nil:
		p.Subscriptions = put(p.Subscriptions, *c.Subscribe, func(s Subscription) bool { return s.Name == c.Subscribe.Name })
	case c.Unsubscribe != "":
		p.Subscriptions = without(p.Subscriptions, func(s Subscription) bool { return s.Name == c.Unsubscribe })
	case c.Install != nil:
		p.Installed = put(p.Installed, *c.Install, func(i Installed) bool { return i.Bundle.Name == c.Install.Bundle.Name })
	case c.Uninstall != "":
		p.Installed = without(p.Installed, func(i Installed) bool { return i.Bundle.Name == c.Uninstall })
	case c.Catalog != nil:
		p.Catalogs = put(p.Catalogs, *c.Catalog, func(x Catalog) bool { return x.Ref == c.Catalog.Ref })
	case c.RemoveCatalog != nil:
		p.Catalogs = without(p.Catalogs, func(x Catalog) bool { return x.Ref == *c.RemoveCatalog })
	case c.KubeVersion != "":
		p.Cluster.KubeVersion = c.KubeVersion
	case c.FailForward:
		p.FailForward = true
	case c.Release != nil:
		p.Cluster.Taken = without(p.Cluster.Taken, func(t TakenAPI) bool { return t.API == *c.Release })
	}
	return p
}

func put[T any](list []T, item T, same func(T) bool) []T { return append(without(list, same), item) }

func without[T any](list []T, gone func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), gone)
}
