package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"
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

// expandWith appends what compressWith was given to dst.
func expandWith(d *s2.Dict, dst, z []byte) ([]byte, error) {
	n, err := s2.DecodedLen(z)
	if err != nil || n > maxBlob {
		return nil, errDamaged
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

// maxDictionaries bounds the memory of dictionaries that are kept ready.
const maxDictionaries = 20 << 20

// dictionaries are those that were needed, until there are too many.
type dictionaries struct {
	mu    sync.Mutex
	ready map[string]dictionary
	bytes int
}

// dictionary returns the dictionary of a package.
func (s *Store) dictionary(ctx context.Context, pkg string) (dictionary, error) {
	s.dictionaries.mu.Lock()
	d, ok := s.dictionaries.ready[pkg]
	s.dictionaries.mu.Unlock()
	if ok {
		return d, nil
	}
	var common, content []byte
	err := s.db.QueryRowContext(point(ctx), `SELECT common_z, content_z FROM dictionary WHERE package = ?`, pkg).Scan(&common, &content)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return d, err
	}
	size := 0
	for z, to := range map[*[]byte]**s2.Dict{&common: &d.common, &content: &d.content} {
		if len(*z) == 0 {
			continue
		}
		data, err := expand(nil, *z)
		if err != nil {
			return d, err
		}
		if *to = s2.NewDict(data); *to == nil {
			return d, errDamaged
		}
		size += len(data)
	}
	s.dictionaries.keep(pkg, d, size)
	return d, nil
}

func (c *dictionaries) keep(pkg string, d dictionary, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready == nil || c.bytes+size > maxDictionaries {
		c.ready, c.bytes = map[string]dictionary{}, 0
	}
	c.ready[pkg] = d
	c.bytes += size
}
