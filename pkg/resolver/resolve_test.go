package resolver_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/explain"
)

func chain() resolver.Catalog {
	bundles := []registry.Bundle{
		{Package: "a", Name: "a.v1", Version: "1.0.0"},
		{Package: "a", Name: "a.v2", Version: "2.0.0"},
		{Package: "a", Name: "a.v3", Version: "3.0.0"},
	}
	pkg := registry.Package{Name: "a", DefaultChannel: "stable", Channels: []registry.Channel{{
		Name:    "stable",
		Entries: []registry.Entry{{Name: "a.v1"}, {Name: "a.v2", Replaces: "a.v1"}, {Name: "a.v3", Replaces: "a.v2"}},
	}}}
	return resolver.Catalog{
		Ref:      resolver.CatalogRef{Namespace: "ns", Name: "main"},
		Packages: []resolver.Offer{{Package: pkg, Bundles: bundles}},
	}
}

// TestResolveHop follows one subscription through a channel.
func TestResolveHop(t *testing.T) {
	main := resolver.CatalogRef{Namespace: "ns", Name: "main"}
	tests := map[string]struct {
		sub       resolver.Subscription
		installed []resolver.Installed
		want      string
		wantPath  []string
		wantText  string
	}{
		"the first install is the head": {
			sub: resolver.Subscription{Name: "s", Package: "a", Catalog: main, Channel: "stable"}, want: "a.v3", wantPath: []string{"a.v3"},
		},
		"an upgrade goes hop by hop": {
			sub:       resolver.Subscription{Name: "s", Package: "a", Catalog: main, Installed: "a.v1"},
			installed: []resolver.Installed{{Bundle: registry.Bundle{Package: "a", Name: "a.v1", Version: "1.0.0"}}},
			want:      "a.v2", wantPath: []string{"a.v2", "a.v3"},
		},
		"the head stays": {
			sub:       resolver.Subscription{Name: "s", Package: "a", Catalog: main, Installed: "a.v3"},
			installed: []resolver.Installed{{Bundle: registry.Bundle{Package: "a", Name: "a.v3", Version: "3.0.0"}}},
		},
		"an unknown channel is a reason with a cure": {
			sub: resolver.Subscription{Name: "s", Package: "a", Catalog: main, Channel: "stabel"},
			wantText: `constraints not satisfiable: no operators found in channel stabel of package a in the catalog referenced by subscription s, subscription s exists
  because no operators found in channel stabel of package a in the catalog referenced by subscription s
    catalog main/ns offers channels stable
  cure: set channel of subscription s to stable
`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := resolver.Problem{Namespace: "ns", Catalogs: []resolver.Catalog{chain()}, Installed: tt.installed, Subscriptions: []resolver.Subscription{tt.sub}}
			s, err := resolver.Resolve(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			var path []string
			for _, sel := range s.Components[0].Selections {
				got, path = sel.Bundle.Name, sel.Path
			}
			var text string
			if u := s.Components[0].Unsolvable; u != nil {
				text = explain.Text(*u)
			}
			if got != tt.want || cmp.Diff(tt.wantPath, path) != "" {
				t.Errorf("Resolve() = %q by %q, want %q by %q", got, path, tt.want, tt.wantPath)
			}
			if diff := cmp.Diff(tt.wantText, text); diff != "" {
				t.Errorf("Text() (-want +got):\n%s", diff)
			}
		})
	}
}
