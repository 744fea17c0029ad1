package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	filesDir       = "content"  // catalog files, named after their digest
	recordsDir     = "catalogs" // one record per catalog
	incomingPrefix = "incoming-"
	maxPrevious    = 3 // older files that may stay per catalog
	unfinishedAge  = time.Hour
)

// record says which file is the last good content of a catalog. It is stored
// as JSON, replaced as a whole.
type record struct {
	Digest   string    `json:"digest"`             // empty after the catalog was deleted
	Origin   string    `json:"origin,omitempty"`   // what the catalog calls this content
	ReadAt   time.Time `json:"readAt"`             // when it was read
	Previous []string  `json:"previous,omitempty"` // digests of older content, newest first
}

// followedBy returns next with the history of r.
func (r record) followedBy(next record) record {
	seen := map[string]bool{next.Digest: true}
	next.Previous = slices.DeleteFunc(slices.Clone(r.digests()), func(digest string) bool {
		known := seen[digest]
		seen[digest] = true
		return known
	})
	next.Previous = next.Previous[:min(len(next.Previous), maxPrevious)]
	return next
}

// digests returns every content that the record names, the newest first.
func (r record) digests() []string {
	if r.Digest == "" {
		return r.Previous
	}
	return append([]string{r.Digest}, r.Previous...)
}

func filePath(dir, digest string) string {
	return filepath.Join(dir, filesDir, strings.TrimPrefix(digest, "sha256:")+".db")
}

// recordPath is unique: neither part of a name can contain an underscore.
func recordPath(dir string, catalog types.NamespacedName) string {
	return filepath.Join(dir, recordsDir, catalog.Namespace+"_"+catalog.Name+".json")
}

// readRecords returns the records whose file is there.
func readRecords(dir string) (map[types.NamespacedName]record, error) {
	entries, err := os.ReadDir(filepath.Join(dir, recordsDir))
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	records := map[types.NamespacedName]record{}
	for _, entry := range entries {
		base, isRecord := strings.CutSuffix(entry.Name(), ".json")
		namespace, name, ok := strings.Cut(base, "_")
		if !isRecord || !ok {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, recordsDir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read a snapshot record: %w", err)
		}
		var rec record
		if json.Unmarshal(data, &rec) != nil {
			continue // not ours, or damaged: the catalog gets read again
		}
		if _, err := os.Stat(filePath(dir, rec.Digest)); rec.Digest != "" && err != nil {
			continue
		}
		records[types.NamespacedName{Namespace: namespace, Name: name}] = rec
	}
	return records, nil
}

func writeRecord(dir string, catalog types.NamespacedName, rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if err := writeFile(dir, recordPath(dir, catalog), data); err != nil {
		return fmt.Errorf("write a snapshot record: %w", err)
	}
	return nil
}

// writeFile makes path hold data, or leaves it as it was.
func writeFile(dir, path string, data []byte) error {
	f, err := os.CreateTemp(dir, incomingPrefix)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = place(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// place moves a complete file to its place, so that a crash leaves the old
// or the new one there, never a part.
func place(from, to string) error {
	f, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

func removeRecord(dir string, catalog types.NamespacedName) error {
	return os.Remove(recordPath(dir, catalog))
}

// sweep removes the files that no record names and nobody reads.
func (c *Cache) sweep() error {
	named := map[string]bool{}
	for _, rec := range c.records {
		for _, digest := range rec.digests() {
			named[filepath.Base(filePath("", digest))] = true
		}
	}
	for digest := range c.files {
		named[filepath.Base(filePath("", digest))] = true
	}
	return removeIf(filepath.Join(c.options.Dir, filesDir), func(name string) bool { return !named[name] })
}

// clean removes what processes left that ended while they wrote. What is young
// may still be written by another process.
func (c *Cache) clean() error {
	return removeIf(c.options.Dir, func(name string) bool {
		info, err := os.Stat(filepath.Join(c.options.Dir, name))
		return strings.HasPrefix(name, incomingPrefix) && err == nil && c.options.Clock.Since(info.ModTime()) > unfinishedAge
	})
}

func removeIf(dir string, unwanted func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	for _, entry := range entries {
		if !unwanted(entry.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an old snapshot: %w", err)
		}
	}
	return nil
}
