package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"k8s.io/utils/clock"

	"chandler.dev/olm/internal/pages"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/hosting/serve"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/rpc"
)

const (
	defaultAddress     = "127.0.0.1:50051"
	defaultHTTPAddress = "127.0.0.1:8080"
	drainTimeout       = 20 * time.Second
	gcPercent          = 30
)

type serveOptions struct {
	sourceOptions
	transportOptions
	hostingOptions

	cache                cacheOptions
	address, httpAddress string
	httpRequired         bool // the address was asked for, so failing to get it is an error
	watch                bool
	pollInterval         time.Duration
}

func newServeCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve [NAME=]FILE_OR_SOURCE... | serve --kubernetes",
		Short: "Serve catalogs to gRPC clients",
		Long: `Serve catalogs to gRPC clients. A single catalog answers every call; of several,
clients choose by the host name that they dial: NAME, NAME.svc or any host whose
first label is NAME. A source is indexed first; with --cache-dir its index is kept,
and made again only if the source has changed or the index is damaged. /healthz,
/readyz and /metrics are on the HTTP address.

With --kubernetes, the catalogs are those of the CatalogSources of a cluster that
name an image or a ConfigMap. Clients choose by NAME.NAMESPACE.svc. Images are
read with the pull secrets of the CatalogSource, and again when its registryPoll
says so; content that is not good leaves the former in place.`,
		Args: func(cmd *cobra.Command, args []string) error { return o.checkArgs(cmd, args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			o.httpRequired = cmd.Flags().Changed("http-address")
			return runServe(cmd.Context(), cmd.ErrOrStderr(), o, args)
		},
	}
	cmd.Flags().StringVar(&o.address, "address", defaultAddress, "`host:port` for gRPC; port 0 takes a free one")
	cmd.Flags().StringVar(&o.httpAddress, "http-address", defaultHTTPAddress, "`host:port` for health and metrics; empty for none")
	cmd.Flags().BoolVar(&o.watch, "watch", false, "serve changed content when files change, or the digest of an image")
	cmd.Flags().DurationVar(&o.pollInterval, "poll-interval", defaultPollInterval, "`time` between questions for the digest of a watched image, and up to a fifth more")
	addSourceFlags(cmd, &o.sourceOptions)
	addTransportFlags(cmd, &o.transportOptions)
	addCacheFlags(cmd, &o.cache)
	addHostingFlags(cmd, &o.hostingOptions)
	return cmd
}

// served is one argument of serve.
type served struct {
	name, arg string
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$`)

// servedOf reads the arguments. Of several catalogs each needs a name; it is
// that of the file if none is given.
func servedOf(args []string) ([]served, error) {
	var all []served
	seen := map[string]bool{}
	for _, arg := range args {
		s := served{arg: arg}
		if name, rest, ok := strings.Cut(arg, "="); ok && hostName.MatchString(name) {
			s = served{name: strings.ToLower(name), arg: rest}
		} else if len(args) > 1 {
			base := filepath.Base(arg)
			s.name = strings.ToLower(strings.TrimSuffix(base, filepath.Ext(base)))
		}
		if seen[s.name] {
			return nil, failure.New(failure.Invalid, "two catalogs are named %q", s.name).WithHint("name them with NAME=FILE")
		}
		seen[s.name] = true
		all = append(all, s)
	}
	return all, nil
}

// server is a running serve command.
type server struct {
	options serveOptions
	log     *slog.Logger
	clock   clock.WithTicker
	hosts   *rpc.Hosts
	health  *rpc.Health
	metrics *metrics
	hosting *serve.Server // nil without a cluster
}

func runServe(ctx context.Context, stderr io.Writer, o serveOptions, args []string) error {
	all, err := servedOf(args)
	if err != nil {
		return err
	}
	if err := o.cache.check(); err != nil {
		return err
	}
	if o.pollInterval <= 0 {
		return failure.New(failure.Invalid, "--poll-interval must be more than 0, not %s", o.pollInterval).WithHint("write it like 5m")
	}
	s := newServer(stderr, o)
	defer s.hosts.Close()
	digests, stop, err := s.loadAll(ctx, all)
	if err != nil || o.cache.only {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// What is alive is small: collecting more often costs little.
		debug.SetGCPercent(gcPercent)
	}
	defer stop()
	options, err := s.grpcOptions()
	if err != nil {
		return err
	}
	listen := &net.ListenConfig{}
	listener, err := listen.Listen(ctx, "tcp", o.address)
	if err != nil {
		return busy(err, "--address")
	}
	srv := grpc.NewServer(options...)
	rpc.RegisterHosts(srv, s.hosts)
	healthv1.RegisterHealthServer(srv, s.health)
	reflection.Register(srv)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return srv.Serve(listener) })
	group.Go(func() error {
		<-ctx.Done()
		s.drain(srv)
		return nil
	})
	if err := s.serveHTTP(ctx, group); err != nil {
		srv.Stop()
		return errors.Join(err, group.Wait())
	}
	if s.hosting != nil {
		group.Go(func() error { return s.hosting.Run(ctx) })
	}
	if o.watch {
		for i, one := range all {
			group.Go(func() error { return s.watch(ctx, one, digests[i]) })
		}
	}
	s.log.Info("serving", "address", listener.Addr().String(), "catalogs", len(all))
	return group.Wait()
}

func newServer(stderr io.Writer, o serveOptions) *server {
	hosts := rpc.NewHosts()
	if o.kubernetes {
		hosts = rpc.NewServiceHosts()
	}
	return &server{
		options: o, log: slog.New(slog.NewTextHandler(stderr, nil)), clock: clock.RealClock{},
		hosts: hosts, health: &rpc.Health{Hosts: hosts}, metrics: newMetrics(),
	}
}

// loadAll serves the arguments, whose digests it returns, or prepares to host
// what a cluster asks for. stop has to be called after the last call.
func (s *server) loadAll(ctx context.Context, all []served) (digests []string, stop func(), err error) {
	if s.options.kubernetes {
		stop, err = s.prepareHosting()
		return nil, stop, err
	}
	digests = make([]string, len(all))
	for i, one := range all {
		digests[i] = s.digestOf(ctx, one)
		if err := s.load(ctx, one); err != nil {
			return nil, nil, err
		}
	}
	return digests, func() {}, nil
}

// load indexes or opens a catalog and serves it from now on.
func (s *server) load(ctx context.Context, one served) error {
	store, err := s.open(ctx, one)
	if err != nil {
		return err
	}
	if err := s.hosts.Swap(ctx, one.name, store.Store, store.release); err != nil {
		store.release()
		return err
	}
	go giveBack() // the first answers need not wait for it
	return nil
}

// giveBack returns the memory to the system that was needed for starting and for
// indexing.
func giveBack() {
	runtime.GC() // a pool empties at the second collection
	debug.FreeOSMemory()
	_ = pages.DropUntouched() // they stay, which harms nobody
}

func (s *server) open(ctx context.Context, one served) (stored, error) {
	at, err := placeOf(one.arg)
	switch {
	case err != nil:
		return stored{}, err
	case at == catalogFile:
		return openStore(ctx, one.arg, s.options.sourceOptions, s.leftOut)
	case s.options.cache.dir != "":
		return s.kept(ctx, one)
	}
	src, release, err := s.options.source(ctx, one.arg, s.leftOut)
	if err != nil {
		return stored{}, err
	}
	defer release()
	return index(ctx, src)
}

// leftOut logs what is left out of a catalog, one line for each thing.
func (s *server) leftOut(p registry.Problem) {
	s.log.Warn("left out", "problem", p.Message, "hint", p.Hint, "where", p.Where)
	for _, child := range p.Problems {
		s.leftOut(child)
	}
}

// drain lets calls finish and refuses new ones.
func (s *server) drain(srv *grpc.Server) {
	s.health.Drain()
	s.hosts.Drain()
	stopped := make(chan struct{})
	go func() {
		srv.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-s.clock.After(drainTimeout):
		srv.Stop()
	}
	s.log.Info("stopped")
}

// serveHTTP serves health and metrics until ctx ends.
func (s *server) serveHTTP(ctx context.Context, group *errgroup.Group) error {
	if s.options.httpAddress == "" {
		return nil
	}
	listen := &net.ListenConfig{}
	listener, err := listen.Listen(ctx, "tcp", s.options.httpAddress)
	if err != nil && !s.options.httpRequired {
		s.log.Warn("no health and metrics over HTTP", "address", s.options.httpAddress, "error", err)
		return nil
	}
	if err != nil {
		return busy(err, "--http-address")
	}
	srv := &http.Server{Handler: s.httpHandler(), ReadHeaderTimeout: 10 * time.Second}
	group.Go(func() error {
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return srv.Close()
	})
	return nil
}

func busy(err error, flag string) error {
	e := failure.New(failure.Conflict, "cannot listen: %v", err)
	return e.WithHint("choose another address with %s", flag)
}
