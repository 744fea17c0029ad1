// Package serve hosts the catalogs of CatalogSources: it follows what a cluster
// asks for, reads content, and swaps what is good in under the running server.
// Content that cannot be read or is invalid changes nothing but the reason that
// the host gives. It decides nothing about Kubernetes and writes nothing there.
package serve

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"chandler.dev/olm/pkg/hosting"
	"chandler.dev/olm/pkg/hosting/files"
	"chandler.dev/olm/pkg/registry"
)

// startTimeout is how long a server that starts may take for the first reading
// of its catalogs, until it is ready in any case.
const startTimeout = 2 * time.Minute

// Cluster tells what is asked for. Its calls last as long as their context.
type Cluster interface {
	Catalogs(ctx context.Context, changed func([]hosting.Request)) error
	ConfigMap(ctx context.Context, namespace, name string, changed func(data map[string]string)) error
	Secrets(ctx context.Context, r hosting.Request) (found []hosting.Secret, absent []string, err error)
}

// Hosts are where catalogs are served.
type Hosts interface {
	Swap(ctx context.Context, name string, store registry.Store, release func()) error
	Explain(name, problem string)
	Remove(name string)
}

// Content is what a request asks for, before it is read.
type Content struct {
	Key string // the same for the same content; part of a file name
	// Source reads it; it may keep files in dir as long as the source is read.
	Source func(ctx context.Context, dir string) (registry.Source, error)
}

// Options are what a Server works with.
type Options struct {
	Cluster Cluster
	Hosts   Hosts
	Files   *files.Cache
	Limits  hosting.Limits
	Log     *slog.Logger
	Clock   clock.WithTicker

	// Image looks at the image of a request.
	Image func(ctx context.Context, r hosting.Request, secrets []hosting.Secret) (Content, error)
	// ConfigMap looks at the data of the ConfigMap of a request.
	ConfigMap func(r hosting.Request, data map[string]string) Content
	// Index writes a catalog into a file, Open opens it.
	Index func(ctx context.Context, path string, src registry.Source) error
	Open  func(ctx context.Context, path string) (store registry.Store, closeStore func(), err error)
	// After is called after content was read, or could not be.
	After func(err error)
}

// Server hosts catalogs.
type Server struct {
	Options

	slots    slots
	catalogs map[string]*catalog // by key
	refused  map[string]string   // hosts that only give a reason
	ready    chan struct{}       // closed when the first reading is over
}

// New returns a server of nothing.
func New(o Options) *Server {
	return &Server{Options: o, slots: newSlots(), catalogs: map[string]*catalog{}, refused: map[string]string{}, ready: make(chan struct{})}
}

// Ready reports whether every catalog that was there at the start was read, or
// tried.
func (s *Server) Ready() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// Run hosts catalogs until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	var running errgroup.Group
	first := true
	err := s.Cluster.Catalogs(ctx, func(requests []hosting.Request) {
		hosted, refused := hosting.Admit(requests, s.Limits)
		s.follow(ctx, hosted)
		s.refuse(hosted, refused)
		if err := s.Files.Sweep(func(name string) bool { return s.catalogs[name] != nil }); err != nil {
			s.Log.Warn("clearing the cache", "error", err)
		}
		if first {
			first = false
			running.Go(func() error { s.awaitFirst(ctx, s.tried()); return nil })
		}
	})
	for _, c := range s.catalogs {
		c.stop()
	}
	_ = running.Wait()
	return err
}

// follow makes the catalogs that run those that are to be hosted.
func (s *Server) follow(ctx context.Context, hosted []hosting.Request) {
	wanted := map[string]hosting.Request{}
	for _, r := range hosted {
		wanted[r.Key()] = r
	}
	for key, c := range s.catalogs {
		r, stays := wanted[key]
		if stays && r.UID == c.request.UID {
			continue
		}
		c.stop()
		delete(s.catalogs, key)
		s.Files.Forget(key)
		s.Hosts.Remove(c.request.Host())
		s.Log.Info("a catalog is no longer hosted", "catalog", key)
	}
	for key, r := range wanted {
		before := s.catalogs[key]
		if before != nil && before.request.Equal(r) {
			continue
		}
		c := newCatalog(s, r)
		if before != nil {
			before.stop()
			c.serving = before.serving
		}
		s.catalogs[key] = c
		c.start(ctx)
	}
}

// refuse makes the hosts of catalogs that are not hosted say why.
func (s *Server) refuse(hosted []hosting.Request, refused []hosting.Refusal) {
	taken := map[string]bool{}
	for _, r := range hosted {
		taken[r.Host()] = true
	}
	reasons := map[string]string{}
	for _, r := range refused {
		if !taken[r.Host()] {
			reasons[r.Host()] = r.Reason
		}
		if r.Taken || reasons[r.Host()] != s.refused[r.Host()] {
			s.Log.Warn("a catalog is not hosted", "catalog", r.Key(), "reason", r.Reason)
		}
	}
	for host := range s.refused {
		if _, still := reasons[host]; !still && !taken[host] {
			s.Hosts.Remove(host)
		}
	}
	for host, reason := range reasons {
		s.Hosts.Explain(host, reason)
	}
	s.refused = reasons
}

// tried are closed when a catalog was looked at for the first time.
func (s *Server) tried() (all []<-chan struct{}) {
	for _, c := range s.catalogs {
		all = append(all, c.tried)
	}
	return all
}

func (s *Server) awaitFirst(ctx context.Context, all []<-chan struct{}) {
	timeout := s.Clock.NewTimer(startTimeout)
	defer timeout.Stop()
	for _, tried := range all {
		select {
		case <-ctx.Done():
			return
		case <-tried:
			continue
		case <-timeout.C():
		}
		break
	}
	close(s.ready)
}

// slots bound what happens at a time, so that a slow registry of one namespace
// does not hold up the others for long.
type slots struct {
	reading  chan struct{} // downloads
	indexing chan struct{}

	mu        sync.Mutex
	namespace map[string]chan struct{} // downloads of a namespace
}

const (
	maxReading             = 4
	maxReadingPerNamespace = 1
	maxIndexing            = 1
)

func newSlots() slots {
	return slots{reading: make(chan struct{}, maxReading), indexing: make(chan struct{}, maxIndexing), namespace: map[string]chan struct{}{}}
}

func (s *slots) of(namespace string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, ok := s.namespace[namespace]
	if !ok {
		slot = make(chan struct{}, maxReadingPerNamespace)
		s.namespace[namespace] = slot
	}
	return slot
}

// enter waits for a place in each of some slots, in order.
func enter(ctx context.Context, all ...chan struct{}) (leave func(), err error) {
	for i, slot := range all {
		select {
		case slot <- struct{}{}:
		case <-ctx.Done():
			for _, entered := range all[:i] {
				<-entered
			}
			return nil, ctx.Err()
		}
	}
	return func() {
		for _, slot := range all {
			<-slot
		}
	}, nil
}
