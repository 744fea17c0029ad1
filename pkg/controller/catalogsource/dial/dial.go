// Package dial reaches catalog servers over gRPC and writes what they offer
// into SQLite files. It decides nothing: the catalogsource controller does.
package dial

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"chandler.dev/olm/pkg/controller/catalogsource"
	"chandler.dev/olm/pkg/controller/snapshot"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/rpc"
	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
)

const (
	keepaliveTime    = time.Minute // a silent peer is asked whether it lives
	keepaliveTimeout = 10 * time.Second
	connectTimeout   = 5 * time.Second
	maxBackoff       = 5 * time.Second // between attempts to connect
	contentTimeout   = time.Minute
	maxMessage       = 256 << 20 // of one bundle with its manifests
)

// Address returns a connection to the catalog server at host:port, without
// waiting for it. Of several catalogs on one server, authority names the one that
// is meant; if it is empty, the address does. Catalogs are public data on the
// cluster's network: as the existing clients do, it uses neither encryption nor
// credentials.
func Address(address, authority string) (catalogsource.Server, error) {
	conn, err := connect(address, authority)
	if err != nil {
		return catalogsource.Server{}, err
	}
	s := server{conn}
	return catalogsource.Server{Conn: conn, Live: s, Watch: s.watch, Save: s.save}, nil
}

// Store returns the catalog at host:port, or the one that authority names there,
// to be read from, as soon as its server answers. The failure is Waiting if it does not: at once if the address leads
// nowhere, and at the latest when ctx ends or a few seconds are over.
func Store(ctx context.Context, address, authority string) (store registry.Store, closeStore func() error, err error) {
	conn, err := connect(address, authority)
	if err != nil {
		return nil, nil, failure.New(failure.Invalid, "cannot read the address %q", address).WithHint("write it as host:port")
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure || !conn.WaitForStateChange(ctx, state) {
			return nil, nil, errors.Join(failure.New(failure.Waiting, "the catalog at %q does not answer", address).WithHint("check that its server runs"), conn.Close())
		}
	}
	return rpc.NewClient(conn), conn.Close, nil
}

func connect(address, authority string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address,
		grpc.WithAuthority(authority),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithIdleTimeout(0), // the state of the connection is what gets watched
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	)
}

// OpenFile opens a file that a server was saved to.
func OpenFile(ctx context.Context, path string) (snapshot.Store, error) {
	return sqlite.Open(ctx, path)
}

type server struct{ conn *grpc.ClientConn }

func (s server) watch(ctx context.Context, changed func(catalogsource.News)) error {
	for news, err := range rpc.Watch(ctx, s.conn) {
		switch {
		case errors.Is(err, rpc.ErrNoWatch):
			return catalogsource.ErrCannotWatch
		case err != nil:
			return err
		}
		changed(catalogsource.News(news))
	}
	return ctx.Err()
}

func (s server) save(ctx context.Context, path string) error {
	return sqlite.Create(ctx, path, registry.FromStore(rpc.NewClient(s.conn)))
}

// Content asks for one bundle directly: to know only its name would need the
// list of all.
func (s server) Content(ctx context.Context, pkg, channel, bundle string) (registry.Content, error) {
	ctx, cancel := context.WithTimeout(ctx, contentTimeout)
	defer cancel()
	msg, err := api.NewRegistryClient(s.conn).GetBundle(ctx, &api.GetBundleRequest{PkgName: pkg, ChannelName: channel, CsvName: bundle})
	switch status.Code(err) {
	case codes.OK:
		return wire.ContentOf(msg), nil
	case codes.Unavailable, codes.DeadlineExceeded:
		e := failure.New(failure.Waiting, "the catalog does not answer for the content of %q", bundle).WithHint("check that its server runs")
		e.Err = err
		return registry.Content{}, e
	default:
		e := failure.New(failure.NotFound, "the catalog does not hand out the content of %q", bundle).WithHint("check the log of its server")
		e.Err = err
		return registry.Content{}, e
	}
}
