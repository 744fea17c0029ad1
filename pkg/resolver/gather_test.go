package resolver_test

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/constraint"
)

// store is a registry.Store over a Catalog that counts what is read.
type store struct {
	catalog resolver.Catalog
	digest  string
	read    []string // packages, in order
	fail    error
}

func (s *store) Digest(context.Context) (string, error) { return s.digest, s.fail }

func (s *store) Packages(context.Context) ([]string, error) {
	var names []string
	for _, o := range s.catalog.Packages {
		names = append(names, o.Package.Name)
	}
	slices.Sort(names)
	return names, s.fail
}

func (s *store) offer(name string) (resolver.Offer, bool) {
	for _, o := range s.catalog.Packages {
		if o.Package.Name == name {
			return o, true
		}
	}
	return resolver.Offer{}, false
}

func (s *store) Package(_ context.Context, name string) (registry.Package, error) {
	s.read = append(s.read, name)
	o, ok := s.offer(name)
	if !ok {
		return registry.Package{}, failure.New(failure.NotFound, "no package %q", name)
	}
	return o.Package, s.fail
}

func (s *store) Bundles(_ context.Context, name string) iter.Seq2[registry.Bundle, error] {
	return func(yield func(registry.Bundle, error) bool) {
		o, _ := s.offer(name)
		for _, b := range o.Bundles {
			if !yield(b, s.fail) {
				return
			}
		}
	}
}

func (s *store) Bundle(context.Context, string, string) (registry.Bundle, error) {
	return registry.Bundle{}, errors.New("a resolve reads no content")
}

func (s *store) Providers(_ context.Context, api registry.GVK) ([]registry.Member, error) {
	var members []registry.Member
	for _, o := range s.catalog.Packages {
		for _, ch := range o.Package.Channels {
			for _, e := range ch.Entries {
				i := slices.IndexFunc(o.Bundles, func(b registry.Bundle) bool { return b.Name == e.Name })
				if i >= 0 && slices.Contains(constraint.Read(&o.Bundles[i]).APIs, api) {
					members = append(members, registry.Member{Package: o.Package.Name, Channel: ch.Name, Entry: e})
				}
			}
		}
	}
	return members, s.fail
}

func (s *store) Blobs(context.Context, string, string) ([]registry.Blob, error) { return nil, nil }

// offered returns a catalog in which a requires B, b provides it and requires
// package c, and d has nothing to do with them.
func offered() resolver.Catalog {
	return catalogYAML{Packages: map[string]packageYAML{
		"a": {Channels: map[string][]string{"x": {"a.v1"}}, Bundles: map[string]bundleYAML{"a.v1": {Requires: []string{"B"}}}},
		"b": {Channels: map[string][]string{"x": {"b.v1"}}, Bundles: map[string]bundleYAML{"b.v1": {Provides: []string{"B"}, Requires: []string{"package c >=1.0.0"}}}},
		"c": {Channels: map[string][]string{"x": {"c.v1"}}},
		"d": {Channels: map[string][]string{"x": {"d.v1"}}, Bundles: map[string]bundleYAML{"d.v1": {Requires: []string{"label everything"}}}},
	}}.catalog(refOf("main"))
}

func TestGatherReadsWhatIsNeeded(t *testing.T) {
	s := &store{catalog: offered(), digest: "sha256:1"}
	sources := []resolver.Source{{Ref: refOf("main"), Priority: 7, Store: s}}
	cache := resolver.NewCache(0)
	tests := []struct {
		name, pkg   string
		want, reads []string
	}{
		{"a package with dependencies", "a", []string{"a", "b", "c"}, []string{"a", "b", "c"}},
		{"again", "a", []string{"a", "b", "c"}, nil},
		{"what is part of it", "b", []string{"b", "c"}, nil},
		{"a name that is nearly right", "cc", []string{"c"}, nil},
		{"a label can be anywhere", "d", []string{"a", "b", "c", "d"}, []string{"d"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.read = nil
			p, err := cache.Gather(t.Context(), sources, resolver.Problem{
				Namespace: namespace, Subscriptions: []resolver.Subscription{{Name: "s", Package: tt.pkg, Catalog: refOf("main")}},
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range p.Catalogs[0].Packages {
				got = append(got, o.Package.Name)
			}
			if diff := gocmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Packages (-want +got):\n%s", diff)
			}
			if diff := gocmp.Diff(tt.reads, s.read); diff != "" {
				t.Errorf("read from the store (-want +got):\n%s", diff)
			}
			if diff := gocmp.Diff([]string{"a", "b", "c", "d"}, p.Catalogs[0].Names); diff != "" {
				t.Errorf("Names (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGatherForgetsWhenFull(t *testing.T) {
	s := &store{catalog: offered(), digest: "sha256:1"}
	cache := resolver.NewCache(1)
	for range 2 {
		_, err := cache.Gather(t.Context(), []resolver.Source{{Ref: refOf("main"), Store: s}},
			resolver.Problem{Subscriptions: []resolver.Subscription{{Name: "s", Package: "a"}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.read); n != 6 {
		t.Errorf("read %d packages in two rounds, want 6", n)
	}
}

// TestGatherWithoutACatalog checks that a source that fails is a catalog that
// is unavailable, and that the other one serves.
func TestGatherWithoutACatalog(t *testing.T) {
	good := &store{catalog: offered(), digest: "sha256:1"}
	sources := []resolver.Source{
		{Ref: refOf("broken"), Store: &store{digest: "sha256:2", fail: errors.New("disk gone")}},
		{Ref: refOf("down"), Unavailable: "no connection"},
		{Ref: refOf("main"), Store: good},
	}
	p, err := resolver.Gather(t.Context(), sources, resolver.Problem{
		Namespace: namespace, Subscriptions: []resolver.Subscription{{Name: "s", Package: "a", Catalog: refOf("main")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(p.Catalogs, func(a, b resolver.Catalog) int { return cmp.Compare(a.Ref.Name, b.Ref.Name) })
	var got []string
	for _, c := range p.Catalogs {
		got = append(got, c.Unavailable)
	}
	if diff := gocmp.Diff([]string{"its content cannot be read: disk gone", "no connection", ""}, got); diff != "" {
		t.Errorf("Unavailable (-want +got):\n%s", diff)
	}
	s, err := resolver.Resolve(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if u := s.Components[0].Unsolvable; u != nil {
		t.Errorf("Resolve() = %v, want a solution from the catalog that serves", u.Reasons)
	}
}
