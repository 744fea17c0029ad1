package snapshot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

const (
	imagesDir       = "images" // content that came from images of bundles
	maxImages       = 200
	fetchTimeout    = 10 * time.Minute
	tagAge          = time.Hour // how long what a tag named is believed
	fetchBackoff    = 5 * time.Second
	maxFetchBackoff = 5 * time.Minute
)

// ErrFetching is the cause of a Waiting failure while the image of a bundle is
// read for the first time. Watchers of the catalog are told when that ends.
var ErrFetching = errors.New("the image is being read")

// fetch is an image that is being read or could not be.
type fetch struct {
	running  bool
	err      error // of the last attempt
	attempts int
	again    time.Time // not before
	catalogs map[types.NamespacedName]bool
}

// fromImage returns the content of a bundle from its image. It does not wait:
// the image is read in the background, and again after a failure, with growing
// pauses, whenever somebody asks.
func (c *Cache) fromImage(catalog types.NamespacedName, image string) (registry.Content, error) {
	if content, ok := c.storedImage(image); ok {
		return content, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.fetches[image]
	if f == nil {
		f = &fetch{catalogs: map[types.NamespacedName]bool{}}
		c.fetches[image] = f
	}
	f.catalogs[catalog] = true
	if !f.running && !c.options.Clock.Now().Before(f.again) {
		f.running = true
		go c.fetch(catalog, image)
	}
	if f.err != nil {
		return registry.Content{}, f.err
	}
	e := failure.New(failure.Waiting, "the image %q is being read", image)
	e.Err = ErrFetching
	return registry.Content{}, e
}

// fetch reads an image, stores its content, and tells who waits for it.
func (c *Cache) fetch(catalog types.NamespacedName, image string) {
	ctx, cancel := context.WithTimeout(c.life, fetchTimeout)
	defer cancel()
	content, err := c.options.Fetch(ctx, catalog, image)
	if err == nil {
		err = c.storeImage(image, content)
	}
	c.mu.Lock()
	f := c.fetches[image]
	if err == nil {
		delete(c.fetches, image)
	} else {
		f.running, f.err = false, unread(image, err)
		f.again = c.options.Clock.Now().Add(min(fetchBackoff<<min(f.attempts, 10), maxFetchBackoff))
		f.attempts++
	}
	waiting := slices.Collect(maps.Keys(f.catalogs))
	watchers := slices.Collect(maps.Values(c.watchers))
	c.mu.Unlock()
	for _, catalog := range waiting {
		for _, notify := range watchers {
			notify(catalog)
		}
	}
}

// unread keeps what a registry said for users; everything else may pass.
func unread(image string, err error) error {
	if failure.KindOf(err) != failure.Internal {
		return err
	}
	e := failure.New(failure.Waiting, "the image %q could not be read", image).
		WithHint("it is tried again; the log of the controller has the cause")
	e.Err = err
	return e
}

func (c *Cache) imagePath(image string) string {
	sum := sha256.Sum256([]byte(image))
	return filepath.Join(c.options.Dir, imagesDir, hex.EncodeToString(sum[:16])+".json")
}

// storedImage returns the content of an image that was read before. A tag can
// move, so what it named is believed for a while only.
func (c *Cache) storedImage(image string) (content registry.Content, ok bool) {
	path := c.imagePath(image)
	info, err := os.Stat(path)
	if err != nil || !strings.Contains(image, "@") && c.options.Clock.Since(info.ModTime()) > tagAge {
		return registry.Content{}, false
	}
	var stored storedContent
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &stored) != nil {
		return registry.Content{}, false
	}
	return registry.Content{CSV: stored.CSV, Objects: stored.Objects}, true
}

// storedContent is what a file of an image holds, as JSON.
type storedContent struct {
	CSV     []byte   `json:"csv"`
	Objects [][]byte `json:"objects"`
}

func (c *Cache) storeImage(image string, content registry.Content) error {
	data, err := json.Marshal(storedContent{CSV: content.CSV, Objects: content.Objects})
	if err != nil {
		return err
	}
	if err := writeFile(c.options.Dir, c.imagePath(image), data); err != nil {
		return fmt.Errorf("keep the content of an image: %w", err)
	}
	return c.trimImages()
}

// trimImages removes the oldest content of images beyond a bound.
func (c *Cache) trimImages() error {
	dir := filepath.Join(c.options.Dir, imagesDir)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) <= maxImages {
		return err
	}
	age := map[string]time.Time{}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			age[entry.Name()] = info.ModTime()
		}
	}
	names := slices.SortedFunc(maps.Keys(age), func(a, b string) int { return cmp.Or(age[a].Compare(age[b]), cmp.Compare(a, b)) })
	for _, name := range names[:max(0, len(names)-maxImages)] {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
