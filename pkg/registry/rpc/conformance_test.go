package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/rpc"
	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/registry/storetest"
	api "chandler.dev/olm/proto"
)

// stores are the implementations whose answers must be equal.
var stores = map[string]storetest.Open{
	"memory": storeOf,
	"sqlite": func(t *testing.T, src registry.Source) registry.Store {
		t.Helper()
		path := filepath.Join(t.TempDir(), "catalog.db")
		if err := sqlite.Create(t.Context(), path, src); err != nil {
			t.Fatal(err)
		}
		store, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	},
}

func served(t *testing.T, open storetest.Open, src registry.Source) *grpc.ClientConn {
	t.Helper()
	hosts := rpc.NewHosts()
	if err := hosts.Swap(t.Context(), "", open(t, src), nil); err != nil {
		t.Fatal(err)
	}
	return dial(t, hosts)
}

// lines receives a stream, each message in words; the error is the last line.
func lines[T any](stream grpc.ServerStreamingClient[T], err error, words func(*T) string) string {
	var all []string
	for err == nil {
		var msg *T
		if msg, err = stream.Recv(); err == nil {
			all = append(all, words(msg))
		}
	}
	if !errors.Is(err, io.EOF) {
		all = append(all, status.Code(err).String()+": "+status.Convert(err).Message())
	}
	return strings.Join(all, "\n")
}

// one is a unary answer in words.
func one[T any](msg *T, err error, words func(*T) string) string {
	if err != nil {
		return status.Code(err).String() + ": " + status.Convert(err).Message()
	}
	return words(msg)
}

func entryWords(e *api.ChannelEntry) string {
	return strings.Join([]string{e.GetPackageName(), e.GetChannelName(), e.GetBundleName(), e.GetReplaces()}, " ")
}

func bundleWords(b *api.Bundle) string {
	return fmt.Sprintf("%s %s %s replaces=%s skips=%v range=%s objects=%d csv=%t", b.GetPackageName(), b.GetChannelName(), b.GetCsvName(),
		b.GetReplaces(), b.GetSkips(), b.GetSkipRange(), len(b.GetObject()), b.GetCsvJson() != "")
}

func packageWords(p *api.Package) string {
	text := p.GetName() + " default=" + p.GetDefaultChannelName() + deprecated(p.GetDeprecation())
	for _, ch := range p.GetChannels() {
		text += "\n" + ch.GetName() + "→" + ch.GetCsvName() + deprecated(ch.GetDeprecation())
	}
	return text
}

func deprecated(d *api.Deprecation) string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf(" deprecated=%q", d.GetMessage())
}

const etcdV = "etcdoperator.v"

// scenario asks one question and says the answer in words.
type scenario struct {
	catalog registry.Catalog
	ask     func(ctx context.Context, r api.RegistryClient) string
	want    string
}

func scenarios() map[string]scenario {
	listPackages := func(ctx context.Context, r api.RegistryClient) string {
		stream, err := r.ListPackages(ctx, &api.ListPackageRequest{})
		return lines(stream, err, (*api.PackageName).GetName)
	}
	getPackage := func(name string) func(context.Context, api.RegistryClient) string {
		return func(ctx context.Context, r api.RegistryClient) string {
			p, err := r.GetPackage(ctx, &api.GetPackageRequest{Name: name})
			return one(p, err, packageWords)
		}
	}
	getBundle := func(pkg, channel, name string) func(context.Context, api.RegistryClient) string {
		return func(ctx context.Context, r api.RegistryClient) string {
			b, err := r.GetBundle(ctx, &api.GetBundleRequest{PkgName: pkg, ChannelName: channel, CsvName: name})
			return one(b, err, func(b *api.Bundle) string { return bundleWords(b) + deprecated(b.GetDeprecation()) })
		}
	}
	forChannel := func(pkg, channel string) func(context.Context, api.RegistryClient) string {
		return func(ctx context.Context, r api.RegistryClient) string {
			//nolint:staticcheck // deprecated, and still called
			b, err := r.GetBundleForChannel(ctx, &api.GetBundleInChannelRequest{PkgName: pkg, ChannelName: channel})
			return one(b, err, bundleWords)
		}
	}
	thatReplace := func(name string) func(context.Context, api.RegistryClient) string {
		return func(ctx context.Context, r api.RegistryClient) string {
			stream, err := r.GetChannelEntriesThatReplace(ctx, &api.GetAllReplacementsRequest{CsvName: name})
			return lines(stream, err, entryWords)
		}
	}
	bundleThatReplaces := func(name, pkg, channel string) func(context.Context, api.RegistryClient) string {
		return func(ctx context.Context, r api.RegistryClient) string {
			b, err := r.GetBundleThatReplaces(ctx, &api.GetReplacementRequest{CsvName: name, PkgName: pkg, ChannelName: channel})
			return one(b, err, bundleWords)
		}
	}
	provide := func(kind string) func(context.Context, api.RegistryClient) string {
		return func(ctx context.Context, r api.RegistryClient) string {
			stream, err := r.GetChannelEntriesThatProvide(ctx, &api.GetAllProvidersRequest{Group: storetest.EtcdCluster.Group, Version: storetest.EtcdCluster.Version, Kind: kind, Plural: "ignored"})
			return lines(stream, err, entryWords)
		}
	}
	latest := func(kind string) func(context.Context, api.RegistryClient) string {
		return func(ctx context.Context, r api.RegistryClient) string {
			stream, err := r.GetLatestChannelEntriesThatProvide(ctx, &api.GetLatestProvidersRequest{Group: storetest.EtcdCluster.Group, Version: storetest.EtcdCluster.Version, Kind: kind})
			return lines(stream, err, entryWords)
		}
	}
	defaultProvider := func(kind string) func(context.Context, api.RegistryClient) string {
		return func(ctx context.Context, r api.RegistryClient) string {
			b, err := r.GetDefaultBundleThatProvides(ctx, &api.GetDefaultProviderRequest{Group: storetest.EtcdCluster.Group, Version: storetest.EtcdCluster.Version, Kind: kind})
			return one(b, err, bundleWords)
		}
	}
	f1, f2, f3 := storetest.F1(), storetest.F2(), storetest.F3()
	head := "etcd alpha etcdoperator.v0.9.2 replaces= skips=[] range=< 0.6.0 objects=4 csv=true"
	return map[string]scenario{
		"rpc-01 packages are listed":                  {f1, listPackages, "etcd\nprometheus\nstrimzi-kafka-operator"},
		"rpc-02 one package is listed":                {f2, listPackages, "cockroachdb"},
		"rpc-03 an empty catalog lists nothing":       {registry.Catalog{}, listPackages, ""},
		"rpc-04 a package has sorted channels":        {f1, getPackage("etcd"), "etcd default=alpha\nalpha→etcdoperator.v0.9.2\nbeta→etcdoperator.v0.9.0\nstable→etcdoperator.v0.9.2"},
		"rpc-05 a package says what is deprecated":    {f2, getPackage("cockroachdb"), "cockroachdb default=stable-v6.x deprecated=\"package cockroachdb is no longer maintained\\n\"\nstable-5.x→cockroachdb.v5.0.4 deprecated=\"channel stable-5.x is no longer supported\\n\"\nstable-v6.x→cockroachdb.v6.0.0"},
		"rpc-06 an unknown package":                   {f1, getPackage("x"), `NotFound: package "x" not found`},
		"rpc-07 a bundle has its content":             {f1, getBundle("etcd", "alpha", etcdV+"0.9.2"), head},
		"rpc-08 a deprecated bundle":                  {f2, getBundle("cockroachdb", "stable-5.x", "cockroachdb.v5.0.3"), "cockroachdb stable-5.x cockroachdb.v5.0.3 replaces= skips=[] range= objects=0 csv=false deprecated=\"cockroachdb.v5.0.3 is no longer supported\\n\""},
		"rpc-09a a bundle of an unknown package":      {f1, getBundle("x", "alpha", "y"), `NotFound: package "x" not found`},
		"rpc-09b a bundle of an unknown channel":      {f1, getBundle("etcd", "x", "y"), `NotFound: package "etcd", channel "x" not found`},
		"rpc-09c an unknown bundle":                   {f1, getBundle("etcd", "beta", etcdV+"0.9.2"), `NotFound: package "etcd", channel "beta", bundle "etcdoperator.v0.9.2" not found`},
		"rpc-09d a bundle of no channel":              {f1, getBundle("etcd", "", etcdV+"0.9.2"), `NotFound: package "etcd", channel "" not found`},
		"rpc-10 the head of a channel":                {f1, forChannel("etcd", "alpha"), head},
		"rpc-10b the head of an unknown channel":      {f1, forChannel("etcd", "x"), `NotFound: package "etcd", channel "x" not found`},
		"rpc-11 entries that replace":                 {f1, thatReplace(etcdV + "0.6.1"), "etcd alpha etcdoperator.v0.9.0 etcdoperator.v0.6.1\netcd beta etcdoperator.v0.9.0 etcdoperator.v0.6.1\netcd stable etcdoperator.v0.9.0 etcdoperator.v0.6.1"},
		"rpc-12 one entry that replaces":              {f2, thatReplace("cockroachdb.v5.0.3"), "cockroachdb stable-5.x cockroachdb.v5.0.4 cockroachdb.v5.0.3"},
		"rpc-13 different entries replace by channel": {f3, thatReplace(etcdV + "0.9.0"), "etcd clusterwide-alpha etcdoperator.v0.9.2-clusterwide etcdoperator.v0.9.0\netcd singlenamespace-alpha etcdoperator.v0.9.2 etcdoperator.v0.9.0"},
		"rpc-14 an entry that skips says what it replaces": {
			f1, thatReplace(etcdV + "0.9.1"), "etcd alpha etcdoperator.v0.9.2 etcdoperator.v0.9.0\netcd stable etcdoperator.v0.9.2 etcdoperator.v0.9.0",
		},
		"rpc-15 nothing replaces":                        {f1, thatReplace("nope"), "NotFound: no channel entries found that replace nope"},
		"rpc-16 the bundle that replaces":                {f1, bundleThatReplaces(etcdV+"0.9.0", "etcd", "alpha"), head},
		"rpc-17 the bundle that skips what is not there": {f1, bundleThatReplaces(etcdV+"0.9.1", "etcd", "alpha"), head},
		"rpc-18 nothing replaces the head":               {f1, bundleThatReplaces(etcdV+"0.9.2", "etcd", "alpha"), `NotFound: no entry found for package "etcd", channel "alpha"`},
		"rpc-18b nothing replaces in an unknown channel": {f1, bundleThatReplaces(etcdV+"0.9.2", "etcd", "x"), `NotFound: package "etcd", channel "x" not found`},
		"rpc-18c nothing replaces in an unknown package": {f1, bundleThatReplaces(etcdV+"0.9.2", "x", "x"), `NotFound: package x not found`},
		"rpc-19 rpc-25 entries that provide": {
			f1, provide("EtcdCluster"),
			"etcd alpha etcdoperator.v0.6.1 \netcd alpha etcdoperator.v0.9.0 etcdoperator.v0.6.1\netcd alpha etcdoperator.v0.9.2 etcdoperator.v0.9.0\netcd alpha etcdoperator.v0.9.2 etcdoperator.v0.9.1\n" +
				"etcd beta etcdoperator.v0.6.1 \netcd beta etcdoperator.v0.9.0 etcdoperator.v0.6.1\n" +
				"etcd stable etcdoperator.v0.6.1 \netcd stable etcdoperator.v0.9.0 etcdoperator.v0.6.1\netcd stable etcdoperator.v0.9.2 etcdoperator.v0.9.0\netcd stable etcdoperator.v0.9.2 etcdoperator.v0.9.1",
		},
		"rpc-19b nothing provides": {f1, provide("None"), `NotFound: no channel entries found that provide group:"etcd.database.coreos.com" version:"v1beta2" kind:"None"`},
		"rpc-20 heads that provide": {
			f1, latest("EtcdCluster"), "etcd alpha etcdoperator.v0.9.2 etcdoperator.v0.9.0\netcd beta etcdoperator.v0.9.0 etcdoperator.v0.6.1\netcd stable etcdoperator.v0.9.2 etcdoperator.v0.9.0",
		},
		"rpc-21 heads by channel": {
			f3, latest("EtcdBackup"), "etcd clusterwide-alpha etcdoperator.v0.9.4-clusterwide etcdoperator.v0.9.2-clusterwide\netcd singlenamespace-alpha etcdoperator.v0.9.4 etcdoperator.v0.9.2",
		},
		"rpc-22 a head hides older providers":       {hidden(), latest("EtcdCluster"), `NotFound: no channel entries found that provide group:"etcd.database.coreos.com" version:"v1beta2" kind:"EtcdCluster"`},
		"rpc-23 the default provider":               {f1, defaultProvider("EtcdCluster"), head},
		"rpc-24 no default channel provides":        {f3, defaultProvider("EtcdCluster"), `NotFound: no entry found that provides group:"etcd.database.coreos.com" version:"v1beta2" kind:"EtcdCluster"`},
		"rpc-24b nothing provides, by default":      {f1, defaultProvider("None"), `NotFound: no channel entries found that provide group:"etcd.database.coreos.com" version:"v1beta2" kind:"None"`},
		"rpc-26 rpc-27 rpc-29 bundles are listed":   {f1, list, listedF1},
		"rpc-28 a bundle without image has content": {inline(), list, "p c p.v1 replaces= skips=[] range= objects=2 csv=true"},
	}
}

func list(ctx context.Context, r api.RegistryClient) string {
	stream, err := r.ListBundles(ctx, &api.ListBundlesRequest{})
	return lines(stream, err, bundleWords)
}

const listedF1 = `etcd alpha etcdoperator.v0.6.1 replaces= skips=[] range= objects=0 csv=false
etcd alpha etcdoperator.v0.9.0 replaces=etcdoperator.v0.6.1 skips=[] range= objects=0 csv=false
etcd alpha etcdoperator.v0.9.2 replaces=etcdoperator.v0.9.0 skips=[etcdoperator.v0.9.1] range=< 0.6.0 objects=0 csv=false
strimzi-kafka-operator alpha strimzi-cluster-operator.v0.11.0 replaces= skips=[] range= objects=0 csv=false
strimzi-kafka-operator alpha strimzi-cluster-operator.v0.11.1 replaces=strimzi-cluster-operator.v0.11.0 skips=[] range= objects=0 csv=false
strimzi-kafka-operator alpha strimzi-cluster-operator.v0.12.1 replaces=strimzi-cluster-operator.v0.11.1 skips=[] range= objects=0 csv=false
strimzi-kafka-operator alpha strimzi-cluster-operator.v0.12.2 replaces=strimzi-cluster-operator.v0.12.1 skips=[] range= objects=0 csv=false
etcd beta etcdoperator.v0.6.1 replaces= skips=[] range= objects=0 csv=false
etcd beta etcdoperator.v0.9.0 replaces=etcdoperator.v0.6.1 skips=[] range= objects=0 csv=false
strimzi-kafka-operator beta strimzi-cluster-operator.v0.11.0 replaces= skips=[] range= objects=0 csv=false
strimzi-kafka-operator beta strimzi-cluster-operator.v0.11.1 replaces=strimzi-cluster-operator.v0.11.0 skips=[] range= objects=0 csv=false
strimzi-kafka-operator beta strimzi-cluster-operator.v0.12.1 replaces=strimzi-cluster-operator.v0.11.1 skips=[] range= objects=0 csv=false
prometheus preview prometheusoperator.0.14.0 replaces= skips=[] range= objects=0 csv=false
prometheus preview prometheusoperator.0.15.0 replaces=prometheusoperator.0.14.0 skips=[] range= objects=0 csv=false
prometheus preview prometheusoperator.0.22.2 replaces=prometheusoperator.0.15.0 skips=[] range= objects=0 csv=false
etcd stable etcdoperator.v0.6.1 replaces= skips=[] range= objects=0 csv=false
etcd stable etcdoperator.v0.9.0 replaces=etcdoperator.v0.6.1 skips=[] range= objects=0 csv=false
etcd stable etcdoperator.v0.9.2 replaces=etcdoperator.v0.9.0 skips=[etcdoperator.v0.9.1] range=< 0.6.0 objects=0 csv=false
strimzi-kafka-operator stable strimzi-cluster-operator.v0.11.0 replaces= skips=[] range= objects=0 csv=false
strimzi-kafka-operator stable strimzi-cluster-operator.v0.11.1 replaces=strimzi-cluster-operator.v0.11.0 skips=[] range= objects=0 csv=false`

// hidden is a catalog whose head no longer provides what older bundles did.
func hidden() registry.Catalog {
	old := storetest.Image("p", "p.v1", "1.0.0", registry.Property{
		Type: registry.PropertyGVK, Value: json.RawMessage(`{"group":"etcd.database.coreos.com","kind":"EtcdCluster","version":"v1beta2"}`),
	})
	head := storetest.Image("p", "p.v2", "2.0.0")
	return registry.Catalog{{Bundle: &old}, {Bundle: &head}, {Package: &registry.Package{
		Name: "p", DefaultChannel: "c", Channels: []registry.Channel{
			{Name: "c", Head: "p.v2", Entries: []registry.Entry{{Name: "p.v1"}, {Name: "p.v2", Replaces: "p.v1"}}},
		},
	}}}
}

func inline() registry.Catalog {
	b := storetest.Inline("p", "p.v1", "1.0.0")
	return registry.Catalog{{Bundle: &b}, {Package: &registry.Package{
		Name: "p", DefaultChannel: "c", Channels: []registry.Channel{{Name: "c", Head: "p.v1", Entries: []registry.Entry{{Name: "p.v1"}}}},
	}}}
}

// TestAnswers gets the same answers from every store: ca-06.
func TestAnswers(t *testing.T) {
	for kind, open := range stores {
		for name, test := range scenarios() {
			t.Run(kind+"/"+name, func(t *testing.T) {
				conn := served(t, open, test.catalog)
				if diff := cmp.Diff(test.want, test.ask(t.Context(), api.NewRegistryClient(conn))); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestBundleFields compares a whole answer: rpc-07, rpc-31, rpc-32.
func TestBundleFields(t *testing.T) {
	required := registry.Property{Type: registry.PropertyPackageRequired, Value: json.RawMessage(`{"packageName":"q","versionRange":">1.0.0"}`)}
	maximum := registry.Property{Type: "olm.maxOpenShiftVersion", Value: json.RawMessage(`"4.20"`)}
	constraint := registry.Property{Type: registry.PropertyConstraint, Value: json.RawMessage(`{"all":{"constraints":[]}}`)}
	c := storetest.F1()
	head := c[2].Bundle
	head.Properties = append(head.Properties, required, maximum, constraint)
	gvk := func(kind string) *api.GroupVersionKind {
		return &api.GroupVersionKind{Group: storetest.EtcdCluster.Group, Version: storetest.EtcdCluster.Version, Kind: kind}
	}
	cluster := `{"group":"etcd.database.coreos.com","kind":"EtcdCluster","version":"v1beta2"}`
	want := &api.Bundle{
		CsvName: head.Name, PackageName: "etcd", ChannelName: "alpha", Version: "0.9.2", BundlePath: head.Image, SkipRange: "< 0.6.0",
		CsvJson:      string(head.Content.CSV),
		ProvidedApis: []*api.GroupVersionKind{gvk("EtcdBackup"), gvk("EtcdCluster"), gvk("EtcdRestore")},
		RequiredApis: []*api.GroupVersionKind{gvk("EtcdCluster")},
		Dependencies: []*api.Dependency{{Type: "olm.gvk", Value: cluster}, {Type: "olm.package", Value: `{"packageName":"q","version":">1.0.0"}`}},
	}
	for _, object := range head.Content.Objects {
		want.Object = append(want.Object, string(object))
	}
	for _, p := range head.Properties {
		want.Properties = append(want.Properties, &api.Property{Type: p.Type, Value: string(p.Value)})
	}
	for kind, open := range stores {
		t.Run(kind, func(t *testing.T) {
			got, err := api.NewRegistryClient(served(t, open, c)).GetBundle(t.Context(), &api.GetBundleRequest{PkgName: "etcd", ChannelName: "alpha", CsvName: head.Name})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("GetBundle() (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSummary asks for a bundle of which only the metadata is known: rpc-30.
func TestSummary(t *testing.T) {
	b := storetest.Image("p", "p.v1", "1.0.0")
	b.RelatedImages = []registry.RelatedImage{{Name: "op", Image: "example.com/op:v1"}}
	b.Content.Metadata = json.RawMessage(`{"crdDescriptions":{"owned":[{"kind":"A","name":"as.b","version":"v1"}]},"displayName":"P & Q"}`)
	c := registry.Catalog{{Bundle: &b}, {Package: &registry.Package{
		Name: "p", DefaultChannel: "c", Description: "of the package", Icon: &registry.Icon{Data: []byte("x"), MediaType: "image/png"},
		Channels: []registry.Channel{{Name: "c", Head: "p.v1", Entries: []registry.Entry{{Name: "p.v1"}}}},
	}}}
	want := `{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","metadata":{"name":"p.v1"},"spec":{` +
		`"apiservicedefinitions":{},"customresourcedefinitions":{"owned":[{"kind":"A","name":"as.b","version":"v1"}]},` +
		`"description":"of the package","displayName":"P & Q","icon":[{"base64data":"eA==","mediatype":"image/png"}],` +
		`"install":{"strategy":"deployment","spec":{"deployments":null}},"relatedImages":[{"name":"op","image":"example.com/op:v1"}],"version":"1.0.0"}}`
	for kind, open := range stores {
		t.Run(kind, func(t *testing.T) {
			r := api.NewRegistryClient(served(t, open, c))
			got, err := r.GetBundle(t.Context(), &api.GetBundleRequest{PkgName: "p", ChannelName: "c", CsvName: "p.v1"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{want, want}, append(got.GetObject(), got.GetCsvJson())); diff != "" {
				t.Errorf("object, csvJson (-want +got):\n%s", diff)
			}
			if got, want := list(t.Context(), r), "p c p.v1 replaces= skips=[] range= objects=0 csv=false"; got != want {
				t.Errorf("ListBundles() = %s, want %s", got, want)
			}
		})
	}
}

// TestCustomSchemas asks for items of other schemas, of every store: ca-07.
func TestCustomSchemas(t *testing.T) {
	tests := map[string]struct {
		schema, pkg string
		silent      bool // without the header
		want        string
	}{
		"exp-01 items of a package":       {schema: "custom.operator.io", pkg: "testpkg", want: "one testpkg\ntwo testpkg"},
		"exp-02 items without a package":  {schema: "custom.packageless", want: "global-config "},
		"exp-03 an unknown package":       {schema: "custom.operator.io", pkg: "nope"},
		"exp-04 no schema":                {want: "InvalidArgument: schema is required"},
		"exp-05 without acknowledgement":  {schema: "custom.packageless", silent: true},
		"exp-07 a schema of the catalog":  {schema: "olm.package"},
		"exp-08 a schema with dots":       {schema: "foo.."},
		"exp-08 a schema with underlines": {schema: "my_schema"},
	}
	for _, bad := range []string{"a/b", "..", ".", ".hidden", "-flag", "_private", "v1+beta", "custom:v1", "has space"} {
		tests["exp-08 schema "+bad] = struct {
			schema, pkg string
			silent      bool
			want        string
		}{schema: bad, want: fmt.Sprintf("InvalidArgument: invalid custom schema query: invalid schema %q: must match ^[a-zA-Z0-9][a-zA-Z0-9._-]*$", bad)}
	}
	for kind, open := range stores {
		client := api.NewExperimentalRegistryClient(served(t, open, storetest.F4()))
		for name, test := range tests {
			t.Run(kind+"/"+name, func(t *testing.T) {
				ctx := t.Context()
				if !test.silent {
					ctx = metadata.AppendToOutgoingContext(ctx, "x-acknowledge-experimental", "true")
				}
				stream, err := client.ExperimentalListPackageCustomSchemas(ctx, &api.ExperimentalListPackageCustomSchemasRequest{Schema: test.schema, PackageName: test.pkg})
				got := lines(stream, err, func(s *structpb.Struct) string {
					return s.GetFields()["name"].GetStringValue() + " " + s.GetFields()["package"].GetStringValue()
				})
				if got != test.want {
					t.Errorf("answer %q, want %q", got, test.want)
				}
			})
		}
		t.Run(kind+"/exp-06 a cancelled call", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := client.ExperimentalListPackageCustomSchemas(ctx, &api.ExperimentalListPackageCustomSchemasRequest{Schema: "x"})
			if status.Code(err) != codes.Canceled {
				t.Errorf("error %v, want code Canceled", err)
			}
		})
	}
}
