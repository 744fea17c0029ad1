package serve_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"k8s.io/utils/clock"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/hosting"
	"chandler.dev/olm/pkg/hosting/files"
	"chandler.dev/olm/pkg/hosting/serve"
	"chandler.dev/olm/pkg/registry"
)

// world is a cluster, registries and hosts in memory. The content of a catalog
// is a text.
type world struct {
	t   *testing.T
	dir string

	mu       sync.Mutex
	requests []hosting.Request
	notify   chan struct{}
	images   map[string]string            // content by image; "!" and a kind for a failure
	maps     map[string]map[string]string // by namespace/name
	moved    chan struct{}                // closed when a ConfigMap changes
	absent   []string
	looks    int // at images
	reads    []string
	reading  int           // at the moment
	most     int           // readings at a time
	slow     chan struct{} // readings wait for it; nil for none

	hosts map[string]*host
	stop  func()
	s     *serve.Server
}

type host struct {
	text, problem string
	release       func()
}

type textStore struct {
	registry.Store
	text string
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, dir: t.TempDir(), notify: make(chan struct{}, 1), images: map[string]string{}, maps: map[string]map[string]string{},
		moved: make(chan struct{}), hosts: map[string]*host{},
	}
	w.start()
	return w
}

// start runs a server over the world, as after a restart.
func (w *world) start() {
	w.t.Helper()
	cache, err := files.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.hosts = map[string]*host{}
	w.s = serve.New(serve.Options{
		Cluster: w, Hosts: w, Files: cache, Limits: hosting.Limits{Total: 5, PerNamespace: 3},
		Log: slog.New(slog.DiscardHandler), Clock: clock.RealClock{}, After: func(error) {},
		Image: w.image, ConfigMap: w.configMap, Index: w.index,
		Open: func(_ context.Context, path string) (registry.Store, func(), error) {
			text, err := os.ReadFile(path)
			if err == nil && string(text) == "spoiled" {
				err = errors.New("spoiled")
			}
			return textStore{text: string(text)}, func() {}, err
		},
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.s.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		_ = cache.Close()
	})
	w.t.Cleanup(w.stop)
}

func (w *world) Catalogs(ctx context.Context, changed func([]hosting.Request)) error {
	for {
		w.mu.Lock()
		requests := slices.Clone(w.requests)
		w.mu.Unlock()
		changed(requests)
		select {
		case <-ctx.Done():
			return nil
		case <-w.notify:
		}
	}
}

// ask changes what is asked for, and waits until all is quiet.
func (w *world) ask(requests ...hosting.Request) {
	w.mu.Lock()
	w.requests = requests
	w.mu.Unlock()
	w.notify <- struct{}{}
	synctest.Wait()
}

func (w *world) ConfigMap(ctx context.Context, namespace, name string, changed func(data map[string]string)) error {
	for {
		w.mu.Lock()
		data, moved := w.maps[namespace+"/"+name], w.moved
		w.mu.Unlock()
		changed(data)
		select {
		case <-ctx.Done():
			return nil
		case <-moved:
		}
	}
}

func (w *world) setMap(key string, data map[string]string) {
	w.mu.Lock()
	w.maps[key] = data
	close(w.moved)
	w.moved = make(chan struct{})
	w.mu.Unlock()
	synctest.Wait()
}

func (w *world) Secrets(context.Context, hosting.Request) ([]hosting.Secret, []string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return nil, w.absent, nil
}

// publish changes what an image is.
func (w *world) publish(image, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images[image] = text
}

// lose makes pull secrets unreadable.
func (w *world) lose(names ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.absent = names
}

// looked is how often images were looked at.
func (w *world) looked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looks
}

func (w *world) image(_ context.Context, r hosting.Request, _ []hosting.Secret) (serve.Content, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	text, ok := w.images[r.Image]
	if kind, fails := strings.CutPrefix(text, "!"); fails || !ok {
		if !ok {
			kind = string(failure.NotFound)
		}
		return serve.Content{}, failure.New(failure.Kind(kind), "%q says no", r.Image).WithHint("a hint for a command line")
	}
	return w.content(text), nil
}

func (w *world) configMap(_ hosting.Request, data map[string]string) serve.Content {
	return w.content(data["text"])
}

func (w *world) content(text string) serve.Content {
	return serve.Content{Key: "key-" + text, Source: func(_ context.Context, dir string) (registry.Source, error) {
		if err := os.WriteFile(dir+"/layer", []byte(text), 0o600); err != nil {
			return nil, err
		}
		return registry.Catalog{{Where: text}}, nil
	}}
}

func (w *world) index(ctx context.Context, path string, src registry.Source) error {
	text := ""
	for item, err := range src.Items(ctx) {
		if err != nil {
			return err
		}
		text = item.Where
	}
	w.mu.Lock()
	w.reads = append(w.reads, text)
	w.reading++
	w.most = max(w.most, w.reading)
	slow := w.slow
	w.mu.Unlock()
	defer func() { w.mu.Lock(); w.reading--; w.mu.Unlock() }()
	if slow != nil {
		select {
		case <-slow:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if problem, bad := strings.CutPrefix(text, "bad "); bad {
		return registry.InvalidCatalog([]registry.Problem{{Message: "package " + problem + " has no channel", Where: "a.yaml:1"}, {Message: "something else"}})
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

func (w *world) host(name string) *host {
	if w.hosts[name] == nil {
		w.hosts[name] = &host{}
	}
	return w.hosts[name]
}

func (w *world) Swap(_ context.Context, name string, store registry.Store, release func()) error {
	w.mu.Lock()
	h := w.host(name)
	old := h.release
	h.text, h.problem, h.release = store.(textStore).text, "", release
	w.mu.Unlock()
	if old != nil {
		old()
	}
	return nil
}

func (w *world) Explain(name, problem string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.host(name).problem = problem
}

func (w *world) Remove(name string) {
	w.mu.Lock()
	h := w.hosts[name]
	delete(w.hosts, name)
	w.mu.Unlock()
	if h != nil && h.release != nil {
		h.release()
	}
}

// served is what there is, as "host: text (problem)" in order.
func (w *world) served() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := []string{}
	for name, h := range w.hosts {
		text := fmt.Sprintf("%s: %s", name, h.text)
		if h.problem != "" {
			text += " (" + h.problem + ")"
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// kept are the files in the cache.
func (w *world) kept() []string {
	w.t.Helper()
	names := []string{}
	for _, sub := range []string{"content", "work"} {
		entries, err := os.ReadDir(w.dir + "/" + sub)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	return names
}
