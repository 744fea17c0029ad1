package rpc

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

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
	c, done, err := s.hosts.enter(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	defer done()
	return &registryv1.DigestResponse{Digest: c.digest}, nil
}

func (s *catalog) Watch(_ *registryv1.WatchRequest, stream grpc.ServerStreamingServer[registryv1.WatchResponse]) error {
	ctx := stream.Context()
	waiting := time.NewTimer(patience)
	defer waiting.Stop()
	waited := false
	var sent News
	for {
		now, err := s.hosts.watch(ctx)
		if err != nil {
			return toStatus(err)
		}
		if now.News != sent && (waited || !now.pending) {
			if err := stream.Send(&registryv1.WatchResponse{Digest: now.Digest, Problem: now.Problem}); err != nil {
				return err
			}
			sent = now.News
		}
		select {
		case <-ctx.Done():
			return toStatus(ctx.Err())
		case <-s.hosts.draining:
			return status.Error(codes.Unavailable, "the catalog shuts down")
		case <-waiting.C:
			waited = true
		case <-now.changed:
		}
	}
}

// Watch yields what a catalog serves at once and again whenever that changes,
// until ctx ends or the connection breaks; then it yields the error. The error
// is ErrNoWatch if the server does not have the service.
func Watch(ctx context.Context, conn grpc.ClientConnInterface) iter.Seq2[News, error] {
	return func(yield func(News, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := registryv1.NewCatalogClient(conn).Watch(ctx, &registryv1.WatchRequest{})
		if err != nil {
			yield(News{}, watchError(err))
			return
		}
		for {
			resp, err := stream.Recv()
			if err != nil {
				yield(News{}, watchError(err))
				return
			}
			if !yield(News{Digest: resp.GetDigest(), Problem: resp.GetProblem()}, nil) {
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
