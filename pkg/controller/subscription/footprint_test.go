package subscription

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
)

// TestConcerned covers which namespaces a change of a catalog wakes.
func TestConcerned(t *testing.T) {
	main, other := resolver.CatalogRef{Namespace: "olm", Name: "main"}, resolver.CatalogRef{Namespace: "olm", Name: "other"}
	plain := registry.Bundle{Name: "etcd.v1"}
	needy := registry.Bundle{Name: "backup.v1", Properties: []registry.Property{property(registry.PropertyGVKRequired, gvkValue{Kind: "Etcd"})}}
	offers := func(ref resolver.CatalogRef, b registry.Bundle) resolver.Catalog {
		return resolver.Catalog{Ref: ref, Packages: []resolver.Offer{{Bundles: []registry.Bundle{b}}}}
	}
	tests := map[string]struct {
		problem resolver.Problem
		want    bool // a change of catalog other concerns it
	}{
		"nobody names it": {problem: resolver.Problem{
			Subscriptions: []resolver.Subscription{{Catalog: main}}, Catalogs: []resolver.Catalog{offers(main, plain), {Ref: other}},
		}},
		"a Subscription names it": {want: true, problem: resolver.Problem{
			Subscriptions: []resolver.Subscription{{Catalog: other}}, Catalogs: []resolver.Catalog{{Ref: other}},
		}},
		"a Subscription names any": {want: true, problem: resolver.Problem{
			Subscriptions: []resolver.Subscription{{}}, Catalogs: []resolver.Catalog{offers(main, plain), {Ref: other}},
		}},
		"it has what somebody needs": {want: true, problem: resolver.Problem{
			Subscriptions: []resolver.Subscription{{Catalog: main}}, Catalogs: []resolver.Catalog{offers(main, plain), offers(other, plain)},
		}},
		"it could have what a bundle needs": {want: true, problem: resolver.Problem{
			Subscriptions: []resolver.Subscription{{Catalog: main}}, Catalogs: []resolver.Catalog{offers(main, needy), {Ref: other}},
		}},
		"it could have what an installed bundle needs": {want: true, problem: resolver.Problem{
			Subscriptions: []resolver.Subscription{{Catalog: main}}, Installed: []resolver.Installed{{Bundle: needy}},
			Catalogs: []resolver.Catalog{offers(main, plain), {Ref: other}},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFootprints()
			f.remember(ns, footprintOf(tt.problem))
			var want []string
			if tt.want {
				want = []string{ns}
			}
			if diff := cmp.Diff(want, f.concerned(other)); diff != "" {
				t.Errorf("concerned(other) (-want +got):\n%s", diff)
			}
			f.forget(ns)
			if got := f.concerned(other); len(got) > 0 {
				t.Errorf("a namespace without Subscriptions is woken: %v", got)
			}
		})
	}
}
