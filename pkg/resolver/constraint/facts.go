// Package constraint reads what a bundle says about itself from its
// properties: what it is, what it provides and what it requires of others. It
// decides whether one bundle meets a requirement; it does not choose bundles.
package constraint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/registry"
)

// Facts is what a bundle says about itself. It does not change once read.
type Facts struct {
	Package  string // the package that the bundle is offered in; may be empty
	Version  string // as the bundle has it
	Packages []Identity
	APIs     []registry.GVK // that it provides, without repetition
	Labels   []string
	// Deprecated says that the bundle must not be chosen any more.
	Deprecated bool
	MinKube    string // the oldest Kubernetes that it runs on; empty if any
	// Requires are its requirements, without repetition, sorted by text.
	Requires []Predicate
	// Unreadable is why a requirement cannot be understood; nil if all can.
	Unreadable error

	properties []registry.Property
	required   int              // bytes of its requirements
	versions   []semver.Version // its version wherever it states one
	names      []string
}

// Identity is the value of an olm.package property.
type Identity struct {
	Name    string `json:"packageName"`
	Version string `json:"version"`
}

// Read reads the properties of a bundle. A property that does not parse is as
// good as absent unless it is a requirement.
func Read(b *registry.Bundle) *Facts {
	f := &Facts{Package: b.Package, Version: b.Version, properties: b.Properties}
	for _, p := range b.Properties {
		f.read(p)
	}
	f.addNames()
	f.addVersion(b.Version)
	for _, id := range f.Packages {
		f.addVersion(id.Version)
	}
	f.APIs = distinct(f.APIs)
	slices.SortFunc(f.Requires, func(a, b Predicate) int { return strings.Compare(a.String(), b.String()) })
	f.Requires = slices.CompactFunc(f.Requires, func(a, b Predicate) bool { return a.String() == b.String() })
	return f
}

// maxRequired bounds the values of all requirements of a bundle, in bytes: they
// are parsed, compiled and told.
const maxRequired = 1 << 20

// distinct leaves out what comes again.
func distinct[T comparable](all []T) []T {
	const few = 32
	if len(all) <= few {
		kept := all[:0]
		for _, one := range all {
			if !slices.Contains(kept, one) {
				kept = append(kept, one)
			}
		}
		return kept
	}
	seen := make(map[T]bool, len(all))
	return slices.DeleteFunc(all, func(one T) bool {
		again := seen[one]
		seen[one] = true
		return again
	})
}

func (f *Facts) addVersion(text string) {
	v, err := semver.ParseTolerant(text)
	if err == nil && !slices.ContainsFunc(f.versions, v.Equals) {
		f.versions = append(f.versions, v)
	}
}

func (f *Facts) read(p registry.Property) {
	switch p.Type {
	case registry.PropertyPackage:
		if id, err := readIdentity(p.Value); err == nil {
			f.Packages = append(f.Packages, id)
		}
	case registry.PropertyGVK:
		if api, err := readGVK(p.Value); err == nil {
			f.APIs = append(f.APIs, api)
		}
	case registry.PropertyLabel:
		var v struct{ Label string }
		if json.Unmarshal(p.Value, &v) == nil {
			f.Labels = append(f.Labels, v.Label)
		}
	case registry.PropertyDeprecated:
		f.Deprecated = true
	case "olm.csv.metadata":
		f.MinKube = stringField(p.Value, "minKubeVersion")
	default:
		f.require(p)
	}
}

func (f *Facts) require(p registry.Property) {
	if !isRequirement(p.Type) {
		return
	}
	if f.required += len(p.Value); f.required > maxRequired {
		f.Requires, f.Unreadable = nil, fmt.Errorf("its requirements have more than %d bytes", maxRequired)
		return
	}
	predicate, err := parse(p)
	switch {
	case err != nil && f.Unreadable == nil:
		f.Unreadable = fmt.Errorf("parse property of type %q: %w", p.Type, err)
	case predicate != nil:
		f.Requires = append(f.Requires, predicate)
	}
}

// PackageNames returns the packages that the bundle claims to be, sorted. The
// result must not be changed.
func (f *Facts) PackageNames() []string { return f.names }

func (f *Facts) addNames() {
	for _, id := range f.Packages {
		f.names = append(f.names, id.Name)
	}
	if len(f.names) == 0 && f.Package != "" {
		f.names = []string{f.Package}
	}
	slices.Sort(f.names)
	f.names = slices.Compact(f.names)
}

// ProviderOf returns a function that reports whether a bundle provides an API,
// without reading the rest of its properties.
func ProviderOf(api registry.GVK) func(registry.Bundle) bool {
	group, kind := []byte(api.Group), []byte(api.Kind)
	return func(b registry.Bundle) bool {
		for i := range b.Properties {
			p := &b.Properties[i]
			if p.Type != registry.PropertyGVK {
				continue
			}
			// Without anything escaped, the names occur as they are.
			plain := bytes.IndexByte(p.Value, '\\') < 0
			if plain && (!bytes.Contains(p.Value, group) || !bytes.Contains(p.Value, kind)) {
				continue
			}
			if got, err := readGVK(p.Value); err == nil && got == api {
				return true
			}
		}
		return false
	}
}

// APIKeys calls yield with a number for each API that a bundle provides, equal
// for equal APIs, without keeping or reading anything else.
func APIKeys(b *registry.Bundle, yield func(key uint64)) {
	for i := range b.Properties {
		p := &b.Properties[i]
		if p.Type != registry.PropertyGVK {
			continue
		}
		if parts, ok := plainParts(p.Value, gvkKeys); ok {
			yield(keyOf(parts))
		} else if api, err := readGVK(p.Value); err == nil {
			yield(APIKey(api))
		}
	}
}

// APIKey returns the number that APIKeys yields for an API. Different APIs
// rarely have the same one.
func APIKey(api registry.GVK) uint64 {
	return keyOf([3][]byte{[]byte(api.Group), []byte(api.Kind), []byte(api.Version)})
}

func keyOf(parts [3][]byte) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, part := range parts {
		for _, c := range part {
			h = (h ^ uint64(c)) * prime
		}
		h *= prime
	}
	return h
}

var (
	gvkKeys      = []string{"group", "kind", "version"}
	identityKeys = []string{"packageName", "version"}
)

// readGVK reads the value of an olm.gvk property. Stores keep values compact
// with sorted keys, so nearly all are read without a JSON parser.
func readGVK(raw []byte) (registry.GVK, error) {
	if v, ok := plainParts(raw, gvkKeys); ok {
		return registry.GVK{Group: string(v[0]), Kind: string(v[1]), Version: string(v[2])}, nil
	}
	var api registry.GVK
	err := json.Unmarshal(raw, &api)
	return api, err
}

func readIdentity(raw []byte) (Identity, error) {
	if v, ok := plainParts(raw, identityKeys); ok {
		return Identity{string(v[0]), string(v[1])}, nil
	}
	var id Identity
	err := json.Unmarshal(raw, &id)
	return id, err
}

// plainParts reads a compact object that has exactly these keys in this order,
// with strings as values that contain nothing escaped.
func plainParts(raw []byte, keys []string) ([3][]byte, bool) {
	var values [3][]byte
	if bytes.IndexByte(raw, '\\') >= 0 {
		return values, false
	}
	rest := raw
	for i, key := range keys {
		open := byte(',')
		if i == 0 {
			open = '{'
		}
		n := len(key)
		if len(rest) < n+5 || rest[0] != open || rest[1] != '"' || string(rest[2:2+n]) != key || string(rest[2+n:5+n]) != `":"` {
			return values, false
		}
		rest = rest[5+n:]
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			return values, false
		}
		values[i], rest = rest[:end], rest[end+1:]
	}
	return values, len(rest) == 1 && rest[0] == '}'
}

// stringField returns a string field of an object; empty if there is none. The
// object can be large, so it is scanned and not parsed.
func stringField(raw []byte, key string) string {
	if !bytes.Contains(raw, []byte(`"`+key+`"`)) {
		return ""
	}
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			end := stringEnd(raw, i)
			if depth == 1 && string(raw[i+1:end]) == key {
				return valueAfter(raw[min(end+1, len(raw)):])
			}
			i = end
		}
	}
	return ""
}

// stringEnd returns the position of the quote that ends the string that starts
// at i, or the end of the input.
func stringEnd(raw []byte, i int) int {
	for j := i + 1; j < len(raw); {
		k := bytes.IndexByte(raw[j:], '"')
		if k < 0 {
			break
		}
		end := j + k
		escapes := 0
		for raw[end-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return end
		}
		j = end + 1
	}
	return len(raw)
}

// valueAfter reads the string after a key; empty if it is none.
func valueAfter(raw []byte) string {
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte(":"))
	rest = bytes.TrimLeft(rest, " \t\r\n")
	if !ok || len(rest) == 0 || rest[0] != '"' {
		return ""
	}
	end := stringEnd(rest, 0)
	if end < len(rest) && bytes.IndexByte(rest[:end], '\\') < 0 {
		return string(rest[1:end])
	}
	var value string
	if json.Unmarshal(rest[:min(end+1, len(rest))], &value) != nil {
		return ""
	}
	return value
}
