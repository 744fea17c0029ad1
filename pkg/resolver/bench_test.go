package resolver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/resolver"
)

// metadata is about as long as what real bundles carry for user interfaces.
var metadata, _ = json.Marshal(map[string]string{"description": strings.Repeat("An operator. ", 250), "minKubeVersion": "1.25.0"})

// bigCatalog makes a catalog of packages with 21 versions each, the shape of
// the community catalog: seven APIs per bundle, one of ten packages requiring
// an API of the package after it and another package.
func bigCatalog(name string, packages int) resolver.Catalog {
	c := resolver.Catalog{Ref: refOf(name)}
	for i := range packages {
		c.Packages = append(c.Packages, bigOffer(name, i))
	}
	return c
}

func bigOffer(catalog string, i int) resolver.Offer {
	pkg := fmt.Sprintf("%s-%04d", catalog, i)
	o := resolver.Offer{Package: registry.Package{Name: pkg, DefaultChannel: "stable"}}
	ch := registry.Channel{Name: "stable"}
	for v := range 21 {
		version := fmt.Sprintf("1.%d.0", v)
		b := registry.Bundle{Package: pkg, Name: pkg + ".v" + version, Version: version}
		add := func(kind string, value any) {
			raw, _ := json.Marshal(value)
			b.Properties = append(b.Properties, registry.Property{Type: kind, Value: raw})
		}
		add("olm.package", map[string]string{"packageName": pkg, "version": version})
		for k := range 7 {
			add("olm.gvk", gvkValue(fmt.Sprintf("Kind%d.v1.%s.example.com", k, pkg)))
		}
		if i%10 == 0 {
			add("olm.gvk.required", gvkValue(fmt.Sprintf("Kind0.v1.%s-%04d.example.com", catalog, i+1)))
			add("olm.package.required", map[string]string{"packageName": fmt.Sprintf("%s-%04d", catalog, i+2), "versionRange": ">=1.3.0"})
		}
		b.Properties = append(b.Properties, registry.Property{Type: "olm.csv.metadata", Value: metadata})
		e := registry.Entry{Name: b.Name}
		if v > 0 {
			e.Replaces = fmt.Sprintf("%s.v1.%d.0", pkg, v-1)
		}
		ch.Entries = append(ch.Entries, e)
		ch.Head = b.Name
		o.Bundles = append(o.Bundles, b)
	}
	o.Package.Channels = []registry.Channel{ch}
	return o
}

func subscriptionTo(catalog string, i int) resolver.Subscription {
	pkg := fmt.Sprintf("%s-%04d", catalog, i)
	return resolver.Subscription{Name: pkg, Package: pkg, Catalog: refOf(catalog), Channel: "stable"}
}

// mustSolve resolves and checks that everything is solved.
func mustSolve(b *testing.B, p resolver.Problem) {
	b.Helper()
	s, err := resolver.Resolve(b.Context(), p)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range s.Components {
		if c.Unsolvable != nil {
			b.Fatal(c.Unsolvable.Reasons)
		}
	}
}

// cpuTime reports, when the result is called, the processor time per round
// since. Unlike the time that passes it does not depend on what else runs.
func cpuTime(b *testing.B) func() {
	b.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := used()
	return func() { b.ReportMetric(float64((used()-start).Microseconds())/1000/float64(b.N), "cpu-ms/op") }
}

// BenchmarkOneSubscription is one subscription with two dependencies against
// a catalog of 7,000 bundles: the whole in memory, and read from a file.
func BenchmarkOneSubscription(b *testing.B) {
	catalog := bigCatalog("main", 333)
	p := resolver.Problem{Namespace: namespace, Cluster: resolver.Cluster{KubeVersion: "1.36.3"}, Subscriptions: []resolver.Subscription{subscriptionTo("main", 10)}}
	b.Run("whole catalog in memory", func(b *testing.B) {
		whole := p
		whole.Catalogs = []resolver.Catalog{catalog}
		b.ReportAllocs()
		cpu := cpuTime(b)
		for b.Loop() {
			mustSolve(b, whole)
		}
		cpu()
	})
	sources := []resolver.Source{{Ref: refOf("main"), Store: fileStore(b, catalog)}}
	b.Run("file read for the first time", func(b *testing.B) {
		b.ReportAllocs()
		cpu := cpuTime(b)
		for b.Loop() {
			gatherAndSolve(b, resolver.NewCache(0), sources, p)
		}
		cpu()
	})
	b.Run("file read before", func(b *testing.B) {
		cache := resolver.NewCache(0)
		gatherAndSolve(b, cache, sources, p)
		b.ReportAllocs()
		cpu := cpuTime(b)
		for b.Loop() {
			gatherAndSolve(b, cache, sources, p)
		}
		cpu()
	})
}

func gatherAndSolve(b *testing.B, cache *resolver.Cache, sources []resolver.Source, p resolver.Problem) {
	b.Helper()
	gathered, err := cache.Gather(b.Context(), sources, p)
	if err != nil {
		b.Fatal(err)
	}
	mustSolve(b, gathered)
}

// fileStore writes a catalog to a SQLite file and opens it.
func fileStore(b *testing.B, c resolver.Catalog) registry.Store {
	b.Helper()
	ctx := context.Background()
	path := filepath.Join(b.TempDir(), "catalog.db")
	if err := sqlite.Create(ctx, path, items{c}); err != nil {
		b.Fatal(err)
	}
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// items is a catalog as a source.
type items struct{ resolver.Catalog }

func (s items) Items(context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		for _, o := range s.Packages {
			if !yield(registry.Item{Package: &o.Package}, nil) {
				return
			}
			for _, b := range o.Bundles {
				if !yield(registry.Item{Bundle: &b}, nil) {
					return
				}
			}
		}
	}
}

// BenchmarkNamespace is 500 subscriptions, a tenth with dependencies, against
// four catalogs of 7,000 bundles.
func BenchmarkNamespace(b *testing.B) {
	p := resolver.Problem{Namespace: namespace, Cluster: resolver.Cluster{KubeVersion: "1.36.3"}}
	var sources []resolver.Source
	for _, name := range []string{"c0", "c1", "c2", "c3"} {
		c := bigCatalog(name, 333)
		p.Catalogs = append(p.Catalogs, c)
		sources = append(sources, resolver.Source{Ref: refOf(name), Store: &store{catalog: c, digest: name}})
		for i := range 125 {
			p.Subscriptions = append(p.Subscriptions, subscriptionTo(name, 2*i))
		}
	}
	b.Run("whole catalogs in memory", func(b *testing.B) {
		b.ReportAllocs()
		cpu := cpuTime(b)
		for b.Loop() {
			mustSolve(b, p)
		}
		cpu()
	})
	b.Run("gathered before", func(b *testing.B) {
		cache := resolver.NewCache(1 << 30)
		gatherAndSolve(b, cache, sources, p)
		b.ReportAllocs()
		cpu := cpuTime(b)
		for b.Loop() {
			gatherAndSolve(b, cache, sources, p)
		}
		cpu()
	})
}

// chainProblem is a chain of packages of which every version requires the next
// package, and the last one what nobody has.
func chainProblem(packages, versions int) resolver.Problem {
	yaml := catalogYAML{Packages: map[string]packageYAML{}}
	for i := range packages {
		pkg := fmt.Sprintf("p%02d", i)
		x := packageYAML{Channels: map[string][]string{}, Bundles: map[string]bundleYAML{}}
		for v := versions; v > 0; v-- {
			name := fmt.Sprintf("%s.v%d", pkg, v)
			line := name
			if v > 1 {
				line += fmt.Sprintf(" -> %s.v%d", pkg, v-1)
			}
			x.Channels["stable"] = append(x.Channels["stable"], line)
			need := fmt.Sprintf("package p%02d >=%d.0.0", i+1, max(1, v-1))
			if i == packages-1 {
				need = "package p00 <1.0.0"
			}
			x.Bundles[name] = bundleYAML{Requires: []string{need}}
		}
		yaml.Packages[pkg] = x
	}
	return resolver.Problem{
		Namespace: namespace, Catalogs: []resolver.Catalog{yaml.catalog(refOf("main"))},
		Subscriptions: []resolver.Subscription{{Name: "root", Package: "p00", Catalog: refOf("main")}},
	}
}

// BenchmarkConflictAtTheEnd is a chain 50 packages deep with 40 versions each.
func BenchmarkConflictAtTheEnd(b *testing.B) {
	p := chainProblem(50, 40)
	b.ReportAllocs()
	cpu := cpuTime(b)
	for b.Loop() {
		s, err := resolver.Resolve(b.Context(), p)
		if err != nil {
			b.Fatal(err)
		}
		if u := s.Components[0].Unsolvable; u == nil || len(u.Reasons) < 50 {
			b.Fatal("no explanation")
		}
	}
	cpu()
}

// BenchmarkGrowth is one subscription against catalogs of growing size.
func BenchmarkGrowth(b *testing.B) {
	for _, packages := range []int{33, 333, 1333, 2666} {
		c := bigCatalog("main", packages)
		p := resolver.Problem{Namespace: namespace, Subscriptions: []resolver.Subscription{subscriptionTo("main", 10)}}
		sources := []resolver.Source{{Ref: refOf("main"), Store: fileStore(b, c)}}
		cache := resolver.NewCache(0)
		gatherAndSolve(b, cache, sources, p)
		b.Run(fmt.Sprintf("bundles=%d", packages*21), func(b *testing.B) {
			b.ReportAllocs()
			cpu := cpuTime(b)
			for b.Loop() {
				gatherAndSolve(b, cache, sources, p)
			}
			cpu()
		})
	}
}

// BenchmarkAllUnsolvable is a namespace in which each of 200 subscriptions
// needs what nobody has, so that cures are looked for 200 times.
func BenchmarkAllUnsolvable(b *testing.B) {
	c := bigCatalog("main", 333)
	p := resolver.Problem{Namespace: namespace, Cluster: resolver.Cluster{KubeVersion: "1.36.3"}, Catalogs: []resolver.Catalog{c}}
	for i := range 200 {
		for k := range c.Packages[i].Bundles {
			x := &c.Packages[i].Bundles[k]
			raw, _ := json.Marshal(gvkValue(fmt.Sprintf("Missing.v1.%d.example.com", i)))
			x.Properties = append(x.Properties, registry.Property{Type: "olm.gvk.required", Value: raw})
		}
		p.Subscriptions = append(p.Subscriptions, subscriptionTo("main", i))
	}
	b.ReportAllocs()
	cpu := cpuTime(b)
	for b.Loop() {
		s, err := resolver.Resolve(b.Context(), p)
		if err != nil {
			b.Fatal(err)
		}
		for _, x := range s.Components {
			if x.Unsolvable == nil {
				b.Fatalf("%v is solved", x.Subscriptions)
			}
		}
	}
	cpu()
}
