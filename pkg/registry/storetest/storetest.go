// Package storetest is the conformance suite of registry.Store: what every
// implementation answers, whatever it keeps the catalog in.
package storetest

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Open returns a store with the content of a source.
type Open func(t *testing.T, src registry.Source) registry.Store

// Run checks what every store carries: what package api has fields for.
func Run(t *testing.T, open Open) {
	t.Run("packages are sorted", func(t *testing.T) {
		got, err := open(t, F1()).Packages(t.Context())
		check(t, "Packages()", []string{"etcd", "prometheus", "strimzi-kafka-operator"}, got, err)
	})
	t.Run("an empty catalog has no packages", func(t *testing.T) {
		got, err := open(t, registry.Catalog{}).Packages(t.Context())
		check(t, "Packages()", []string(nil), got, err)
	})
	t.Run("a package has its channels, entries and heads", func(t *testing.T) {
		testPackages(t, open(t, F1()), F1())
		testPackages(t, open(t, F2()), F2())
		testPackages(t, open(t, F3()), F3())
	})
	t.Run("a missing package is NotFound", func(t *testing.T) {
		_, err := open(t, F1()).Package(t.Context(), "nope")
		checkNotFound(t, err)
	})
	t.Run("bundles are listed without content", func(t *testing.T) { testBundles(t, open(t, F1()), F1()) })
	t.Run("deprecations of bundles are listed", func(t *testing.T) { testBundles(t, open(t, F2()), F2()) })
	t.Run("an unknown package has no bundles", func(t *testing.T) {
		for b, err := range open(t, F1()).Bundles(t.Context(), "nope") {
			t.Errorf("Bundles() yields %v, %v", b, err)
		}
	})
	t.Run("a bundle has its content", func(t *testing.T) { testBundle(t, open(t, F1()), F1()) })
	t.Run("a bundle without an image has its content", func(t *testing.T) { testBundle(t, open(t, inline()), inline()) })
	t.Run("a bundle in an image has its metadata", func(t *testing.T) { testBundle(t, open(t, summarized()), summarized()) })
	t.Run("a missing bundle is NotFound", func(t *testing.T) {
		store := open(t, F1())
		_, err := store.Bundle(t.Context(), "etcd", "nope")
		checkNotFound(t, err)
		_, err = store.Bundle(t.Context(), "nope", "nope")
		checkNotFound(t, err)
	})
	t.Run("every entry that provides an API is found", func(t *testing.T) { testProviders(t, open(t, F1())) })
	t.Run("items of other schemas are found by schema and package", func(t *testing.T) { testBlobs(t, open(t, F4())) })
	t.Run("other content has another digest", func(t *testing.T) { testDigest(t, open) })
}

// RunWhole checks stores that keep everything and can give it back.
func RunWhole(t *testing.T, open Open) {
	whole := F4()
	for _, item := range whole {
		if b := item.Bundle; b != nil {
			b.RelatedImages = []registry.RelatedImage{{Name: "op", Image: "fake/op:v1"}, {Image: "fake/other:v1"}}
		}
		if p := item.Package; p != nil {
			p.Description, p.Icon = "a *test*", &registry.Icon{Data: []byte{1, 2, 3}, MediaType: "image/png"}
			p.Properties = []registry.Property{property("p", `1`)}
			p.Channels[0].Properties = []registry.Property{property("c", `"x"`)}
		}
	}
	t.Run("what goes in comes out", func(t *testing.T) {
		for _, want := range []registry.Catalog{F1(), F2(), F3(), whole, inline(), summarized()} {
			src, ok := open(t, want).(registry.Source)
			if !ok {
				t.Fatal("the store is no registry.Source")
			}
			if diff := cmp.Diff(itemsOf(t, want), itemsOf(t, src), options...); diff != "" {
				t.Errorf("Items() (-want +got):\n%s", diff)
			}
		}
	})
	t.Run("a deprecation may come after its bundle", func(t *testing.T) {
		late := F2()
		late[0].Bundle.Deprecation = ""
		late[len(late)-1].Deprecations = map[string]string{late[0].Bundle.Name: F2()[0].Bundle.Deprecation}
		testBundle(t, open(t, late), F2())
		got, err := open(t, late).Digest(t.Context())
		want, _ := open(t, F2()).Digest(t.Context())
		check(t, "Digest()", want, got, err)
	})
	t.Run("a bundle may be dropped after it came", func(t *testing.T) {
		dropped := F2()
		dropped = slices.Insert(dropped, 0, bundle(Image("cockroachdb", "cockroachdb.v9.9.9", "9.9.9", gvk(registry.PropertyGVK, "EtcdCluster"))))
		dropped[len(dropped)-1].Dropped = []string{"cockroachdb.v9.9.9"}
		store := open(t, dropped)
		testBundles(t, store, F2())
		got, err := store.Digest(t.Context())
		want, _ := open(t, F2()).Digest(t.Context())
		check(t, "Digest()", want, got, err)
	})
	t.Run("the digest is that of the items", func(t *testing.T) {
		d := registry.NewDigester()
		for _, item := range whole {
			d.Add(item, registry.SumOf(item))
		}
		got, err := open(t, whole).Digest(t.Context())
		check(t, "Digest()", d.Digest(), got, err)
	})
}

var options = []cmp.Option{cmpopts.EquateEmpty()}

// itemsOf returns the items of a source by what they are.
func itemsOf(t *testing.T, src registry.Source) map[string]registry.Item {
	t.Helper()
	all := map[string]registry.Item{}
	for item, err := range src.Items(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case item.Bundle != nil:
			all["bundle "+item.Bundle.Package+" "+item.Bundle.Name] = item
		case item.Package != nil:
			all["package "+item.Package.Name] = item
		default:
			all["blob "+item.Blob.Schema+" "+item.Blob.Package+" "+item.Blob.Name] = item
		}
	}
	return all
}

func testPackages(t *testing.T, store registry.Store, c registry.Catalog) {
	for _, item := range c {
		if item.Package != nil {
			got, err := store.Package(t.Context(), item.Package.Name)
			check(t, "Package()", *item.Package, got, err)
		}
	}
}

func testBundles(t *testing.T, store registry.Store, c registry.Catalog) {
	want := map[string][]registry.Bundle{}
	for _, item := range c {
		if item.Bundle != nil {
			b := *item.Bundle
			b.Content = registry.Content{}
			want[b.Package] = append(want[b.Package], b)
		}
	}
	for pkg, bundles := range want {
		var got []registry.Bundle
		for b, err := range store.Bundles(t.Context(), pkg) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b)
		}
		check(t, "Bundles()", bundles, got, nil)
	}
}

func testBundle(t *testing.T, store registry.Store, c registry.Catalog) {
	for _, item := range c {
		if item.Bundle != nil {
			got, err := store.Bundle(t.Context(), item.Bundle.Package, item.Bundle.Name)
			check(t, "Bundle()", *item.Bundle, got, err)
		}
	}
}

func testProviders(t *testing.T, store registry.Store) {
	got, err := store.Providers(t.Context(), EtcdCluster)
	var names []string
	for _, m := range got {
		names = append(names, m.Package+" "+m.Channel+" "+m.Name+" "+m.Replaces)
	}
	check(t, "Providers()", []string{
		"etcd alpha etcdoperator.v0.6.1 ", "etcd alpha etcdoperator.v0.9.0 etcdoperator.v0.6.1", "etcd alpha etcdoperator.v0.9.2 etcdoperator.v0.9.0",
		"etcd beta etcdoperator.v0.6.1 ", "etcd beta etcdoperator.v0.9.0 etcdoperator.v0.6.1",
		"etcd stable etcdoperator.v0.6.1 ", "etcd stable etcdoperator.v0.9.0 etcdoperator.v0.6.1", "etcd stable etcdoperator.v0.9.2 etcdoperator.v0.9.0",
	}, names, err)
	if len(got) > 2 {
		check(t, "Providers()", []string{"etcdoperator.v0.9.1"}, got[2].Skips, nil)
	}
	got, err = store.Providers(t.Context(), registry.GVK{Group: "none", Version: "v1", Kind: "None"})
	check(t, "Providers() of an unknown API", []registry.Member(nil), got, err)
}

func testBlobs(t *testing.T, store registry.Store) {
	for _, test := range []struct {
		schema, pkg string
		want        []string
	}{
		{"custom.operator.io", "testpkg", []string{"one", "two"}},
		{"custom.packageless", "", []string{"global-config"}},
		{"custom.operator.io", "", nil},
		{"custom.operator.io", "nope", nil},
		{"olm.package", "", nil},
	} {
		blobs, err := store.Blobs(t.Context(), test.schema, test.pkg)
		var names []string
		for _, b := range blobs {
			names = append(names, b.Name)
			if !json.Valid(b.JSON) {
				t.Errorf("Blobs() yields invalid JSON %s", b.JSON)
			}
		}
		check(t, "Blobs("+test.schema+", "+test.pkg+")", test.want, names, err)
	}
}

func testDigest(t *testing.T, open Open) {
	digest := func(src registry.Source) string {
		d, err := open(t, src).Digest(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	check(t, "Digest()", digest(F1()), digest(F1()), nil)
	if digest(F1()) == digest(F2()) {
		t.Errorf("two catalogs have the digest %s", digest(F1()))
	}
}

// inline is a catalog without images.
func inline() registry.Catalog {
	const name = "inline.v1.0.0"
	return registry.Catalog{
		bundle(Inline("inline", name, "1.0.0")),
		{Package: &registry.Package{Name: "inline", DefaultChannel: "c", Channels: []registry.Channel{
			{Name: "c", Head: name, Entries: []registry.Entry{{Name: name}}},
		}}},
	}
}

// summarized is a catalog that knows the metadata of a bundle.
func summarized() registry.Catalog {
	const name = "meta.v1.0.0"
	b := Image("meta", name, "1.0.0")
	b.Content.Metadata = json.RawMessage(`{"annotations":{"capabilities":"Basic <Install>"},"apiServiceDefinitions":{},"crdDescriptions":{"owned":[{"kind":"Thing","name":"things.example.com","version":"v1"}]},` +
		`"description":"what it does","displayName":"Meta","installModes":[{"supported":true,"type":"AllNamespaces"}],"provider":{"name":"us"}}`)
	return registry.Catalog{
		bundle(b),
		{Package: &registry.Package{Name: "meta", DefaultChannel: "c", Channels: []registry.Channel{
			{Name: "c", Head: name, Entries: []registry.Entry{{Name: name}}},
		}}},
	}
}

func check(t *testing.T, what string, want, got any, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if diff := cmp.Diff(want, got, options...); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func checkNotFound(t *testing.T, err error) {
	t.Helper()
	if got := failure.KindOf(err); err == nil || got != failure.NotFound {
		t.Errorf("error %v has kind %s, want %s", err, got, failure.NotFound)
	}
}
