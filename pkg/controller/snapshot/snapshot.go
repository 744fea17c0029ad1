// Package snapshot keeps the last good content of every catalog in a
// directory, one catalog file per content digest, so that a decision reads the
// disk and not the network, and a catalog that is down is what it last was.
// It does not talk to catalogs: who does hands the content in. A file is
// complete or absent, and never changes once it is there.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Store is the content of one catalog file.
type Store interface {
	registry.Store
	io.Closer
}

// Live is the server of a catalog. It is asked for manifests that a list of
// bundles leaves out; failure.Waiting if it does not answer.
type Live interface {
	Content(ctx context.Context, pkg, channel, bundle string) (registry.Content, error)
}

// Options says where snapshots are kept and how their files are read.
type Options struct {
	Dir  string                                                // created if it is absent
	Open func(ctx context.Context, path string) (Store, error) // opens a catalog file, read-only
	// Fetch reads the content of a bundle that only its image has, with the
	// secrets of the catalog; nil if nobody can.
	Fetch func(ctx context.Context, catalog types.NamespacedName, image string) (registry.Content, error)
	Clock clock.PassiveClock // the real one if nil
}

// Cache holds the snapshots of all catalogs. It is safe for concurrent use.
type Cache struct {
	options Options

	mu       sync.Mutex
	records  map[types.NamespacedName]record
	files    map[string]*file // open catalog files by digest
	live     map[types.NamespacedName]Live
	watchers map[int]func(catalog types.NamespacedName)
	nextID   int
	fetches  map[string]*fetch // by image

	life context.Context //nolint:containedctx // of what goes on in the background, until Close
	end  context.CancelFunc
}

// file is an open catalog file and the number of those who read it.
type file struct {
	store Store
	users int
}

// Snapshot is the content of a catalog at one moment. It stays readable until
// it is closed, whatever happens to the catalog.
type Snapshot struct {
	registry.Store
	Catalog types.NamespacedName
	Digest  string    // of the content, as "sha256:<hex>"
	ReadAt  time.Time // when the content was read from the catalog
	close   func()
}

// Close ends the use of the snapshot. It must be called once.
func (s *Snapshot) Close() { s.close() }

// New opens the cache in a directory and finds what earlier processes left
// there. Unfinished files are removed; records of lost files are forgotten.
func New(o Options) (*Cache, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	for _, dir := range []string{"", filesDir, recordsDir, imagesDir} {
		if err := os.MkdirAll(filepath.Join(o.Dir, dir), 0o750); err != nil {
			return nil, failure.New(failure.Blocked, "cannot create the snapshot directory %q", o.Dir).
				WithHint("choose a directory that the controller can write: %v", err)
		}
	}
	records, err := readRecords(o.Dir)
	if err != nil {
		return nil, err
	}
	c := &Cache{
		options: o, records: records, files: map[string]*file{},
		live: map[types.NamespacedName]Live{}, watchers: map[int]func(types.NamespacedName){},
		fetches: map[string]*fetch{},
	}
	c.life, c.end = context.WithCancel(context.Background())
	return c, errors.Join(c.clean(), c.sweep())
}

// Reload finds what another process has left in the directory since this one
// looked. A standby calls it when it takes over.
func (c *Cache) Reload() error {
	records, err := readRecords(c.options.Dir)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.records = records
	stale := c.closeUnused()
	c.mu.Unlock()
	closeAll(stale)
	return nil
}

// Put makes a new snapshot of a catalog. The function write gets the path of a
// file to create; origin is what the catalog itself calls that content and may
// be empty. A content that cannot be opened is refused and the former one
// stays. Watchers are told only if the content differs from the former one.
func (c *Cache) Put(ctx context.Context, catalog types.NamespacedName, origin string, write func(ctx context.Context, path string) error) error {
	dir, err := os.MkdirTemp(c.options.Dir, incomingPrefix)
	if err != nil {
		return fmt.Errorf("make room for a snapshot: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "catalog.db")
	if err := write(ctx, path); err != nil {
		return err
	}
	digest, err := c.check(ctx, path)
	if err != nil {
		return err
	}
	return c.adopt(catalog, path, record{Digest: digest, Origin: origin, ReadAt: c.options.Clock.Now()})
}

// check returns the digest of a catalog file that can be read.
func (c *Cache) check(ctx context.Context, path string) (string, error) {
	store, err := c.options.Open(ctx, path)
	if err != nil {
		return "", fmt.Errorf("open the new snapshot: %w", err)
	}
	digest, err := store.Digest(ctx)
	if err := errors.Join(err, store.Close()); err != nil {
		return "", fmt.Errorf("read the new snapshot: %w", err)
	}
	return digest, nil
}

// adopt makes the file at path the last good content of a catalog.
func (c *Cache) adopt(catalog types.NamespacedName, path string, next record) error {
	c.mu.Lock()
	before := c.records[catalog]
	err := place(path, filePath(c.options.Dir, next.Digest))
	if err == nil {
		err = c.record(catalog, before.followedBy(next))
	}
	if err != nil {
		c.mu.Unlock()
		return err
	}
	watchers := slices.Collect(maps.Values(c.watchers))
	stale := c.closeUnused()
	c.mu.Unlock()

	closeAll(stale)
	if before.Digest != next.Digest {
		for _, notify := range watchers {
			notify(catalog)
		}
	}
	return nil
}

// record writes and keeps the record of a catalog. The lock is held.
func (c *Cache) record(catalog types.NamespacedName, rec record) error {
	if err := writeRecord(c.options.Dir, catalog, rec); err != nil {
		return err
	}
	c.records[catalog] = rec
	return nil
}

// Open returns the last good content of a catalog; failure.NotFound if it has
// never been read. A file that cannot be read any more counts as never read,
// so that the catalog gets read again.
func (c *Cache) Open(ctx context.Context, catalog types.NamespacedName) (*Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rec, ok := c.records[catalog]
	if !ok || rec.Digest == "" {
		return nil, neverRead(catalog)
	}
	s, err := c.use(ctx, catalog, rec.Digest)
	if err != nil && ctx.Err() == nil {
		delete(c.records, catalog)
		return nil, neverRead(catalog)
	}
	if err != nil {
		return nil, err
	}
	s.ReadAt = rec.ReadAt
	return s, nil
}

func neverRead(catalog types.NamespacedName) error {
	return failure.New(failure.NotFound, "catalog %q has never been read", catalog)
}

// use opens a file by digest, or shares it. The lock is held.
func (c *Cache) use(ctx context.Context, catalog types.NamespacedName, digest string) (*Snapshot, error) {
	f, ok := c.files[digest]
	if !ok {
		store, err := c.options.Open(ctx, filePath(c.options.Dir, digest))
		if err != nil {
			return nil, err
		}
		f = &file{store: store}
		c.files[digest] = f
	}
	f.users++
	return &Snapshot{Store: f.store, Catalog: catalog, Digest: digest, close: sync.OnceFunc(func() { c.release(f) })}, nil
}

func (c *Cache) release(f *file) {
	c.mu.Lock()
	f.users--
	stale := c.closeUnused()
	c.mu.Unlock()
	closeAll(stale)
}

// closeUnused forgets open files that nobody reads and that are nobody's last
// good content; the caller closes them without the lock.
func (c *Cache) closeUnused() (stale []Store) {
	current := map[string]bool{}
	for _, rec := range c.records {
		current[rec.Digest] = true
	}
	for digest, f := range c.files {
		if f.users == 0 && !current[digest] {
			stale = append(stale, f.store)
			delete(c.files, digest)
		}
	}
	return stale
}

func closeAll(stores []Store) {
	for _, s := range stores {
		_ = s.Close()
	}
}

// Origin returns what the catalog called the content of its last good
// snapshot; empty if there is none.
func (c *Cache) Origin(catalog types.NamespacedName) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records[catalog].Origin
}

// Connect says how the catalog itself can be asked; nil if it cannot.
func (c *Cache) Connect(catalog types.NamespacedName, live Live) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if live == nil {
		delete(c.live, catalog)
		return
	}
	c.live[catalog] = live
}

// Forget drops the last good content of a catalog that was deleted. Content
// that plans still need stays until Prune is told otherwise.
func (c *Cache) Forget(catalog types.NamespacedName) error {
	c.mu.Lock()
	rec, ok := c.records[catalog]
	if !ok || rec.Digest == "" {
		c.mu.Unlock()
		return nil
	}
	if err := c.record(catalog, rec.followedBy(record{ReadAt: rec.ReadAt})); err != nil {
		c.mu.Unlock()
		return err
	}
	delete(c.live, catalog)
	stale := c.closeUnused()
	watchers := slices.Collect(maps.Values(c.watchers))
	c.mu.Unlock()

	closeAll(stale)
	for _, notify := range watchers {
		notify(catalog)
	}
	return nil
}

// Watch calls notify, which must not block, whenever the content of a catalog
// changed, until stop is called.
func (c *Cache) Watch(notify func(catalog types.NamespacedName)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.nextID
	c.nextID++
	c.watchers[id] = notify
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, id)
	}
}

// Close ends what goes on in the background and closes the files that are
// still open.
func (c *Cache) Close() error {
	c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	for digest, f := range c.files {
		_ = f.store.Close()
		delete(c.files, digest)
	}
	return nil
}
