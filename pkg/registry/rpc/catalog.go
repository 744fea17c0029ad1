package rpc

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	registryv1 "chandler.dev/olm/proto/chandler/registry/v1"
)

// ErrNoWatch says that a catalog is served by a program that cannot tell when
// its content changes: poll it.
var ErrNoWatch = errors.New("the catalog does not tell when it changes")

// catalog tells which content is served.
type catalog struct {
	registryv1.UnimplementedCatalogServer

	hosts *Hosts
}

func (s *catalog) Digest(ctx context.Context, _ *registryv1.DigestRequest) (*registryv1.DigestResponse, error) {
	digest, _, err := s.hosts.digest(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	return &registryv1.DigestResponse{Digest: digest}, nil
}

func (s *catalog) Watch(_ *registryv1.WatchRequest, stream grpc.ServerStreamingServer[registryv1.WatchResponse]) error {
	ctx := stream.Context()
	sent := ""
	for {
		digest, changed, err := s.hosts.digest(ctx)
		if err != nil {
			return toStatus(err)
		}
		if digest != sent {
			if err := stream.Send(&registryv1.WatchResponse{Digest: digest}); err != nil {
				return err
			}
			sent = digest
		}
		select {
		case <-ctx.Done():
			return toStatus(ctx.Err())
		case <-s.hosts.draining:
			return status.Error(codes.Unavailable, "the catalog shuts down")
		case <-changed:
		}
	}
}

// WatchDigest yields the digest of the served content at once and again
// whenever it changes, until ctx ends or the connection breaks; then it yields
// the error. The error is ErrNoWatch if the server does not have the service.
func WatchDigest(ctx context.Context, conn grpc.ClientConnInterface) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := registryv1.NewCatalogClient(conn).Watch(ctx, &registryv1.WatchRequest{})
		if err != nil {
			yield("", watchError(err))
			return
		}
		for {
			resp, err := stream.Recv()
			if err != nil {
				yield("", watchError(err))
				return
			}
			if !yield(resp.GetDigest(), nil) {
				return
			}
		}
	}
}

func watchError(err error) error {
	switch {
	case status.Code(err) == codes.Unimplemented:
		return ErrNoWatch
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return fromStatus(err)
}
