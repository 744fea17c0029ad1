package registry

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
)

// Sum identifies the content of one item of a catalog.
type Sum [sha256.Size]byte

// Digester computes the digest of a catalog from its items, in any order. The
// same content gives the same digest, whatever files or services it came from.
type Digester struct {
	sums         map[string]Sum
	deprecations map[string]string
}

// NewDigester returns a Digester that has seen nothing.
func NewDigester() *Digester {
	return &Digester{sums: map[string]Sum{}, deprecations: map[string]string{}}
}

// Add takes an item in, with the sum that SumOf returned for it.
func (d *Digester) Add(item Item, sum Sum) {
	switch {
	case item.Bundle != nil:
		b := item.Bundle
		d.sums[key("bundle", b.Package, b.Name)] = sum
		if b.Deprecation != "" {
			d.deprecations[key("deprecation", b.Package, b.Name)] = b.Deprecation
		}
	case item.Package != nil:
		d.sums[key("package", item.Package.Name)] = sum
		for _, bundle := range item.Dropped {
			delete(d.sums, key("bundle", item.Package.Name, bundle))
			delete(d.deprecations, key("deprecation", item.Package.Name, bundle))
		}
		for bundle, message := range item.Deprecations {
			d.deprecations[key("deprecation", item.Package.Name, bundle)] = message
		}
	case item.Blob != nil:
		d.sums[key("blob", item.Blob.Schema, item.Blob.Package, item.Blob.Name, string(sum[:]))] = sum
	}
}

// Digest returns the digest of everything added so far, as "sha256:<hex>".
func (d *Digester) Digest() string {
	h := sumWriter{sha256.New()}
	for _, k := range slices.Sorted(maps.Keys(d.sums)) {
		sum := d.sums[k]
		h.strings(k)
		h.bytes(sum[:])
	}
	for _, k := range slices.Sorted(maps.Keys(d.deprecations)) {
		h.strings(k, d.deprecations[k])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// SumOf returns the sum of an item. Deprecations of bundles are not in it.
func SumOf(item Item) Sum {
	h := sumWriter{sha256.New()}
	switch {
	case item.Bundle != nil:
		h.bundle(*item.Bundle)
	case item.Package != nil:
		h.pkg(*item.Package)
	case item.Blob != nil:
		h.strings(item.Blob.Schema, item.Blob.Package, item.Blob.Name)
		h.bytes(item.Blob.JSON)
	}
	return Sum(h.Sum(nil))
}

func key(parts ...string) string {
	var k []byte
	for _, p := range parts {
		k = append(append(k, p...), 0)
	}
	return string(k)
}

// sumWriter writes every value after its length, so that no two lists of
// values look the same.
type sumWriter struct{ hash.Hash }

func (w sumWriter) length(n int) {
	var buf [8]byte
	binary.BigEndian.PutUint64(buf[:], uint64(n))
	w.Write(buf[:])
}

func (w sumWriter) bytes(b []byte) {
	w.length(len(b))
	w.Write(b)
}

func (w sumWriter) strings(all ...string) {
	for _, s := range all {
		w.bytes([]byte(s))
	}
}

func (w sumWriter) properties(all []Property) {
	w.length(len(all))
	for _, p := range all {
		w.strings(p.Type)
		w.bytes(p.Value)
	}
}

func (w sumWriter) bundle(b Bundle) {
	w.strings(b.Package, b.Name, b.Version, b.Image)
	w.properties(b.Properties)
	w.length(len(b.RelatedImages))
	for _, image := range b.RelatedImages {
		w.strings(image.Name, image.Image)
	}
	w.bytes(b.Content.CSV)
	w.length(len(b.Content.Objects))
	for _, object := range b.Content.Objects {
		w.bytes(object)
	}
	w.bytes(b.Content.Metadata)
}

func (w sumWriter) pkg(p Package) {
	w.strings(p.Name, p.DefaultChannel, p.Description, p.Deprecation)
	if p.Icon != nil {
		w.strings(p.Icon.MediaType)
		w.bytes(p.Icon.Data)
	}
	w.properties(p.Properties)
	w.length(len(p.Channels))
	for _, ch := range p.Channels {
		w.strings(ch.Name, ch.Deprecation)
		w.properties(ch.Properties)
		w.length(len(ch.Entries))
		for _, e := range ch.Entries {
			w.strings(e.Name, e.Replaces, e.SkipRange)
			w.length(len(e.Skips))
			w.strings(e.Skips...)
		}
	}
}
