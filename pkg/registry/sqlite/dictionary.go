package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"

	"chandler.dev/olm/pkg/registry/wire"
)

// Bundles of a package look alike, so the first one is the dictionary for all
// of them: half the size of good compression without, and read five times as
// fast.
type dictionary struct {
	common, content *s2.Dict // nil if the first bundle is too small for one
}

// dictionaryOf makes the dictionary of a package of its first bundle.
func dictionaryOf(common, content []byte) dictionary {
	return dictionary{common: makeDict(common), content: makeDict(content)}
}

func makeDict(data []byte) *s2.Dict {
	if len(data) > s2.MaxDictSize {
		data = data[:s2.MaxDictSize]
	}
	return s2.MakeDict(data, nil)
}

// compressWith compresses a blob for reading it often.
func compressWith(d *s2.Dict, b []byte) []byte {
	if d == nil {
		return s2.EncodeBetter(nil, b)
	}
	return d.EncodeBetter(nil, b)
}

// expandedLen returns the length of what compressWith was given.
func expandedLen(z []byte) (int, error) {
	n, err := s2.DecodedLen(z)
	if err != nil || n > maxBlob {
		return 0, errDamaged
	}
	return n, nil
}

// expandWith appends what compressWith was given to dst.
func expandWith(d *s2.Dict, dst, z []byte) ([]byte, error) {
	n, err := expandedLen(z)
	if err != nil {
		return nil, err
	}
	start := len(dst)
	if cap(dst)-start < n {
		dst = append(make([]byte, 0, start+n), dst...)
	}
	room := dst[start : start+n : start+n]
	if d == nil {
		_, err = s2.Decode(room, z)
	} else {
		_, err = d.Decode(room, z)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return dst[:start+n], nil
}

// maxSharedBytes bounds the memory of what is kept ready of packages.
const maxSharedBytes = 14 << 20

// shared is what the bundles of a package have in common.
type shared struct {
	dictionary

	fields wire.Fields
}

// sharedCache holds what was needed, until it is too much.
type sharedCache struct {
	mu    sync.Mutex
	ready map[string]shared
	bytes int
}

// shared returns what the bundles of a package have in common.
func (s *Store) shared(ctx context.Context, pkg string) (shared, error) {
	s.cache.mu.Lock()
	all, ok := s.cache.ready[pkg]
	s.cache.mu.Unlock()
	if ok {
		return all, nil
	}
	var common, content []byte
	err := s.db.QueryRowContext(point(ctx), `SELECT d.common_z, d.content_z, p.description, p.icon
		FROM dictionary d JOIN package p ON p.name = d.package WHERE d.package = ?`, pkg).
		Scan(&common, &content, &all.fields.Description, &all.fields.Icon)
	if errors.Is(err, sql.ErrNoRows) {
		return all, nil // nothing is kept of names that anybody makes up
	}
	if err != nil {
		return all, err
	}
	size := len(all.fields.Description) + len(all.fields.Icon)
	for z, to := range map[*[]byte]**s2.Dict{&common: &all.common, &content: &all.content} {
		if len(*z) == 0 {
			continue
		}
		data, err := expand(nil, *z)
		if err != nil {
			return all, err
		}
		if *to = s2.NewDict(data); *to == nil {
			return all, errDamaged
		}
		size += len(data)
	}
	s.cache.keep(pkg, all, size)
	return all, nil
}

func (c *sharedCache) keep(pkg string, all shared, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready == nil || c.bytes+size > maxSharedBytes {
		c.ready, c.bytes = map[string]shared{}, 0
	}
	c.ready[pkg] = all
	c.bytes += size
}
