package rpc

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
)

// reply is an answer of one bundle. A server with Codec uses its memory again
// when it was sent; for any other it is the bundle.
type reply struct {
	wire.Answer

	memory *[]byte     // of the answer, from replies
	bundle *api.Bundle // instead of the answer; nil if there is one
}

var _ proto.Message = (*reply)(nil)

// ProtoReflect returns the bundle.
func (r *reply) ProtoReflect() protoreflect.Message {
	if r.bundle != nil {
		return r.bundle.ProtoReflect()
	}
	return wire.Encoded(r.Whole()).ProtoReflect()
}

// buffers returns the bytes of the answer. Their memory is used again when they
// are freed.
func (r *reply) buffers() mem.BufferSlice {
	*r.memory = r.Fields
	all := mem.NewBuffer(r.memory, replies)
	if r.Summary == 0 {
		return mem.BufferSlice{all}
	}
	return mem.BufferSlice{all, mem.SliceBuffer(r.Repetition()), all.Slice(len(r.Fields)-r.Summary, len(r.Fields))}
}

// replies are kept for the next answers. Unlike those of a sync.Pool, they
// outlive collections, which would come more often without them.
var replies = replyPool(make(chan *[]byte, 8))

// maxReply is how large a memory is kept; few answers are larger.
const maxReply = 256 << 10

type replyPool chan *[]byte

var _ mem.BufferPool = replyPool(nil)

func (p replyPool) Get(length int) *[]byte {
	b := new([]byte)
	select {
	case b = <-p:
	default:
	}
	*b = slices.Grow((*b)[:0], length)[:length]
	return b
}

func (p replyPool) Put(b *[]byte) {
	if cap(*b) > maxReply {
		return
	}
	select {
	case p <- b:
	default:
	}
}

// bundleReply returns the answer of GetBundle.
func bundleReply(ctx context.Context, answers wire.Answers, at wire.Address) (*reply, error) {
	appender, ok := answers.(wire.BundleAppender)
	if !ok {
		b, err := answers.BundleAnswer(ctx, at)
		return &reply{bundle: b}, err
	}
	memory := replies.Get(0)
	answer, err := appender.AppendBundleAnswer(ctx, at, *memory)
	if err != nil {
		replies.Put(memory)
		return nil, err
	}
	return &reply{Answer: answer, memory: memory}, nil
}

// withReplies returns the service Registry with calls that answer with a reply.
func withReplies(calls map[string]grpc.MethodHandler) *grpc.ServiceDesc {
	desc := api.Registry_ServiceDesc
	desc.Methods = slices.Clone(desc.Methods)
	for i, m := range desc.Methods {
		if handler, ok := calls[m.MethodName]; ok {
			desc.Methods[i].Handler = handler
		}
	}
	return &desc
}

// replying returns the handler of a call that answers with a reply.
func replying[R any](method string, ask func(*server, context.Context, *R) (*reply, error)) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		req := new(R)
		if err := decode(req); err != nil {
			return nil, err
		}
		handler := func(ctx context.Context, req any) (any, error) {
			r, err := ask(srv.(*server), ctx, req.(*R)) // it is registered for this server
			if err != nil {
				return nil, toStatus(err)
			}
			return r, nil
		}
		if interceptor == nil {
			return handler(ctx, req)
		}
		return interceptor(ctx, req, &grpc.UnaryServerInfo{Server: srv, FullMethod: method}, handler)
	}
}
