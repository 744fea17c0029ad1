package resolver

import (
	"context"
	"slices"
	"sync"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver/constraint"
)

// Cache remembers what Gather read, by the digest of the catalog, with the
// properties already parsed. Content never changes under a digest, so nothing
// in it gets old; what was not used for longest goes first when it is full. It
// is safe for concurrent use.
type Cache struct {
	mu    sync.Mutex
	limit int // bytes of properties
	size  int
	clock int
	items map[cacheKey]*cacheItem
}

type cacheKey struct {
	digest string
	kind   byte // 'n' names, 'p' package, 'a' providers of an API
	name   string
}

type cacheItem struct {
	offer *Offer
	names []string
	size  int
	used  int
}

// NewCache returns an empty cache that holds about that many bytes; 0 is 16 MiB.
func NewCache(limit int) *Cache {
	if limit <= 0 {
		limit = 16 << 20
	}
	return &Cache{limit: limit, items: map[cacheKey]*cacheItem{}}
}

func (c *Cache) packageNames(ctx context.Context, digest string, store registry.Store) ([]string, error) {
	item, err := c.get(cacheKey{digest: digest, kind: 'n'}, func() (*cacheItem, error) {
		names, err := store.Packages(ctx)
		slices.Sort(names)
		return &cacheItem{names: names, size: 32 * len(names)}, err
	})
	if err != nil {
		return nil, err
	}
	return item.names, nil
}

// providers returns the names of the packages that provide an API, sorted.
func (c *Cache) providers(ctx context.Context, digest string, store registry.Store, api registry.GVK) ([]string, error) {
	key := cacheKey{digest: digest, kind: 'a', name: api.Group + "/" + api.Version + "/" + api.Kind}
	item, err := c.get(key, func() (*cacheItem, error) {
		members, err := store.Providers(ctx, api)
		var names []string
		for _, m := range members {
			names = append(names, m.Package)
		}
		slices.Sort(names)
		return &cacheItem{names: slices.Compact(names), size: 200}, err
	})
	if err != nil {
		return nil, err
	}
	return item.names, nil
}

func (c *Cache) offer(ctx context.Context, digest string, store registry.Store, name string) (*Offer, error) {
	item, err := c.get(cacheKey{digest: digest, kind: 'p', name: name}, func() (*cacheItem, error) {
		return readOffer(ctx, store, name)
	})
	if err != nil {
		return nil, err
	}
	return item.offer, nil
}

func readOffer(ctx context.Context, store registry.Store, name string) (*cacheItem, error) {
	pkg, err := store.Package(ctx, name)
	if err != nil {
		return nil, err
	}
	o := &Offer{Package: pkg}
	size := 0
	for b, err := range store.Bundles(ctx, name) {
		if err != nil {
			return nil, err
		}
		o.Bundles = append(o.Bundles, b)
		for _, p := range b.Properties {
			size += len(p.Value)
		}
	}
	o.facts = make(map[string]*constraint.Facts, len(o.Bundles))
	for i := range o.Bundles {
		o.facts[o.Bundles[i].Name] = constraint.Read(&o.Bundles[i])
	}
	return &cacheItem{offer: o, size: size + 500*len(o.Bundles)}, nil
}

// get returns a remembered item or reads it. Two callers may read the same one
// at the same time; the first one to finish is remembered.
func (c *Cache) get(key cacheKey, read func() (*cacheItem, error)) (*cacheItem, error) {
	c.mu.Lock()
	item, ok := c.items[key]
	if ok {
		c.clock++
		item.used = c.clock
	}
	c.mu.Unlock()
	if ok {
		return item, nil
	}
	item, err := read()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other, ok := c.items[key]; ok {
		return other, nil
	}
	c.clock++
	item.used = c.clock
	c.items[key] = item
	c.size += item.size
	c.evict()
	return item, nil
}

// evict forgets a quarter of the content, the least recently used first, so
// that it does not have to look for them each time.
func (c *Cache) evict() {
	if c.size <= c.limit {
		return
	}
	keys := make([]cacheKey, 0, len(c.items))
	for key := range c.items {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b cacheKey) int { return c.items[a].used - c.items[b].used })
	for _, key := range keys {
		if c.size <= c.limit*3/4 || len(c.items) == 1 {
			return
		}
		c.size -= c.items[key].size
		delete(c.items, key)
	}
}
