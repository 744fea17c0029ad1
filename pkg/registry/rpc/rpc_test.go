package rpc_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/rpc"
	"chandler.dev/olm/pkg/registry/storetest"
)

func TestStoreOverGRPC(t *testing.T) {
	storetest.Run(t, func(t *testing.T, src registry.Source) registry.Store {
		return rpc.NewClient(dial(t, hostsOf(t, src)))
	})
}

func hostsOf(t *testing.T, src registry.Source) *rpc.Hosts {
	t.Helper()
	hosts := rpc.NewHosts()
	if err := hosts.Swap(t.Context(), "", storeOf(t, src), nil); err != nil {
		t.Fatal(err)
	}
	return hosts
}

func storeOf(t *testing.T, src registry.Source) registry.Store {
	t.Helper()
	store, err := memory.New(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// dial serves hosts in this process and connects to them.
func dial(t *testing.T, hosts *rpc.Hosts, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	srv := grpc.NewServer(rpc.Codec())
	rpc.RegisterHosts(srv, hosts)
	healthv1.RegisterHealthServer(srv, &rpc.Health{Hosts: hosts})
	return connect(t, srv, options...)
}

// connect starts a server in this process and connects to it.
func connect(t *testing.T, srv *grpc.Server, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)

	options = append(options,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///bufconn", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
