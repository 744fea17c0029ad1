package rpc

import (
	"regexp"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"chandler.dev/olm/pkg/failure"
	api "chandler.dev/olm/proto"
)

// acknowledgeHeader must say "true" in a call of the experimental service;
// other clients see an empty catalog.
const acknowledgeHeader = "x-acknowledge-experimental"

var component = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)

type experimental struct {
	api.UnimplementedExperimentalRegistryServer

	hosts *Hosts
}

func (s *experimental) ExperimentalListPackageCustomSchemas(req *api.ExperimentalListPackageCustomSchemasRequest, stream grpc.ServerStreamingServer[structpb.Struct]) error {
	ctx := stream.Context()
	md, _ := metadata.FromIncomingContext(ctx)
	if said := md.Get(acknowledgeHeader); len(said) == 0 || said[0] != "true" {
		return nil
	}
	if err := checkQuery(req.GetSchema(), req.GetPackageName()); err != nil {
		return toStatus(err)
	}
	c, done, err := s.hosts.enter(ctx)
	if err != nil {
		return toStatus(err)
	}
	defer done()
	blobs, err := c.answers.Blobs(ctx, req.GetSchema(), req.GetPackageName())
	if err != nil {
		return toStatus(err)
	}
	for _, b := range blobs {
		msg := &structpb.Struct{}
		if err := protojson.Unmarshal(b.JSON, msg); err != nil {
			return toStatus(err)
		}
		if err := stream.Send(msg); err != nil {
			return err
		}
	}
	return toStatus(ctx.Err())
}

func checkQuery(schema, pkg string) error {
	if schema == "" {
		return failure.New(failure.Invalid, "schema is required")
	}
	if !component.MatchString(schema) {
		return failure.New(failure.Invalid, "invalid custom schema query: invalid schema %q: must match %s", schema, component)
	}
	if pkg != "" && !component.MatchString(pkg) {
		return failure.New(failure.Invalid, "invalid custom schema query: invalid package %q: must match %s", pkg, component)
	}
	return nil
}
