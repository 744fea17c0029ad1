// Package files keeps indexed catalogs in a folder: one file per content, as
// long as somebody serves it, and which content a catalog served last, so that
// a restart serves it at once. The folder is a cache: it may be lost at any
// time.
package files

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"chandler.dev/olm/pkg/failure"
)

const (
	contentDir = "content"  // files named after their key
	recordsDir = "catalogs" // a record per catalog
	workDir    = "work"     // of what is under way
	suffix     = ".db"
)

// Cache is such a folder. One process uses it at a time. It is safe for
// concurrent use.
type Cache struct {
	dir  string
	lock *os.File

	mu      sync.Mutex
	users   map[string]int    // of a file by its key
	records map[string]Record // by the name of the catalog
}

// Record says which content a catalog served last.
type Record struct {
	Catalog string `json:"catalog"` // its name, as "<namespace>/<name>"
	UID     string `json:"uid"`     // of its CatalogSource
	Origin  string `json:"origin"`  // what it was read from: the name of an image
	Key     string `json:"key"`     // of the file
}

// Open opens the folder, making it if it is not there. failure.Conflict if
// another process uses it.
func Open(dir string) (*Cache, error) {
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	c := &Cache{dir: dir, lock: lock, users: map[string]int{}, records: map[string]Record{}}
	err = os.RemoveAll(filepath.Join(dir, workDir)) // of a process that was killed
	for _, sub := range []string{contentDir, recordsDir, workDir} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(dir, sub), 0o700))
	}
	if err == nil {
		err = c.load()
	}
	if err != nil {
		_ = lock.Close()
		return nil, unusable(dir, err)
	}
	return c, nil
}

func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unusable(dir, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, unusable(dir, err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, failure.New(failure.Conflict, "another process uses the cache folder %q", dir).WithHint("name another one with --cache-dir")
	}
	return lock, nil
}

func unusable(dir string, err error) error {
	return failure.New(failure.Invalid, "cannot use the cache folder %q: %v", dir, err).WithHint("name another one with --cache-dir")
}

// load reads the records whose file is there.
func (c *Cache) load() error {
	entries, err := os.ReadDir(filepath.Join(c.dir, recordsDir))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(c.dir, recordsDir, entry.Name()))
		var r Record
		if err != nil || json.Unmarshal(text, &r) != nil || recordName(r.Catalog) != entry.Name() {
			continue // damaged: the catalog is read again
		}
		if _, err := os.Stat(c.path(r.Key)); err == nil {
			c.records[r.Catalog] = r
		}
	}
	return nil
}

// Close lets other processes use the folder.
func (c *Cache) Close() error { return c.lock.Close() }

// Work returns a new folder for what is under way.
func (c *Cache) Work() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(filepath.Join(c.dir, workDir), "")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// Use returns the file of a key, which stays until release. If it is not there,
// make has to make it.
func (c *Cache) Use(key string, makeFile func(path string) error) (path string, release func(), err error) {
	path = c.path(key)
	c.mu.Lock()
	c.users[key]++
	c.mu.Unlock()
	release = sync.OnceFunc(func() { c.leave(key) })
	if _, err := os.Stat(path); err != nil {
		if err := makeFile(path); err != nil {
			release()
			return "", nil, err
		}
	}
	return path, release, nil
}

// Spoiled removes the file of a key that cannot be used.
func (c *Cache) Spoiled(key string) { _ = os.Remove(c.path(key)) }

func (c *Cache) leave(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users[key]--; c.users[key] > 0 {
		return
	}
	delete(c.users, key)
	c.tidy(key)
}

// tidy removes a file that nobody uses or remembers.
func (c *Cache) tidy(key string) {
	if c.users[key] == 0 && !c.recorded(key) {
		_ = os.Remove(c.path(key))
	}
}

func (c *Cache) recorded(key string) bool {
	for _, r := range c.records {
		if r.Key == key {
			return true
		}
	}
	return false
}

// Remember notes what a catalog serves.
func (c *Cache) Remember(r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	tmp := filepath.Join(c.dir, workDir, recordName(r.Catalog))
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return err
	}
	before := c.records[r.Catalog]
	c.records[r.Catalog] = r
	c.tidy(before.Key)
	return os.Rename(tmp, filepath.Join(c.dir, recordsDir, recordName(r.Catalog)))
}

// Recall returns what a catalog served last; the zero Record if nobody knows.
func (c *Cache) Recall(catalog string) Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records[catalog]
}

// Forget drops the record of a catalog.
func (c *Cache) Forget(catalog string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.records[catalog]
	delete(c.records, catalog)
	_ = os.Remove(filepath.Join(c.dir, recordsDir, recordName(catalog)))
	c.tidy(before.Key)
}

// Sweep forgets all catalogs that are not to be kept, and removes the files
// that nobody uses or remembers.
func (c *Cache) Sweep(keep func(catalog string) bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for catalog := range c.records {
		if !keep(catalog) {
			delete(c.records, catalog)
			errs = append(errs, os.Remove(filepath.Join(c.dir, recordsDir, recordName(catalog))))
		}
	}
	entries, err := os.ReadDir(filepath.Join(c.dir, contentDir))
	errs = append(errs, err)
	for _, entry := range entries {
		key, isContent := strings.CutSuffix(entry.Name(), suffix)
		if isContent && (c.users[key] > 0 || c.recorded(key)) || !isContent && len(c.users) > 0 {
			continue // in use, or being written
		}
		errs = append(errs, os.Remove(filepath.Join(c.dir, contentDir, entry.Name())))
	}
	return errors.Join(errs...)
}

func (c *Cache) path(key string) string { return filepath.Join(c.dir, contentDir, key+suffix) }

// recordName is unique: neither part of a name can contain an underscore.
func recordName(catalog string) string { return strings.ReplaceAll(catalog, "/", "_") + ".json" }
