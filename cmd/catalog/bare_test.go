package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"

	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
)

// sizes are the amounts that a bare server sends.
type sizes struct {
	bundle   int // bytes of an answer of GetBundle
	messages int // of ListBundles
	listed   int // bytes of each
}

// bareServer answers bytes from memory: the least that any server has to do.
type bareServer struct {
	api.UnimplementedRegistryServer

	sizes sizes
	one   []byte
	small []byte
}

// serveBare serves until the process is ended.
func serveBare(spec string) {
	address, rest, _ := strings.Cut(spec, ",")
	s := &bareServer{}
	if _, err := fmt.Sscanf(rest, "%d,%d,%d", &s.sizes.bundle, &s.sizes.messages, &s.sizes.listed); err != nil {
		panic(err)
	}
	s.one, s.small = message(s.sizes.bundle), message(s.sizes.listed)
	listener, err := net.Listen("tcp", address) //nolint:noctx // lasts as long as the process
	if err != nil {
		panic(err)
	}
	srv := grpc.NewServer()
	api.RegisterRegistryServer(srv, s)
	fmt.Fprintln(os.Stderr, srv.Serve(listener))
}

// message returns a bundle of about n bytes.
func message(n int) []byte {
	return wire.Template{CSV: bytes.Repeat([]byte("x"), n/2)}.AppendTo(nil, wire.Fields{}).Whole()
}

func (s *bareServer) ListPackages(*api.ListPackageRequest, grpc.ServerStreamingServer[api.PackageName]) error {
	return nil
}

func (s *bareServer) GetBundle(context.Context, *api.GetBundleRequest) (*api.Bundle, error) {
	return wire.Encoded(s.one), nil
}

func (s *bareServer) ListBundles(_ *api.ListBundlesRequest, stream grpc.ServerStreamingServer[api.Bundle]) error {
	for range s.sizes.messages {
		if err := stream.Send(wire.Encoded(s.small)); err != nil {
			return err
		}
	}
	return nil
}

// split cuts a file into its documents.
func split(text []byte, toJSON func([]byte) ([]byte, error)) [][]byte {
	if toJSON != nil {
		return bytes.Split(text, []byte("\n---\n"))
	}
	var all [][]byte
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return all
		}
		all = append(all, raw)
	}
}

func decodeOne(doc []byte, toJSON func([]byte) ([]byte, error)) (err error) {
	if toJSON != nil {
		if doc, err = toJSON(doc); err != nil {
			return err
		}
	}
	var v any
	return json.Unmarshal(doc, &v)
}
