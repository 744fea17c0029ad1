package sqlite

import (
	"slices"

	"github.com/klauspost/compress/s2"

	"chandler.dev/olm/pkg/registry"
)

// maxShared is how many dictionaries are ready for encoding: each has tables
// of half a megabyte. Sources give package by package, so few are in use.
const maxShared = 32

// sharedDictionaries are the dictionaries of the packages that are written.
// Only the goroutine that reads the source uses them, until it has ended.
type sharedDictionaries struct {
	active map[string]*sharedDictionary
	order  []string // of the active ones, oldest first
	rest   map[string]storedDictionary
}

// storedDictionary is a dictionary as it is kept in the file.
type storedDictionary struct {
	common, content []byte // empty if there is none
}

func newSharedDictionaries() *sharedDictionaries {
	return &sharedDictionaries{active: map[string]*sharedDictionary{}, rest: map[string]storedDictionary{}}
}

// of returns the dictionary of a package.
func (s *sharedDictionaries) of(pkg string) *sharedDictionary {
	if d, ok := s.active[pkg]; ok {
		return d
	}
	if len(s.order) >= maxShared {
		oldest := s.order[0]
		s.order = slices.Delete(s.order, 0, 1)
		s.rest[oldest] = s.active[oldest].stored()
		delete(s.active, oldest)
	}
	d := &sharedDictionary{ready: make(chan struct{})}
	if stored, ok := s.rest[pkg]; ok {
		d.claimed, d.dictionary = true, stored.open()
		close(d.ready)
	}
	s.active[pkg] = d
	s.order = append(s.order, pkg)
	return d
}

// stored returns the dictionary of a package for the file.
func (s *sharedDictionaries) stored(pkg string) storedDictionary {
	if d, ok := s.active[pkg]; ok {
		return d.stored()
	}
	return s.rest[pkg]
}

func (d storedDictionary) open() dictionary {
	return dictionary{common: s2.NewDict(d.common), content: s2.NewDict(d.content)}
}

// sharedDictionary is the dictionary of a package while its first bundle is
// being encoded. Others wait for it.
type sharedDictionary struct {
	dictionary

	claimed bool          // by the first bundle
	ready   chan struct{} // closed when the dictionary is made
}

// stored waits for the dictionary.
func (d *sharedDictionary) stored() storedDictionary {
	<-d.ready
	var all storedDictionary
	for from, to := range map[*s2.Dict]*[]byte{d.common: &all.common, d.content: &all.content} {
		if from != nil {
			*to = from.Bytes()
		}
	}
	return all
}

// encoding returns the work of encoding an item. The first bundle of a package
// makes the dictionary; work is started in order, so it never waits for work
// that has not begun.
func (d *sharedDictionary) encoding(item registry.Item) func() row {
	if item.Bundle == nil {
		return func() row { return row{Item: item, sum: registry.SumOf(item)} }
	}
	first := !d.claimed
	d.claimed = true
	return func() row {
		if !first {
			<-d.ready
			return encode(item, nil, &d.dictionary)
		}
		defer close(d.ready)
		return encode(item, &d.dictionary, &d.dictionary)
	}
}
