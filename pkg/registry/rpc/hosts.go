package rpc

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/wire"
)

// Hosts are the catalogs of one server. A call names its catalog by the
// :authority that every client sets from the address it dials, such as
// "<name>.<namespace>.svc:50051". Hosts are safe for concurrent use.
type Hosts struct {
	strict   bool // only full names of services are hosts
	mu       sync.Mutex
	byName   map[string]*host
	added    chan struct{} // closed when there is another host
	draining chan struct{} // closed by Drain
	drain    sync.Once
}

// patience is how long those who watch a host wait for its first content, or for
// the host, before they are told that there is none.
const patience = 5 * time.Second

// host is a name with the content that it serves now.
type host struct {
	content *content      // nil while there is none
	problem string        // why there is none, or no newer one; empty if there is no reason
	changed chan struct{} // closed when content or problem is replaced
}

// content is a store with the calls that still read it.
type content struct {
	store   registry.Store
	answers wire.Answers
	digest  string
	release func() // called once when nobody reads it any more
	users   int    // calls, and one for the host
}

// NewHosts returns a server without catalogs. A single catalog answers every
// call; several are told apart by the host, its name as a service, or its first
// label.
func NewHosts() *Hosts {
	return &Hosts{byName: map[string]*host{}, added: make(chan struct{}), draining: make(chan struct{})}
}

// NewServiceHosts returns a server without catalogs, whose catalogs belong to
// different people: each is named "<service>.<namespace>" and answers only calls
// to that service by its name with the namespace.
func NewServiceHosts() *Hosts {
	h := NewHosts()
	h.strict = true
	return h
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
	current := h.host(name)
	old := current.content
	current.content, current.problem = next, ""
	current.change()
	h.leave(old)
	return nil
}

// Explain says why a name serves nothing, or nothing newer, until the next Swap;
// an empty problem says that all is well. A name that serves nothing is known
// from then on.
func (h *Hosts) Explain(name, problem string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if current := h.host(name); current.problem != problem {
		current.problem = problem
		current.change()
	}
}

// Remove ends a name. Calls that read its store finish; then it is released.
func (h *Hosts) Remove(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if one, ok := h.byName[name]; ok {
		delete(h.byName, name)
		one.change()
		h.leave(one.content)
	}
}

// host returns what there is under a name, which is known from then on.
func (h *Hosts) host(name string) *host {
	one, ok := h.byName[name]
	if !ok {
		one = &host{changed: make(chan struct{})}
		h.byName[name] = one
		close(h.added)
		h.added = make(chan struct{})
	}
	return one
}

// change tells all who watch a host.
func (one *host) change() {
	close(one.changed)
	one.changed = make(chan struct{})
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
	if one.content == nil {
		return nil, nil, failure.New(failure.Waiting, "%s", cmp.Or(one.problem, unread))
	}
	c = one.content
	c.users++
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.leave(c)
	}, nil
}

// unread is the problem of a host that nobody explained.
const unread = "the content of the catalog is being read"

// News is what a watched host serves.
type News struct {
	Digest  string // of the content; empty while nothing is served
	Problem string // why nothing or nothing newer is served; empty if there is no reason
}

// observed is what is known about a host now.
type observed struct {
	News

	pending bool            // something better may come at any moment
	changed <-chan struct{} // closed when this is no longer so
}

// watch returns what the host that a call asks for serves. Where hosts come and
// go, one that is not there may still come.
func (h *Hosts) watch(ctx context.Context) (observed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one, err := h.find(authority(ctx))
	switch {
	case err != nil && h.strict:
		return observed{News: News{Problem: err.Error()}, pending: true, changed: h.added}, nil
	case err != nil:
		return observed{}, err
	case one.content != nil:
		return observed{News: News{Digest: one.content.digest, Problem: one.problem}, changed: one.changed}, nil
	}
	return observed{News: News{Problem: cmp.Or(one.problem, unread)}, pending: one.problem == "", changed: one.changed}, nil
}

func (h *Hosts) leave(c *content) {
	if c == nil {
		return
	}
	c.users--
	if c.users == 0 && c.release != nil {
		c.release()
	}
}

// find matches an authority with the names: as it is, without the domain of a
// cluster, by its first label. A single catalog needs no match, unless all do.
func (h *Hosts) find(authority string) (*host, error) {
	if h.strict {
		if one, ok := h.byName[service(authority)]; ok {
			return one, nil
		}
		return nil, failure.New(failure.NotFound, "no catalog is served as %q", authority).
			WithHint("dial <name>.<namespace>.svc:<port>, or set this authority")
	}
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

// service returns the "<name>.<namespace>" of an authority that names a service
// of a cluster: with or without its domain and a port. It is empty for others.
func service(authority string) string {
	labels := strings.Split(hostOf(authority), ".")
	if len(labels) == 2 || len(labels) > 2 && labels[2] == "svc" {
		return labels[0] + "." + labels[1]
	}
	return ""
}

// hostOf returns an authority in lower case, without a port.
func hostOf(authority string) string {
	name := strings.ToLower(authority)
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	return strings.TrimSuffix(name, ".")
}

func candidates(authority string) []string {
	name := hostOf(authority)
	service, _, _ := strings.Cut(name, ".svc")
	label, _, _ := strings.Cut(name, ".")
	return []string{name, service, label}
}

func authority(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(md.Get(":authority"), ",")
}

// state reports whether an authority is known and serves. One that names no
// service is the server itself.
func (h *Hosts) state(authority string) (known, serves bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.strict || service(authority) == "" {
		return true, true
	}
	one, known := h.byName[service(authority)]
	return known, known && one.content != nil
}
