package rpc

import (
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc/metadata"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/wire"
)

// Hosts are the catalogs of one server. A call names its catalog by the
// :authority that every client sets from the address it dials, such as
// "<name>.<namespace>.svc:50051". A single catalog answers every call.
// Hosts are safe for concurrent use.
type Hosts struct {
	mu       sync.Mutex
	byName   map[string]*host
	draining chan struct{} // closed by Drain
	drain    sync.Once
}

// host is a name with the content that it serves now.
type host struct {
	content *content
	changed chan struct{} // closed when content is replaced
}

// content is a store with the calls that still read it.
type content struct {
	store   registry.Store
	answers wire.Answers
	digest  string
	release func() // called once when nobody reads it any more
	users   int    // calls, and one for the host
}

// NewHosts returns a server without catalogs.
func NewHosts() *Hosts {
	return &Hosts{byName: map[string]*host{}, draining: make(chan struct{})}
}

// Drain ends the calls that would last as long as the server, so that it can
// stop when the others are done.
func (h *Hosts) Drain() { h.drain.Do(func() { close(h.draining) }) }

// Swap serves a store under a name from the next call on. Calls that read the
// store served before finish with it; then its release is called. release may
// be nil.
func (h *Hosts) Swap(ctx context.Context, name string, store registry.Store, release func()) error {
	digest, err := store.Digest(ctx)
	if err != nil {
		return err
	}
	next := &content{store: store, answers: wire.AnswersOf(store), digest: digest, release: release, users: 1}
	h.mu.Lock()
	defer h.mu.Unlock()
	current, ok := h.byName[name]
	if !ok {
		h.byName[name] = &host{content: next, changed: make(chan struct{})}
		return nil
	}
	old := current.content
	current.content = next
	close(current.changed)
	current.changed = make(chan struct{})
	h.leave(old)
	return nil
}

// Close releases every store that no call reads; the others follow.
func (h *Hosts) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.byName {
		h.leave(one.content)
	}
	h.byName = map[string]*host{}
}

// Names returns the names of the catalogs, sorted.
func (h *Hosts) Names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.byName))
}

// enter returns the content that a call asks for; the caller must call done.
func (h *Hosts) enter(ctx context.Context) (c *content, done func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one, err := h.find(authority(ctx))
	if err != nil {
		return nil, nil, err
	}
	c = one.content
	c.users++
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.leave(c)
	}, nil
}

// digest returns the digest of what a call asks for and a channel that is
// closed when it changes.
func (h *Hosts) digest(ctx context.Context) (digest string, changed <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one, err := h.find(authority(ctx))
	if err != nil {
		return "", nil, err
	}
	return one.content.digest, one.changed, nil
}

func (h *Hosts) leave(c *content) {
	c.users--
	if c.users == 0 && c.release != nil {
		c.release()
	}
}

// find matches an authority with the names: as it is, without the domain of a
// cluster, by its first label. A single catalog needs no match.
func (h *Hosts) find(authority string) (*host, error) {
	if len(h.byName) == 1 {
		for _, only := range h.byName {
			return only, nil
		}
	}
	for _, name := range candidates(authority) {
		if one, ok := h.byName[name]; ok {
			return one, nil
		}
	}
	if one, ok := h.byName[""]; ok {
		return one, nil
	}
	return nil, failure.New(failure.NotFound, "no catalog is served as %q", authority)
}

func candidates(authority string) []string {
	name := strings.ToLower(authority)
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.TrimSuffix(name, ".")
	service, _, _ := strings.Cut(name, ".svc")
	label, _, _ := strings.Cut(name, ".")
	return []string{name, service, label}
}

func authority(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(md.Get(":authority"), ",")
}
