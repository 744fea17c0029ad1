package storetest

import (
	"encoding/json"
	"fmt"
	"strings"

	"chandler.dev/olm/pkg/registry"
)

const (
	etcdGroup   = "etcd.database.coreos.com"
	etcdVersion = "v1beta2"
)

// EtcdCluster is the API that every etcd bundle of F1 provides.
var EtcdCluster = registry.GVK{Group: etcdGroup, Version: etcdVersion, Kind: "EtcdCluster"}

// F1 is a catalog of three packages that share versions between channels. Its
// etcd 0.9.2 has an image and manifests and skips a version that does not exist.
func F1() registry.Catalog {
	var c registry.Catalog
	c = append(c, etcd()...)
	c = append(c, prometheus()...)
	return append(c, strimzi()...)
}

func etcd() registry.Catalog {
	name := func(v string) string { return "etcdoperator.v" + v }
	entries := []registry.Entry{
		{Name: name("0.6.1")},
		{Name: name("0.9.0"), Replaces: name("0.6.1")},
		{Name: name("0.9.2"), Replaces: name("0.9.0"), Skips: []string{name("0.9.1")}, SkipRange: "< 0.6.0"},
	}
	var c registry.Catalog
	for _, v := range []string{"0.6.1", "0.9.0"} {
		c = append(c, bundle(Image("etcd", name(v), v, gvk(registry.PropertyGVK, "EtcdCluster"))))
	}
	head := Image("etcd", name("0.9.2"), "0.9.2",
		gvk(registry.PropertyGVK, "EtcdBackup"), gvk(registry.PropertyGVK, "EtcdCluster"), gvk(registry.PropertyGVK, "EtcdRestore"),
		gvk(registry.PropertyGVKRequired, "EtcdCluster"),
		property(registry.PropertyLabel, `{"label":"testlabel"}`), property(registry.PropertyLabel, `{"label":"testlabel1"}`),
		property("other", `{"its":"notdefined"}`))
	head.Content = manifests(name("0.9.2"), "EtcdBackup", "EtcdCluster", "EtcdRestore")
	c = append(c, bundle(head))
	return append(c, registry.Item{Package: &registry.Package{
		Name: "etcd", DefaultChannel: "alpha",
		Channels: []registry.Channel{
			{Name: "alpha", Entries: entries, Head: name("0.9.2")},
			{Name: "beta", Entries: entries[:2], Head: name("0.9.0")},
			{Name: "stable", Entries: entries, Head: name("0.9.2")},
		},
	}})
}

func prometheus() registry.Catalog {
	c, channel := chain("prometheus", "preview", "prometheusoperator.", "0.14.0", "0.15.0", "0.22.2")
	return append(c, registry.Item{Package: &registry.Package{
		Name: "prometheus", DefaultChannel: "preview", Channels: []registry.Channel{channel},
	}})
}

func strimzi() registry.Catalog {
	const pkg, prefix = "strimzi-kafka-operator", "strimzi-cluster-operator.v"
	versions := []string{"0.11.0", "0.11.1", "0.12.1", "0.12.2"}
	c, alpha := chain(pkg, "alpha", prefix, versions...)
	_, beta := chain(pkg, "beta", prefix, versions[:3]...)
	_, stable := chain(pkg, "stable", prefix, versions[:2]...)
	return append(c, registry.Item{Package: &registry.Package{
		Name: pkg, DefaultChannel: "stable", Channels: []registry.Channel{alpha, beta, stable},
	}})
}

// F2 is a catalog with deprecations of a package, a channel and a bundle.
func F2() registry.Catalog {
	const pkg, prefix = "cockroachdb", "cockroachdb.v"
	c, old := chain(pkg, "stable-5.x", prefix, "5.0.3", "5.0.4")
	old.Deprecation = "channel stable-5.x is no longer supported\n"
	next, current := chain(pkg, "stable-v6.x", prefix, "6.0.0")
	c[0].Bundle.Deprecation = "cockroachdb.v5.0.3 is no longer supported\n"
	c = append(c, next...)
	return append(c, registry.Item{Package: &registry.Package{
		Name: pkg, DefaultChannel: "stable-v6.x", Deprecation: "package cockroachdb is no longer maintained\n",
		Channels: []registry.Channel{old, current},
	}})
}

// F3 is an etcd whose channels have different heads.
func F3() registry.Catalog {
	name := func(v string) string { return "etcdoperator.v" + v }
	var c registry.Catalog
	for _, v := range []string{"0.9.0", "0.9.2", "0.9.2-clusterwide", "0.9.4", "0.9.4-clusterwide"} {
		c = append(c, bundle(Image("etcd", name(v), v, gvk(registry.PropertyGVK, "EtcdBackup"))))
	}
	const community = "etcdoperator-community.v0.6.1"
	c = append(c, bundle(Image("etcd", community, "0.6.1", gvk(registry.PropertyGVK, "EtcdCluster"))))
	return append(c, registry.Item{Package: &registry.Package{
		Name: "etcd", DefaultChannel: "singlenamespace-alpha",
		Channels: []registry.Channel{
			{Name: "alpha", Head: community, Entries: []registry.Entry{{Name: community}}},
			{Name: "clusterwide-alpha", Head: name("0.9.4-clusterwide"), Entries: []registry.Entry{
				{Name: name("0.9.0")},
				{Name: name("0.9.2-clusterwide"), Replaces: name("0.9.0")},
				{Name: name("0.9.4-clusterwide"), Replaces: name("0.9.2-clusterwide")},
			}},
			{Name: "singlenamespace-alpha", Head: name("0.9.4"), Entries: []registry.Entry{
				{Name: name("0.9.0")},
				{Name: name("0.9.2"), Replaces: name("0.9.0")},
				{Name: name("0.9.4"), Replaces: name("0.9.2")},
			}},
		},
	}})
}

// F4 is a catalog with items of other schemas, with and without a package.
func F4() registry.Catalog {
	c, channel := chain("testpkg", "stable", "testpkg.v", "1.0.0")
	c = append(c, registry.Item{Package: &registry.Package{Name: "testpkg", DefaultChannel: "stable", Channels: []registry.Channel{channel}}})
	for _, b := range []registry.Blob{
		{Schema: "custom.operator.io", Package: "testpkg", Name: "one", JSON: json.RawMessage(`{"name":"one","package":"testpkg","schema":"custom.operator.io"}`)},
		{Schema: "custom.operator.io", Package: "testpkg", Name: "two", JSON: json.RawMessage(`{"name":"two","package":"testpkg","schema":"custom.operator.io"}`)},
		{Schema: "custom.packageless", Name: "global-config", JSON: json.RawMessage(`{"name":"global-config","schema":"custom.packageless"}`)},
	} {
		c = append(c, registry.Item{Blob: &b})
	}
	return c
}

// Image returns a bundle whose manifests are in an image.
func Image(pkg, name, version string, properties ...registry.Property) registry.Bundle {
	return registry.Bundle{
		Package: pkg, Name: name, Version: version, Image: "fake/" + pkg + ":v" + version,
		Properties: append([]registry.Property{Identity(pkg, version)}, properties...),
	}
}

// Inline returns a bundle without an image.
func Inline(pkg, name, version string, properties ...registry.Property) registry.Bundle {
	b := Image(pkg, name, version, properties...)
	b.Image = ""
	b.Content = manifests(name, "Thing")
	return b
}

// Identity returns the property olm.package.
func Identity(pkg, version string) registry.Property {
	return property(registry.PropertyPackage, fmt.Sprintf(`{"packageName":%q,"version":%q}`, pkg, version))
}

// chain returns bundles of which each replaces the one before, and their channel.
func chain(pkg, channel, prefix string, versions ...string) (registry.Catalog, registry.Channel) {
	var c registry.Catalog
	ch := registry.Channel{Name: channel}
	for _, v := range versions {
		c = append(c, bundle(Image(pkg, prefix+v, v)))
		ch.Entries = append(ch.Entries, registry.Entry{Name: prefix + v, Replaces: ch.Head})
		ch.Head = prefix + v
	}
	return c, ch
}

func bundle(b registry.Bundle) registry.Item { return registry.Item{Bundle: &b} }

func property(kind, value string) registry.Property {
	return registry.Property{Type: kind, Value: json.RawMessage(value)}
}

func gvk(kind, api string) registry.Property {
	return property(kind, fmt.Sprintf(`{"group":%q,"kind":%q,"version":%q}`, etcdGroup, api, etcdVersion))
}

// manifests returns a ClusterServiceVersion and old CustomResourceDefinitions.
func manifests(name string, kinds ...string) registry.Content {
	csv := fmt.Appendf(nil, `{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","metadata":{"name":%q},`+
		`"spec":{"install":{"spec":{"deployments":[{"name":"op"}]},"strategy":"deployment"}}}`, name)
	c := registry.Content{CSV: csv, Objects: [][]byte{csv}}
	for _, kind := range kinds {
		c.Objects = append(c.Objects, fmt.Appendf(nil,
			`{"apiVersion":"apiextensions.k8s.io/v1beta1","kind":"CustomResourceDefinition","metadata":{"name":"%ss.%s"}}`,
			strings.ToLower(kind), etcdGroup))
	}
	return c
}
