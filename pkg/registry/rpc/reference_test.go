package rpc_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/testing/protocmp"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/storetest"
	api "chandler.dev/olm/proto"
)

// reference answers every call from a small catalog by the rules of the
// protocol, one after the other and with nothing in common with what is tested.
type reference struct {
	bundles  map[[2]string]registry.Bundle
	packages map[string]registry.Package
	members  []registry.Member // by package, channel and bundle
}

func referenceOf(c registry.Catalog) reference {
	r := reference{bundles: map[[2]string]registry.Bundle{}, packages: map[string]registry.Package{}}
	for _, item := range c {
		switch {
		case item.Bundle != nil:
			r.bundles[[2]string{item.Bundle.Package, item.Bundle.Name}] = *item.Bundle
		case item.Package != nil:
			r.packages[item.Package.Name] = *item.Package
			for _, ch := range item.Package.Channels {
				for _, e := range ch.Entries {
					r.members = append(r.members, registry.Member{Package: item.Package.Name, Channel: ch.Name, Entry: e})
				}
			}
		}
	}
	slices.SortFunc(r.members, func(a, b registry.Member) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Name, b.Name))
	})
	return r
}

func said(message string) *api.Deprecation {
	if message == "" {
		return nil
	}
	return &api.Deprecation{Message: message}
}

// whole is the answer of GetBundle and, with what lists leave out or add, of
// ListBundles.
func (r reference) whole(m registry.Member) *api.Bundle {
	b := r.bundles[[2]string{m.Package, m.Name}]
	msg := &api.Bundle{
		CsvName: b.Name, PackageName: b.Package, ChannelName: m.Channel, BundlePath: b.Image, Version: b.Version, SkipRange: m.SkipRange,
		CsvJson: string(b.Content.CSV), Deprecation: said(b.Deprecation),
	}
	for _, object := range b.Content.Objects {
		msg.Object = append(msg.Object, string(object))
	}
	for _, p := range b.Properties {
		msg.Properties = append(msg.Properties, &api.Property{Type: p.Type, Value: string(p.Value)})
		var v struct{ Group, Version, Kind, PackageName, VersionRange string }
		_ = json.Unmarshal(p.Value, &v) // others have none of these
		g := &api.GroupVersionKind{Group: v.Group, Version: v.Version, Kind: v.Kind}
		switch p.Type {
		case "olm.gvk":
			msg.ProvidedApis = append(msg.ProvidedApis, g)
		case "olm.gvk.required":
			msg.RequiredApis = append(msg.RequiredApis, g)
			msg.Dependencies = append(msg.Dependencies, &api.Dependency{Type: "olm.gvk", Value: string(p.Value)})
		case "olm.package.required":
			value := fmt.Sprintf(`{"packageName":%q,"version":%q}`, v.PackageName, v.VersionRange)
			msg.Dependencies = append(msg.Dependencies, &api.Dependency{Type: "olm.package", Value: value})
		}
	}
	return msg
}

func (r reference) listed(m registry.Member) *api.Bundle {
	msg := r.whole(m)
	msg.Replaces, msg.Skips = m.Replaces, m.Skips
	if msg.BundlePath != "" {
		msg.CsvJson, msg.Object = "", nil
	}
	return msg
}

func (r reference) listBundles() []*api.Bundle {
	order := slices.Clone(r.members)
	slices.SortStableFunc(order, func(a, b registry.Member) int { return cmp.Compare(a.Channel, b.Channel) })
	var all []*api.Bundle
	for _, m := range order {
		all = append(all, r.listed(m))
	}
	return all
}

func (r reference) pkg(name string) *api.Package {
	p := r.packages[name]
	msg := &api.Package{Name: p.Name, DefaultChannelName: p.DefaultChannel, Deprecation: said(p.Deprecation)}
	for _, ch := range p.Channels {
		msg.Channels = append(msg.Channels, &api.Channel{Name: ch.Name, CsvName: ch.Head, Deprecation: said(ch.Deprecation)})
	}
	return msg
}

func entryOf(m registry.Member, replaces string) *api.ChannelEntry {
	return &api.ChannelEntry{PackageName: m.Package, ChannelName: m.Channel, BundleName: m.Name, Replaces: replaces}
}

func (r reference) thatReplace(name string) []*api.ChannelEntry {
	var all []*api.ChannelEntry
	for _, m := range r.members {
		if m.Replaces == name {
			all = append(all, entryOf(m, name))
		}
		for _, s := range m.Skips {
			if s == name && s != m.Replaces {
				all = append(all, entryOf(m, m.Replaces))
			}
		}
	}
	return all
}

func (r reference) provides(m registry.Member, gvk registry.GVK) bool {
	return slices.ContainsFunc(r.whole(m).GetProvidedApis(), func(g *api.GroupVersionKind) bool {
		return g.GetGroup() == gvk.Group && g.GetVersion() == gvk.Version && g.GetKind() == gvk.Kind
	})
}

func (r reference) head(m registry.Member) string {
	ch, _ := r.packages[m.Package].Channel(m.Channel)
	return ch.Head
}

func (r reference) thatProvide(gvk registry.GVK) []*api.ChannelEntry {
	var all []*api.ChannelEntry
	for _, m := range r.members {
		if !r.provides(m, gvk) {
			continue
		}
		all = append(all, entryOf(m, m.Replaces))
		for _, s := range m.Skips {
			if s != m.Replaces {
				all = append(all, entryOf(m, s))
			}
		}
	}
	return all
}

// latestThatProvide knows heads only, and of what they skip only entries.
func (r reference) latestThatProvide(gvk registry.GVK) []*api.ChannelEntry {
	return slices.DeleteFunc(r.thatProvide(gvk), func(e *api.ChannelEntry) bool {
		ch, _ := r.packages[e.GetPackageName()].Channel(e.GetChannelName())
		head, _ := ch.Entry(e.GetBundleName())
		_, inChannel := ch.Entry(e.GetReplaces())
		return ch.Head != e.GetBundleName() || e.GetReplaces() != head.Replaces && !inChannel
	})
}

func (r reference) defaultProvider(gvk registry.GVK) *api.Bundle {
	for _, m := range r.members {
		if r.provides(m, gvk) && r.head(m) == m.Name && r.packages[m.Package].DefaultChannel == m.Channel {
			return r.whole(m)
		}
	}
	return nil
}

// names returns every name that a question may be about.
func (r reference) names() []string {
	var all []string
	for _, m := range r.members {
		all = append(append(all, m.Name, m.Replaces), m.Skips...)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(name string) bool { return name == "" })
}

func (r reference) apis() []registry.GVK {
	var all []registry.GVK
	for _, m := range r.members {
		for _, g := range r.whole(m).GetProvidedApis() {
			gvk := registry.GVK{Group: g.GetGroup(), Version: g.GetVersion(), Kind: g.GetKind()}
			if !slices.Contains(all, gvk) {
				all = append(all, gvk)
			}
		}
	}
	return all
}

// streamed receives everything; a failure is an answer of nothing.
func streamed[T any](stream grpc.ServerStreamingClient[T], err error) ([]*T, error) {
	var all []*T
	for err == nil {
		var msg *T
		if msg, err = stream.Recv(); err == nil {
			all = append(all, msg)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all, err
}

// TestReference asks everything that can be asked about the fixtures, and about
// one that is made to be difficult, and compares whole answers and their order.
func TestReference(t *testing.T) {
	for name, c := range map[string]registry.Catalog{
		"F1": storetest.F1(), "F2": storetest.F2(), "F3": storetest.F3(), "F4": storetest.F4(), "inline": inline(), "difficult": difficult(),
	} {
		for kind, open := range stores {
			t.Run(name+"/"+kind, func(t *testing.T) {
				q := questions{t, api.NewRegistryClient(served(t, open, c)), referenceOf(c)}
				q.catalog(t.Context())
				q.bundles(t.Context())
				q.edges(t.Context())
				q.providers(t.Context())
			})
		}
	}
}

type questions struct {
	*testing.T

	client api.RegistryClient
	want   reference
}

func (q questions) equal(what string, want, got any, err error) {
	q.Helper()
	if err != nil {
		q.Errorf("%s: %v", what, err)
		return
	}
	if diff := gocmp.Diff(want, got, protocmp.Transform()); diff != "" {
		q.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (q questions) catalog(ctx context.Context) {
	stream, err := q.client.ListBundles(ctx, &api.ListBundlesRequest{})
	bundles, err := streamed(stream, err)
	q.equal("ListBundles", q.want.listBundles(), bundles, err)
	for name := range q.want.packages {
		got, err := q.client.GetPackage(ctx, &api.GetPackageRequest{Name: name})
		q.equal("GetPackage "+name, q.want.pkg(name), got, err)
	}
}

func (q questions) bundles(ctx context.Context) {
	for _, m := range q.want.members {
		got, err := q.client.GetBundle(ctx, &api.GetBundleRequest{PkgName: m.Package, ChannelName: m.Channel, CsvName: m.Name})
		q.equal("GetBundle "+m.Name, q.want.whole(m), got, err)
		if q.want.head(m) == m.Name {
			//nolint:staticcheck // deprecated, and still called
			got, err := q.client.GetBundleForChannel(ctx, &api.GetBundleInChannelRequest{PkgName: m.Package, ChannelName: m.Channel})
			q.equal("GetBundleForChannel "+m.Channel, q.want.whole(m), got, err)
		}
	}
}

func (q questions) edges(ctx context.Context) {
	for _, name := range q.want.names() {
		stream, err := q.client.GetChannelEntriesThatReplace(ctx, &api.GetAllReplacementsRequest{CsvName: name})
		got, err := streamed(stream, err)
		want := q.want.thatReplace(name)
		if len(want) == 0 {
			q.refused("GetChannelEntriesThatReplace "+name, err, "no channel entries found that replace "+name)
		} else {
			q.equal("GetChannelEntriesThatReplace "+name, want, got, err)
		}
		for _, m := range q.want.members {
			if m.Replaces != name && !slices.Contains(m.Skips, name) {
				continue
			}
			got, err := q.client.GetBundleThatReplaces(ctx, &api.GetReplacementRequest{CsvName: name, PkgName: m.Package, ChannelName: m.Channel})
			if err == nil && got.GetCsvName() != m.Name { // several do; the test of scenarios says which one is right
				continue
			}
			q.equal("GetBundleThatReplaces "+name, q.want.whole(m), got, err)
		}
	}
}

func (q questions) providers(ctx context.Context) {
	for _, g := range append(q.want.apis(), registry.GVK{Group: "none", Version: "v1", Kind: "None"}) {
		stream, err := q.client.GetChannelEntriesThatProvide(ctx, &api.GetAllProvidersRequest{Group: g.Group, Version: g.Version, Kind: g.Kind, Plural: "x"})
		got, err := streamed(stream, err)
		none := fmt.Sprintf("no channel entries found that provide group:%q version:%q kind:%q", g.Group, g.Version, g.Kind)
		q.entries("GetChannelEntriesThatProvide "+g.Kind, q.want.thatProvide(g), got, err, none)
		latest, err := q.client.GetLatestChannelEntriesThatProvide(ctx, &api.GetLatestProvidersRequest{Group: g.Group, Version: g.Version, Kind: g.Kind, Plural: "x"})
		got, err = streamed(latest, err)
		heads := q.want.latestThatProvide(g)
		q.entries("GetLatestChannelEntriesThatProvide "+g.Kind, heads, got, err, none)
		b, err := q.client.GetDefaultBundleThatProvides(ctx, &api.GetDefaultProviderRequest{Group: g.Group, Version: g.Version, Kind: g.Kind, Plural: "x"})
		switch want := q.want.defaultProvider(g); {
		case len(heads) == 0:
			q.refused("GetDefaultBundleThatProvides "+g.Kind, err, none)
		case want == nil:
			q.refused("GetDefaultBundleThatProvides "+g.Kind, err, fmt.Sprintf("no entry found that provides group:%q version:%q kind:%q", g.Group, g.Version, g.Kind))
		default:
			q.equal("GetDefaultBundleThatProvides "+g.Kind, want, b, err)
		}
	}
}

func (q questions) entries(what string, want, got []*api.ChannelEntry, err error, none string) {
	q.Helper()
	if len(want) == 0 {
		q.refused(what, err, none)
		return
	}
	q.equal(what, want, got, err)
}

func (q questions) refused(what string, err error, text string) {
	q.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		q.Errorf("%s: error %v does not say %q", what, err, text)
	}
}

// difficult is a catalog in which one bundle has different edges in its
// channels, a name is skipped twice, and two packages share a bundle name.
func difficult() registry.Catalog {
	gvk := func(kind string) registry.Property {
		return registry.Property{Type: "olm.gvk", Value: json.RawMessage(`{"group":"g","kind":"` + kind + `","version":"v1"}`)}
	}
	p1, p2 := storetest.Image("p", "x.v1", "1.0.0", gvk("A")), storetest.Inline("p", "x.v2", "2.0.0", gvk("A"), gvk("B"))
	p3 := storetest.Image("p", "x.v3", "3.0.0", gvk("B"), registry.Property{Type: "olm.package.required", Value: json.RawMessage(`{"packageName":"q","versionRange":">=1.0.0 <2.0.0"}`)})
	q1 := storetest.Image("q", "x.v1", "1.0.0", gvk("A"))
	p1.Deprecation = "old\n"
	return registry.Catalog{
		{Bundle: &p1},
		{Bundle: &p2},
		{Bundle: &p3},
		{Bundle: &q1},
		{Package: &registry.Package{Name: "p", DefaultChannel: "b", Channels: []registry.Channel{
			{Name: "a", Head: "x.v3", Entries: []registry.Entry{
				{Name: "x.v1"},
				{Name: "x.v2", Replaces: "x.v1"},
				{Name: "x.v3", Replaces: "x.v1", Skips: []string{"x.v2", "x.v0", "x.v0", "x.v1"}, SkipRange: ">=1.0.0 <3.0.0"},
			}},
			{Name: "b", Head: "x.v2", Entries: []registry.Entry{{Name: "x.v1", Replaces: "x.v0"}, {Name: "x.v2", Replaces: "x.v1", SkipRange: "< 2.0.0"}}},
		}}},
		{Package: &registry.Package{Name: "q", DefaultChannel: "a", Channels: []registry.Channel{
			{Name: "a", Head: "x.v1", Entries: []registry.Entry{{Name: "x.v1"}}},
		}}},
	}
}
