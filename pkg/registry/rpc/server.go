// Package rpc carries a registry.Store over gRPC: Server answers the calls of
// package api from stores, Client is a store behind a connection.
package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
	registryv1 "chandler.dev/olm/proto/chandler/registry/v1"
)

// Register makes a server answer from one store.
func Register(ctx context.Context, s grpc.ServiceRegistrar, store registry.Store) error {
	hosts := NewHosts()
	if err := hosts.Swap(ctx, "", store, nil); err != nil {
		return err
	}
	RegisterHosts(s, hosts)
	return nil
}

// RegisterHosts makes a server answer from several catalogs.
func RegisterHosts(s grpc.ServiceRegistrar, hosts *Hosts) {
	s.RegisterService(withReplies(map[string]grpc.MethodHandler{
		"GetBundle":                    replying(api.Registry_GetBundle_FullMethodName, (*server).bundle),
		"GetDefaultBundleThatProvides": replying(api.Registry_GetDefaultBundleThatProvides_FullMethodName, (*server).defaultBundle),
	}), &server{hosts: hosts})
	api.RegisterExperimentalRegistryServer(s, &experimental{hosts: hosts})
	registryv1.RegisterCatalogServer(s, &catalog{hosts: hosts})
}

// server only translates: decode, ask, encode.
type server struct {
	api.UnimplementedRegistryServer

	hosts *Hosts
}

func (s *server) ListPackages(_ *api.ListPackageRequest, stream grpc.ServerStreamingServer[api.PackageName]) error {
	c, done, err := s.hosts.enter(stream.Context())
	if err != nil {
		return toStatus(err)
	}
	defer done()
	names, err := c.answers.Packages(stream.Context())
	if err != nil {
		return toStatus(err)
	}
	for _, name := range names {
		if err := stream.Send(&api.PackageName{Name: name}); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) GetPackage(ctx context.Context, req *api.GetPackageRequest) (*api.Package, error) {
	c, done, err := s.hosts.enter(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	defer done()
	p, err := c.answers.PackageAnswer(ctx, req.GetName())
	return p, toStatus(err)
}

// bundle answers GetBundle.
func (s *server) bundle(ctx context.Context, req *api.GetBundleRequest) (*reply, error) {
	c, done, err := s.hosts.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return bundleReply(ctx, c.answers, wire.Address{Package: req.GetPkgName(), Channel: req.GetChannelName(), Bundle: req.GetCsvName()})
}

func (s *server) GetBundleForChannel(ctx context.Context, req *api.GetBundleInChannelRequest) (*api.Bundle, error) {
	c, done, err := s.hosts.enter(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	defer done()
	p, err := c.answers.PackageAnswer(ctx, req.GetPkgName())
	if err != nil {
		return nil, toStatus(err)
	}
	at := wire.Address{Package: req.GetPkgName(), Channel: req.GetChannelName()}
	for _, ch := range p.GetChannels() {
		if ch.GetName() == at.Channel {
			at.Bundle = ch.GetCsvName()
			b, err := c.answers.BundleAnswer(ctx, at)
			if err != nil {
				return nil, toStatus(err)
			}
			return fitting(b)
		}
	}
	return nil, toStatus(wire.NoChannel(at))
}

// defaultLimit is the largest message that clients accept who do not ask for more.
const defaultLimit = 4 << 20

// fitting leaves the objects out of an answer that most clients could not
// receive: those who ask for the head of a channel read its
// ClusterServiceVersion only.
func fitting(b *api.Bundle) (*api.Bundle, error) {
	if proto.Size(b) < defaultLimit {
		return b, nil
	}
	raw, err := proto.Marshal(b)
	if err != nil {
		return nil, toStatus(err)
	}
	small := &api.Bundle{}
	if err := proto.Unmarshal(raw, small); err != nil {
		return nil, toStatus(err)
	}
	small.Object = nil
	return small, nil
}

func (s *server) GetChannelEntriesThatReplace(req *api.GetAllReplacementsRequest, stream grpc.ServerStreamingServer[api.ChannelEntry]) error {
	c, done, err := s.hosts.enter(stream.Context())
	if err != nil {
		return toStatus(err)
	}
	defer done()
	members, err := c.answers.Upgrading(stream.Context(), req.GetCsvName())
	if err != nil {
		return toStatus(err)
	}
	none := failure.New(failure.NotFound, "no channel entries found that replace %s", req.GetCsvName())
	return sendEntries(stream, wire.ReplacementEntries(members, req.GetCsvName()), none)
}

func (s *server) GetBundleThatReplaces(ctx context.Context, req *api.GetReplacementRequest) (*api.Bundle, error) {
	c, done, err := s.hosts.enter(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	defer done()
	at := wire.Address{Package: req.GetPkgName(), Channel: req.GetChannelName(), Bundle: req.GetCsvName()}
	if _, err := c.answers.PackageAnswer(ctx, at.Package); err != nil {
		if failure.KindOf(err) == failure.NotFound {
			err = failure.New(failure.NotFound, "package %s not found", at.Package)
		}
		return nil, toStatus(err)
	}
	at.Bundle, err = c.answers.Replacement(ctx, at)
	if err != nil {
		return nil, toStatus(err)
	}
	if at.Bundle == "" {
		return nil, toStatus(failure.New(failure.NotFound, "no entry found for package %q, channel %q", at.Package, at.Channel))
	}
	b, err := c.answers.BundleAnswer(ctx, at)
	return b, toStatus(err)
}

func (s *server) GetChannelEntriesThatProvide(req *api.GetAllProvidersRequest, stream grpc.ServerStreamingServer[api.ChannelEntry]) error {
	c, done, err := s.hosts.enter(stream.Context())
	if err != nil {
		return toStatus(err)
	}
	defer done()
	gvk := registry.GVK{Group: req.GetGroup(), Version: req.GetVersion(), Kind: req.GetKind()}
	members, err := c.answers.Providers(stream.Context(), gvk)
	if err != nil {
		return toStatus(err)
	}
	return sendEntries(stream, wire.ProviderEntries(members), noProvider(gvk))
}

func (s *server) GetLatestChannelEntriesThatProvide(req *api.GetLatestProvidersRequest, stream grpc.ServerStreamingServer[api.ChannelEntry]) error {
	c, done, err := s.hosts.enter(stream.Context())
	if err != nil {
		return toStatus(err)
	}
	defer done()
	gvk := registry.GVK{Group: req.GetGroup(), Version: req.GetVersion(), Kind: req.GetKind()}
	members, err := c.answers.Latest(stream.Context(), gvk)
	if err != nil {
		return toStatus(err)
	}
	return sendEntries(stream, wire.ProviderEntries(members), noProvider(gvk))
}

// defaultBundle answers GetDefaultBundleThatProvides.
func (s *server) defaultBundle(ctx context.Context, req *api.GetDefaultProviderRequest) (*reply, error) {
	c, done, err := s.hosts.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return defaultProvider(ctx, c.answers, registry.GVK{Group: req.GetGroup(), Version: req.GetVersion(), Kind: req.GetKind()})
}

// defaultProvider returns the first head of a default channel that provides an API.
func defaultProvider(ctx context.Context, answers wire.Answers, gvk registry.GVK) (*reply, error) {
	at, err := answers.DefaultProvider(ctx, gvk)
	if err != nil {
		return nil, err
	}
	if at != (wire.Address{}) {
		return bundleReply(ctx, answers, at)
	}
	latest, err := answers.Latest(ctx, gvk)
	if err != nil {
		return nil, err
	}
	if len(latest) == 0 {
		return nil, noProvider(gvk)
	}
	return nil, failure.New(failure.NotFound, "no entry found that provides group:%q version:%q kind:%q", gvk.Group, gvk.Version, gvk.Kind)
}

func (s *server) ListBundles(_ *api.ListBundlesRequest, stream grpc.ServerStreamingServer[api.Bundle]) error {
	c, done, err := s.hosts.enter(stream.Context())
	if err != nil {
		return toStatus(err)
	}
	defer done()
	for b, err := range c.answers.BundleAnswers(stream.Context()) {
		if err != nil {
			return toStatus(err)
		}
		if err := stream.Send(b); err != nil {
			return err
		}
	}
	return nil
}

func noProvider(gvk registry.GVK) *failure.Error {
	return failure.New(failure.NotFound, "no channel entries found that provide group:%q version:%q kind:%q", gvk.Group, gvk.Version, gvk.Kind)
}

// sendEntries streams entries; it fails with none if there are none.
func sendEntries(stream grpc.ServerStreamingServer[api.ChannelEntry], entries []*api.ChannelEntry, none *failure.Error) error {
	if len(entries) == 0 {
		return toStatus(none)
	}
	for _, e := range entries {
		if err := stream.Send(e); err != nil {
			return err
		}
	}
	return nil
}
