package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
	registryv1 "chandler.dev/olm/proto/chandler/registry/v1"
)

// maxMessage is the largest bundle that a Client accepts. The default of gRPC,
// 4 MiB, is less than what real bundles have.
const maxMessage = 64 << 20

// Client is a store behind a connection: any server of package api, old ones
// included. It reads the list of bundles once, when it is first needed, and
// answers from that list; only content is fetched when it is asked for. To see
// a catalog that has changed, make another Client.
//
// As a source it needs one ListBundles and one GetPackage per package.
// Descriptions, icons, related images and blobs are not in the protocol's
// lists; a Client does not know them (but answers Blobs).
type Client struct {
	registry api.RegistryClient
	extra    api.ExperimentalRegistryClient
	catalog  registryv1.CatalogClient

	mu    sync.Mutex
	index *index // nil until it was read
}

var (
	_ registry.Store  = (*Client)(nil)
	_ registry.Source = (*Client)(nil)
)

// NewClient returns a Client over conn.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{
		registry: api.NewRegistryClient(conn),
		extra:    api.NewExperimentalRegistryClient(conn),
		catalog:  registryv1.NewCatalogClient(conn),
	}
}

// Digest returns what the server says, or the digest of what it lists if it
// says nothing.
func (c *Client) Digest(ctx context.Context) (string, error) {
	if resp, err := c.catalog.Digest(ctx, &registryv1.DigestRequest{}); err == nil {
		return resp.GetDigest(), nil
	}
	x, err := c.load(ctx)
	if err != nil {
		return "", err
	}
	return x.digest, nil
}

func (c *Client) Packages(ctx context.Context) ([]string, error) {
	stream, err := c.registry.ListPackages(ctx, &api.ListPackageRequest{})
	if err != nil {
		return nil, fromStatus(err)
	}
	var names []string
	for {
		p, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return slices.Compact(names), nil
		}
		if err != nil {
			return nil, fromStatus(err)
		}
		names = append(names, p.GetName())
	}
}

func (c *Client) Package(ctx context.Context, name string) (registry.Package, error) {
	x, err := c.load(ctx)
	if err != nil {
		return registry.Package{}, err
	}
	p, ok := x.packages[name]
	if !ok {
		return registry.Package{}, failure.New(failure.NotFound, "package %q not found", name)
	}
	return p.Package, nil
}

func (c *Client) Bundles(ctx context.Context, pkg string) iter.Seq2[registry.Bundle, error] {
	return func(yield func(registry.Bundle, error) bool) {
		x, err := c.load(ctx)
		if err != nil {
			yield(registry.Bundle{}, err)
			return
		}
		p, ok := x.packages[pkg]
		if !ok {
			return
		}
		for _, b := range p.bundles {
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (c *Client) Bundle(ctx context.Context, pkg, name string) (registry.Bundle, error) {
	x, err := c.load(ctx)
	if err != nil {
		return registry.Bundle{}, err
	}
	p, ok := x.packages[pkg]
	if !ok {
		return registry.Bundle{}, failure.New(failure.NotFound, "package %q not found", pkg)
	}
	for _, ch := range p.Channels {
		if _, ok := ch.Entry(name); ok {
			msg, err := c.registry.GetBundle(ctx, &api.GetBundleRequest{PkgName: pkg, ChannelName: ch.Name, CsvName: name}, grpc.MaxCallRecvMsgSize(maxMessage))
			if err != nil {
				return registry.Bundle{}, fmt.Errorf("get bundle %q: %w", name, fromStatus(err))
			}
			b := wire.BundleOf(msg)
			b.Content = wire.ContentOf(msg)
			return b, nil
		}
	}
	return registry.Bundle{}, failure.New(failure.NotFound, "package %q has no bundle %q", pkg, name)
}

func (c *Client) Providers(ctx context.Context, gvk registry.GVK) ([]registry.Member, error) {
	x, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	var all []registry.Member
	for _, name := range x.names {
		p := x.packages[name]
		for _, m := range registry.Members(p.Package) {
			if b, ok := p.bundle(m.Name); ok && slices.Contains(wire.Provided(b), gvk) {
				all = append(all, m)
			}
		}
	}
	return all, nil
}

func (c *Client) Blobs(ctx context.Context, schema, pkg string) ([]registry.Blob, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, acknowledgeHeader, "true")
	stream, err := c.extra.ExperimentalListPackageCustomSchemas(ctx, &api.ExperimentalListPackageCustomSchemasRequest{Schema: schema, PackageName: pkg})
	if err != nil {
		return nil, fromStatus(err)
	}
	var all []registry.Blob
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fromStatus(err)
		}
		raw, err := protojson.Marshal(msg)
		if err != nil {
			return nil, err
		}
		all = append(all, registry.Blob{Schema: schema, Package: pkg, Name: msg.GetFields()["name"].GetStringValue(), JSON: raw})
	}
}

// Items streams the bundles as the server lists them, then the packages.
func (c *Client) Items(ctx context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		x := newIndex()
		for b, err := range c.list(ctx, x) {
			if err != nil {
				yield(registry.Item{}, err)
				return
			}
			if !yield(registry.Item{Bundle: &b}, nil) {
				return
			}
		}
		if err := c.describe(ctx, x); err != nil {
			yield(registry.Item{}, err)
			return
		}
		for _, name := range x.names {
			p := x.packages[name].Package
			if !yield(registry.Item{Package: &p}, nil) {
				return
			}
		}
	}
}

// load reads the list of bundles if that did not happen yet.
func (c *Client) load(ctx context.Context) (*index, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.index != nil {
		return c.index, nil
	}
	x := newIndex()
	for b, err := range c.list(ctx, x) {
		if err != nil {
			return nil, err
		}
		x.keep(b)
	}
	if err := c.describe(ctx, x); err != nil {
		return nil, err
	}
	x.settle()
	c.index = x
	return x, nil
}
