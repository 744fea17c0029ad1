package serve

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/hosting"
	"chandler.dev/olm/pkg/hosting/files"
	"chandler.dev/olm/pkg/registry"
)

const (
	lookTimeout = time.Minute      // for what an image is
	readTimeout = 15 * time.Minute // for its content
)

// catalog is one that is hosted.
type catalog struct {
	server  *Server
	request hosting.Request
	tried   chan struct{} // closed after the first attempt

	// Only the goroutine of the catalog uses these.
	serving  string // key of the content that is served; empty if there is none
	failures int    // in a row
	said     string // why the content is not served

	cancel context.CancelFunc
	done   chan struct{}
}

func newCatalog(s *Server, r hosting.Request) *catalog {
	return &catalog{server: s, request: r, tried: make(chan struct{}), done: make(chan struct{})}
}

func (c *catalog) start(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	if c.serving == "" {
		c.server.Hosts.Explain(c.request.Host(), "") // known, and about to be read
	}
	go func() {
		defer close(c.done)
		if c.request.ConfigMap != "" {
			c.followConfigMap(ctx)
		} else {
			c.followImage(ctx)
		}
	}()
}

// stop ends the work on a catalog. What it serves is served on.
func (c *catalog) stop() {
	c.cancel()
	<-c.done
}

// followImage serves what the image is, and looks again when it is time to.
func (c *catalog) followImage(ctx context.Context) {
	c.recall(ctx)
	for first := true; ; first = false {
		c.note(ctx, c.refresh(ctx))
		if first {
			close(c.tried)
		}
		var again <-chan time.Time
		if pause := hosting.Next(c.request, c.failures); pause > 0 {
			again = c.server.Clock.After(wait.Jitter(pause*9/10, 0.2))
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		}
	}
}

// followConfigMap serves what the ConfigMap holds whenever that changes.
func (c *catalog) followConfigMap(ctx context.Context) {
	newest := make(chan map[string]string, 1)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		err := c.server.Cluster.ConfigMap(ctx, c.request.Namespace, c.request.ConfigMap, func(data map[string]string) {
			select {
			case <-newest:
			default:
			}
			newest <- data
		})
		if err != nil {
			c.server.Log.Error("watching a ConfigMap", "catalog", c.request.Key(), "error", err)
		}
	}()
	defer func() { <-watched }()
	var data map[string]string
	var again <-chan time.Time
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case data = <-newest:
			c.failures = 0
		case <-again:
		}
		err := c.fromConfigMap(ctx, data)
		c.note(ctx, err)
		if first {
			close(c.tried)
		}
		again = nil
		if err != nil && failure.KindOf(err) == failure.Internal { // everything else waits for another ConfigMap
			again = c.server.Clock.After(hosting.Next(c.request, c.failures))
		}
	}
}

func (c *catalog) fromConfigMap(ctx context.Context, data map[string]string) error {
	if data == nil {
		return failure.New(failure.NotFound, "there is no ConfigMap %q in the namespace %q", c.request.ConfigMap, c.request.Namespace).WithHint("create it")
	}
	return c.serve(ctx, c.server.ConfigMap(c.request, data))
}

// refresh looks at what the image is now and serves it.
func (c *catalog) refresh(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	secrets, absent, err := c.server.Cluster.Secrets(short, c.request)
	if err != nil {
		return err
	}
	content, err := c.server.Image(short, c.request, secrets)
	if err != nil {
		return advised(absent, err)
	}
	return advised(absent, c.serve(ctx, content))
}

// note makes the host say what went wrong, if anything.
func (c *catalog) note(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		c.failures, c.said = 0, ""
		c.server.Hosts.Explain(c.request.Host(), "")
		return
	}
	c.failures++
	if said := sentence(c.request, err); said != c.said {
		c.said = said
		c.server.Log.Error("the content of a catalog is not served", "catalog", c.request.Key(), "old", c.serving != "", "error", err)
	}
	c.server.Hosts.Explain(c.request.Host(), c.said)
}

// serve reads content and swaps it in, unless it is what is served already.
func (c *catalog) serve(ctx context.Context, content Content) error {
	if content.Key == c.serving {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := c.use(ctx, content)
	c.server.After(err)
	if err != nil {
		return err
	}
	c.serving = content.Key
	c.server.Log.Info("serving new content", "catalog", c.request.Key(), "from", origin(c.request))
	c.remember(content.Key)
	return nil
}

// use serves the file of content, which is made if it is not there or cannot be
// used.
func (c *catalog) use(ctx context.Context, content Content) error {
	for made := false; ; {
		path, release, err := c.server.Files.Use(content.Key, func(path string) error {
			made = true
			return c.read(ctx, content, path)
		})
		if err != nil {
			return err
		}
		err = c.swap(ctx, path, release)
		if err == nil {
			return nil
		}
		c.server.Files.Spoiled(content.Key)
		release()
		if made || ctx.Err() != nil {
			return err
		}
	}
}

// read writes the index of content.
func (c *catalog) read(ctx context.Context, content Content, path string) error {
	leave, err := enter(ctx, c.server.slots.of(c.request.Namespace), c.server.slots.reading)
	if err != nil {
		return err
	}
	defer leave()
	dir, remove, err := c.server.Files.Work()
	if err != nil {
		return err
	}
	defer remove()
	src, err := content.Source(ctx, dir)
	if err != nil {
		return err
	}
	return c.index(ctx, path, src)
}

func (c *catalog) index(ctx context.Context, path string, src registry.Source) error {
	leave, err := enter(ctx, c.server.slots.indexing)
	if err != nil {
		return err
	}
	defer leave()
	return c.server.Index(ctx, path, src)
}

func (c *catalog) swap(ctx context.Context, path string, release func()) error {
	store, closeStore, err := c.server.Open(ctx, path)
	if err != nil {
		return err
	}
	if err := c.server.Hosts.Swap(ctx, c.request.Host(), store, func() { closeStore(); release() }); err != nil {
		closeStore()
		return err
	}
	return nil
}

// recall serves what the same CatalogSource served before a restart, from the
// same image, until the image was looked at.
func (c *catalog) recall(ctx context.Context) {
	record := c.server.Files.Recall(c.request.Key())
	if c.serving != "" || record.Key == "" || record.UID != c.request.UID || record.Origin != origin(c.request) {
		return
	}
	lost := failure.New(failure.NotFound, "the cache has lost a file")
	path, release, err := c.server.Files.Use(record.Key, func(string) error { return lost })
	if err != nil {
		return
	}
	if err := c.swap(ctx, path, release); err != nil {
		c.server.Files.Spoiled(record.Key)
		release()
		return
	}
	c.serving = record.Key
	c.server.Log.Info("serving what was served before", "catalog", c.request.Key())
}

// remember notes what an image was. A ConfigMap can always be read again.
func (c *catalog) remember(key string) {
	if c.request.ConfigMap != "" {
		return
	}
	record := files.Record{Catalog: c.request.Key(), UID: c.request.UID, Origin: origin(c.request), Key: key}
	if err := c.server.Files.Remember(record); err != nil {
		c.server.Log.Warn("the cache does not remember a catalog", "catalog", c.request.Key(), "error", err)
	}
}

// origin names where the content of a request comes from.
func origin(r hosting.Request) string {
	if r.ConfigMap != "" {
		return "ConfigMap " + r.ConfigMap
	}
	if r.Directory != "" {
		return r.Image + " " + r.Directory
	}
	return r.Image
}
