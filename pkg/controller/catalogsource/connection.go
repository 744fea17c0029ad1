package catalogsource

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/connectivity"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"

	"chandler.dev/olm/pkg/controller/condition"
	"chandler.dev/olm/pkg/controller/snapshot"
	"chandler.dev/olm/pkg/failure"
)

// connection follows one catalog server: while it is connected, the snapshot
// of the catalog is what the server has.
type connection struct {
	catalog   types.NamespacedName
	target    target
	server    Server
	snapshots *snapshot.Cache
	clock     clock.WithTicker
	reading   chan struct{} // bounds how many catalogs are read at once
	changed   func()        // called after every change of what observe returns

	mu   sync.Mutex
	seen observation

	cancel context.CancelFunc
	done   chan struct{}
}

// start follows the server until stop.
func (c *connection) start(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	c.done = make(chan struct{})
	c.snapshots.Connect(c.catalog, c.server.Live)
	go func() {
		defer close(c.done)
		c.run(ctx)
	}()
}

// stop ends the connection and waits for its end.
func (c *connection) stop() {
	c.cancel()
	<-c.done
	c.snapshots.Connect(c.catalog, nil)
	_ = c.server.Conn.Close()
}

// observe returns what is known now.
func (c *connection) observe() observation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

// note changes what is known and says so if it is something else than before.
func (c *connection) note(change func(*observation)) {
	c.mu.Lock()
	before := c.seen
	change(&c.seen)
	same := c.seen == before
	c.mu.Unlock()
	if !same {
		c.changed()
	}
}

func (c *connection) run(ctx context.Context) {
	for ctx.Err() == nil {
		state := c.server.Conn.GetState()
		switch state {
		case connectivity.Ready:
			c.session(ctx)
			continue
		case connectivity.Idle:
			c.server.Conn.Connect()
		case connectivity.TransientFailure:
			c.lost(ctx)
		case connectivity.Shutdown:
			return
		case connectivity.Connecting:
		}
		c.server.Conn.WaitForStateChange(ctx, state)
	}
}

// lost notes that the server is unreachable, once, with its first cause.
func (c *connection) lost(ctx context.Context) {
	if before := c.observe(); before.state == stateUnreachable && before.told == "" {
		return
	}
	cause := causeOf(c.server.Watch(ctx, func(News) {}))
	c.note(func(o *observation) {
		c.turn(o, stateUnreachable)
		o.cause, o.told = cause, ""
	})
}

// turn changes the state of an observation.
func (c *connection) turn(o *observation, state string) {
	if o.state != state {
		o.state, o.since = state, c.clock.Now()
	}
}

// causeOf finds the part of a gRPC error that says what the network said.
func causeOf(err error) string {
	if err == nil {
		return ""
	}
	_, cause, found := strings.Cut(err.Error(), "Error while dialing: ")
	if !found {
		return ""
	}
	return strings.TrimRight(cause, `"`)
}

// session follows the content of the server while it is connected.
func (c *connection) session(ctx context.Context) {
	if !c.target.hosted() { // of a shared server, only the catalog itself can say
		c.connected()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	digests := make(chan string, 1)
	var g errgroup.Group
	g.Go(func() error {
		c.server.Conn.WaitForStateChange(ctx, connectivity.Ready)
		cancel()
		return nil
	})
	g.Go(func() error { c.announce(ctx, digests); return nil })
	g.Go(func() error { c.follow(ctx, digests); return nil })
	_ = g.Wait()
}

func (c *connection) connected() {
	c.note(func(o *observation) {
		o.state, o.since, o.cause, o.told = stateReady, c.clock.Now(), "", ""
	})
}

// hear notes what the server says about its catalog.
func (c *connection) hear(news News) {
	c.note(func(o *observation) {
		if news.Digest == "" {
			c.turn(o, stateUnreachable)
		} else {
			c.turn(o, stateReady)
		}
		o.cause, o.told = "", news.Problem
	})
}

// announce puts the newest digest of the server into digests; an empty one
// means that nobody knows, so that the content has to be read.
func (c *connection) announce(ctx context.Context, digests chan string) {
	backoff := newBackoff()
	for ctx.Err() == nil {
		err := c.server.Watch(ctx, func(news News) {
			c.hear(news)
			if news.Digest != "" {
				replace(digests, news.Digest)
			}
		})
		switch {
		case errors.Is(err, ErrCannotWatch):
			if c.target.hosted() {
				c.connected()
			}
			c.poll(ctx, digests)
			return
		case failure.KindOf(err) == failure.NotFound:
			c.hear(News{Problem: condition.Text(err)})
		}
		c.sleep(ctx, backoff.Step())
	}
}

func replace(digests chan string, digest string) {
	select {
	case <-digests:
	default:
	}
	digests <- digest
}

func (c *connection) poll(ctx context.Context, digests chan string) {
	for ctx.Err() == nil {
		replace(digests, "")
		c.sleep(ctx, wait.Jitter(c.target.interval*9/10, 0.2))
	}
}

// follow reads the content whenever there is another one.
func (c *connection) follow(ctx context.Context, digests <-chan string) {
	backoff := newBackoff()
	var again <-chan time.Time
	digest := ""
	for {
		select {
		case <-ctx.Done():
			return
		case digest = <-digests:
			backoff = newBackoff()
		case <-again:
		}
		again = nil
		if err := c.read(ctx, digest); err != nil && ctx.Err() == nil {
			logr.FromContextOrDiscard(ctx).Info("catalog was not read", "reason", err.Error())
			again = c.clock.After(backoff.Step())
		}
	}
}

// read makes the content of the server the snapshot of the catalog.
func (c *connection) read(ctx context.Context, digest string) error {
	if digest != "" && digest == c.snapshots.Origin(c.catalog) {
		if s, err := c.snapshots.Open(ctx, c.catalog); err == nil {
			s.Close()
			c.note(func(o *observation) { o.snapshot, o.unread = true, "" })
			return nil
		}
	}
	select {
	case c.reading <- struct{}{}:
		defer func() { <-c.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := c.snapshots.Put(ctx, c.catalog, digest, c.server.Save)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.note(func(o *observation) {
		o.unread = condition.Text(err)
		if err == nil {
			o.snapshot, o.readAt = true, c.clock.Now()
		}
	})
	return err
}

func (c *connection) sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-c.clock.After(d):
	}
}

func newBackoff() *wait.Backoff {
	return &wait.Backoff{Duration: readBackoff, Factor: 2, Jitter: 0.1, Steps: 20, Cap: maxReadBackoff}
}
