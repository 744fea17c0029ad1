package rpc

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that is wrapped
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	api "chandler.dev/olm/proto"
)

// Codec returns the option that lets a server send bundles that are encoded
// already as they are, instead of copying them once more, and use the memory of
// answers again. The bytes on the wire are the same without it.
func Codec() grpc.ServerOption {
	return grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto")})
}

type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*reply); ok {
		if r.bundle == nil {
			return r.buffers(), nil
		}
		v = r.bundle
	}
	if b, ok := v.(*api.Bundle); ok {
		encoded := b.ProtoReflect().GetUnknown()
		if len(encoded) > 0 && proto.Size(b) == len(encoded) {
			return mem.BufferSlice{mem.SliceBuffer(encoded)}, nil
		}
	}
	return c.CodecV2.Marshal(v)
}
