package rpc_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/rpc"
	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/registry/storetest"
	api "chandler.dev/olm/proto"
)

// summaries is a catalog of bundles of many sizes of which only the metadata
// is known, and one with manifests.
func summaries() registry.Catalog {
	ch := registry.Channel{Name: "c"}
	var c registry.Catalog
	add := func(b registry.Bundle) {
		e := registry.Entry{Name: b.Name}
		if n := len(ch.Entries); n > 0 {
			e.Replaces = ch.Entries[n-1].Name
		}
		ch.Entries, ch.Head = append(ch.Entries, e), b.Name
		c = append(c, registry.Item{Bundle: &b})
	}
	for i := range 10 {
		metadata := fmt.Sprintf(`{"apiServiceDefinitions":{},"crdDescriptions":{},"displayName":%q}`, strings.Repeat(string(rune('a'+i)), 1<<(2*i)))
		add(registry.Bundle{
			Package: "p", Name: fmt.Sprintf("p.v%d", i), Version: fmt.Sprintf("%d.0.0", i), Image: "example.com/p",
			Properties: []registry.Property{{Type: registry.PropertyPackage, Value: json.RawMessage(fmt.Sprintf(`{"packageName":"p","version":"%d.0.0"}`, i))}},
			Content:    registry.Content{Metadata: json.RawMessage(metadata)},
		})
	}
	add(storetest.Inline("p", "p.v10", "10.0.0"))
	return append(c, registry.Item{Package: &registry.Package{
		Name: "p", DefaultChannel: "c", Channels: []registry.Channel{ch}, Description: "what it does", Icon: &registry.Icon{Data: []byte("icon"), MediaType: "image/png"},
	}})
}

func TestAnswersThatUseMemoryAgainAreNotMixedUp(t *testing.T) {
	model, err := memory.New(t.Context(), summaries())
	if err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string][]grpc.ServerOption{"with the codec": {rpc.Codec()}, "without it": nil} {
		t.Run(name, func(t *testing.T) {
			file := t.TempDir() + "/catalog.db"
			if err := sqlite.Create(t.Context(), file, summaries()); err != nil {
				t.Fatal(err)
			}
			store, err := sqlite.Open(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			want := api.NewRegistryClient(on(t, model))
			got := api.NewRegistryClient(on(t, store, options...))
			var answers []*api.Bundle
			for i := range 11 {
				answer, err := want.GetBundle(t.Context(), asked(i))
				if err != nil {
					t.Fatal(err)
				}
				answers = append(answers, answer)
			}
			group, ctx := errgroup.WithContext(t.Context())
			for worker := range 8 {
				group.Go(func() error {
					for call := range 100 {
						i := (worker + call*7) % len(answers)
						answer, err := got.GetBundle(ctx, asked(i))
						if err != nil {
							return err
						}
						if !proto.Equal(answers[i], answer) {
							return fmt.Errorf("bundle %d is answered with %s", i, answer.GetCsvName())
						}
					}
					return nil
				})
			}
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func asked(i int) *api.GetBundleRequest {
	return &api.GetBundleRequest{PkgName: "p", ChannelName: "c", CsvName: fmt.Sprintf("p.v%d", i)}
}

// on serves a store over loopback.
func on(t *testing.T, store registry.Store, options ...grpc.ServerOption) *grpc.ClientConn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(options...)
	if err := rpc.Register(t.Context(), srv, store); err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(listener) }()
	t.Cleanup(srv.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
