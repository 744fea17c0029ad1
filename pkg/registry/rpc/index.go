package rpc

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
)

const parallelCalls = 8

// index is a remote catalog without content.
type index struct {
	packages map[string]*packageIndex
	names    []string // of the packages, sorted
	digest   string
}

type packageIndex struct {
	registry.Package

	unknown bool            // only ListBundles knows it
	seen    map[string]bool // bundles already listed
	bundles []registry.Bundle
}

func newIndex() *index { return &index{packages: map[string]*packageIndex{}} }

func (x *index) packageOf(name string) *packageIndex {
	p, ok := x.packages[name]
	if !ok {
		p = &packageIndex{Package: registry.Package{Name: name}, seen: map[string]bool{}}
		x.packages[name] = p
	}
	return p
}

func (x *index) keep(b registry.Bundle) {
	b.Content = registry.Content{}
	p := x.packageOf(b.Package)
	p.bundles = append(p.bundles, b)
}

// settle sorts the bundles and computes the digest.
func (x *index) settle() {
	d := registry.NewDigester()
	for _, name := range x.names {
		p := x.packages[name]
		slices.SortFunc(p.bundles, func(a, b registry.Bundle) int { return cmp.Compare(a.Name, b.Name) })
		for i := range p.bundles {
			item := registry.Item{Bundle: &p.bundles[i]}
			d.Add(item, registry.SumOf(item))
		}
		item := registry.Item{Package: &p.Package}
		d.Add(item, registry.SumOf(item))
	}
	x.digest = d.Digest()
}

func (p *packageIndex) bundle(name string) (registry.Bundle, bool) {
	i, ok := slices.BinarySearchFunc(p.bundles, name, func(b registry.Bundle, name string) int { return cmp.Compare(b.Name, name) })
	if !ok {
		return registry.Bundle{}, false
	}
	return p.bundles[i], true
}

// place notes where an entry is and reports whether its bundle is new.
func (x *index) place(msg *api.Bundle) bool {
	p := x.packageOf(msg.GetPackageName())
	i := slices.IndexFunc(p.Channels, func(ch registry.Channel) bool { return ch.Name == msg.GetChannelName() })
	if i < 0 {
		p.Channels = append(p.Channels, registry.Channel{Name: msg.GetChannelName()})
		i = len(p.Channels) - 1
	}
	p.Channels[i].Entries = append(p.Channels[i].Entries, wire.EntryOf(msg))
	first := !p.seen[msg.GetCsvName()]
	p.seen[msg.GetCsvName()] = true
	return first
}

// list yields every bundle once, with its content if the server lists it, and
// notes all places in x.
func (c *Client) list(ctx context.Context, x *index) iter.Seq2[registry.Bundle, error] {
	return func(yield func(registry.Bundle, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.registry.ListBundles(ctx, &api.ListBundlesRequest{}, grpc.MaxCallRecvMsgSize(maxMessage))
		if err != nil {
			yield(registry.Bundle{}, fromStatus(err))
			return
		}
		for {
			msg, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(registry.Bundle{}, fromStatus(err))
				return
			}
			if !x.place(msg) {
				continue
			}
			b := wire.BundleOf(msg)
			b.Content = wire.ContentOf(msg)
			if !yield(b, nil) {
				return
			}
		}
	}
}

// describe asks for every package what the list of bundles does not say. A
// package that the server does not know after all is left out with its bundles.
func (c *Client) describe(ctx context.Context, x *index) error {
	names, err := c.Packages(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		x.packageOf(name)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelCalls)
	for _, p := range x.packages {
		group.Go(func() error {
			msg, err := c.registry.GetPackage(ctx, &api.GetPackageRequest{Name: p.Name})
			if err != nil && failure.KindOf(fromStatus(err)) == failure.NotFound {
				p.unknown = true
				return nil
			}
			if err != nil {
				return fromStatus(err)
			}
			p.describe(msg)
			return nil
		})
	}
	err = group.Wait()
	maps.DeleteFunc(x.packages, func(_ string, p *packageIndex) bool { return p.unknown })
	x.names = slices.Sorted(maps.Keys(x.packages))
	return err
}

func (p *packageIndex) describe(msg *api.Package) {
	p.DefaultChannel = msg.GetDefaultChannelName()
	p.Deprecation = msg.GetDeprecation().GetMessage()
	for _, ch := range msg.GetChannels() {
		i := slices.IndexFunc(p.Channels, func(have registry.Channel) bool { return have.Name == ch.GetName() })
		if i < 0 {
			p.Channels = append(p.Channels, registry.Channel{Name: ch.GetName()})
			i = len(p.Channels) - 1
		}
		p.Channels[i].Head = ch.GetCsvName()
		p.Channels[i].Deprecation = ch.GetDeprecation().GetMessage()
	}
	slices.SortFunc(p.Channels, func(a, b registry.Channel) int { return cmp.Compare(a.Name, b.Name) })
}
