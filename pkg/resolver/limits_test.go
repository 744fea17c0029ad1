package resolver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"chandler.dev/olm/pkg/resolver"
)

// pigeons is a problem that is known to be hard for every solver of this kind:
// each of n subscriptions needs one of n-1 providers for itself.
func pigeons(n int) resolver.Problem {
	main := catalogYAML{Packages: map[string]packageYAML{}}
	p := resolver.Problem{Namespace: namespace}
	for i := range n {
		name := fmt.Sprintf("pigeon%02d", i)
		var holes []map[string]any
		for j := range n - 1 {
			hole := fmt.Sprintf("In%02dx%02d", i, j)
			holes = append(holes, map[string]any{"gvk": gvkValue(hole)})
			provider := fmt.Sprintf("hole%02dx%02d", j, i)
			// All providers of hole j bring the same API, so that only one pigeon sits in it.
			main.Packages[provider] = packageYAML{
				Channels: map[string][]string{"x": {provider + ".v1"}},
				Bundles:  map[string]bundleYAML{provider + ".v1": {Provides: []string{hole, fmt.Sprintf("Hole%02d", j)}}},
			}
		}
		raw, _ := json.Marshal(map[string]any{"any": map[string]any{"constraints": holes}})
		main.Packages[name] = packageYAML{
			Channels: map[string][]string{"x": {name + ".v1"}},
			Bundles:  map[string]bundleYAML{name + ".v1": {Constraints: []json.RawMessage{raw}}},
		}
		p.Subscriptions = append(p.Subscriptions, resolver.Subscription{Name: name, Package: name, Catalog: refOf("main")})
	}
	main.Packages["zebra"] = packageYAML{Channels: map[string][]string{"x": {"zebra.v1"}}}
	p.Catalogs = []resolver.Catalog{main.catalog(refOf("main"))}
	p.Subscriptions = append(p.Subscriptions, resolver.Subscription{Name: "zebra", Package: "zebra", Catalog: refOf("main")})
	return p
}

func TestTooHardEndsInTime(t *testing.T) {
	tests := map[string]struct {
		limit, deadline time.Duration
	}{
		"by the limit of the problem":    {100 * time.Millisecond, time.Hour},
		"by the deadline of the context": {time.Hour, 3 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
			defer cancel()
			p := pigeons(14)
			p.Limits.Time = tt.limit
			start := time.Now()
			s, err := resolver.Resolve(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("Resolve() took %s", took)
			}
			if n := len(s.Components); n != 2 {
				t.Fatalf("%d components, want 2", n)
			}
			if u := s.Components[0].Unsolvable; u == nil || !u.Exhausted || len(s.Components[0].Subscriptions) != 14 {
				t.Errorf("the hard component: %+v, want Exhausted", s.Components[0])
			}
			zebra := s.Components[1]
			if zebra.Unsolvable != nil || len(zebra.Selections) != 1 || !slices.Equal(zebra.Subscriptions, []string{"zebra"}) {
				t.Errorf("the other component: %+v, want its selection", zebra)
			}
		})
	}
}

// TestAlmostTooHard finds the reason in a problem of the kind that is small.
func TestAlmostTooHard(t *testing.T) {
	s, err := resolver.Resolve(t.Context(), pigeons(6))
	if err != nil {
		t.Fatal(err)
	}
	u := s.Components[0].Unsolvable
	if u == nil || u.Exhausted || len(u.Cures) == 0 {
		t.Fatalf("%+v, want reasons and a cure", s.Components[0])
	}
}
