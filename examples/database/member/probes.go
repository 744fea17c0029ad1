package member

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
)

// probes answers the kubelet: /livez while the process runs, /readyz when the
// member does what its role is for.
type probes struct {
	role   Role
	server atomic.Pointer[etcdserver.EtcdServer] // nil until etcd is started
}

func newProbes(role Role) *probes { return &probes{role: role} }

func (p *probes) watch(server *embed.Etcd) { p.server.Store(server.Server) }

func (p *probes) serve(ctx context.Context, address string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := p.ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	s := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: time.Second}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		logr.FromContextOrDiscard(ctx).Error(err, "serve health endpoints")
	}
}

// ready asks a voter for a read that a majority confirms, and a reader for a
// leader that feeds it.
func (p *probes) ready(ctx context.Context) error {
	server := p.server.Load()
	switch {
	case server == nil:
		return errors.New("not started")
	case server.Leader() == 0:
		return errors.New("no leader")
	case p.role == Reader:
		return nil
	case server.IsLearner():
		return errors.New("not promoted yet")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return server.LinearizableReadNotify(ctx)
}
