// Package registry defines what a catalog holds: packages, channels, bundles
// and the upgrade edges between them. It performs no I/O; the folders below it
// read and write catalogs as YAML, SQLite files, images and gRPC calls.
package registry

import (
	"cmp"
	"encoding/json"
	"slices"
)

// Property types that the lifecycle understands (docs/glossary.md).
const (
	PropertyPackage         = "olm.package"
	PropertyGVK             = "olm.gvk"
	PropertyLabel           = "olm.label"
	PropertyDeprecated      = "olm.deprecated"
	PropertyGVKRequired     = "olm.gvk.required"
	PropertyPackageRequired = "olm.package.required"
	PropertyLabelRequired   = "olm.label.required"
	PropertyConstraint      = "olm.constraint"
	PropertyBundleObject    = "olm.bundle.object"
	PropertyCSVMetadata     = "olm.csv.metadata"
)

// Property is a typed fact about a bundle, package or channel.
type Property struct {
	Type  string
	Value json.RawMessage // compact JSON, keys sorted, no HTML escaping
}

// GVK names a Kubernetes API by group, version and kind.
type GVK struct {
	Group, Version, Kind string
}

// RelatedImage is an image that a bundle uses at run time.
type RelatedImage struct {
	Name  string
	Image string
}

// Icon is the picture of a package.
type Icon struct {
	Data      []byte
	MediaType string
}

// Bundle is one installable version of a package.
type Bundle struct {
	Package       string
	Name          string     // the name of its ClusterServiceVersion
	Version       string     // verbatim, not re-rendered
	Image         string     // where the bundle was published; empty for inline content
	Properties    []Property // without olm.bundle.object and olm.csv.metadata: those are Content
	RelatedImages []RelatedImage
	Deprecation   string // why it is deprecated; empty if it is not

	// Content is what gets installed. Stores leave it out of lists.
	Content Content
}

// Content holds the manifests of a bundle. CSV and Objects are empty when only
// the image of the bundle has them.
type Content struct {
	CSV     []byte   // the ClusterServiceVersion as JSON
	Objects [][]byte // every manifest as JSON, the ClusterServiceVersion included
	// Metadata is the value of the property olm.csv.metadata: what people want
	// to know of a bundle whose manifests are in its image. May be empty.
	Metadata json.RawMessage
}

// Entry is the place of a bundle in a channel.
type Entry struct {
	Name      string   // of the bundle
	Replaces  string   // name of the bundle that it upgrades; may be absent from the channel
	Skips     []string // names of bundles that it also upgrades, and hides
	SkipRange string   // range of versions that it also upgrades; defines no order
}

// Channel is a line of upgrades inside a package.
type Channel struct {
	Name        string
	Entries     []Entry // in catalog order
	Head        string  // name of the entry that nothing replaces or skips
	Properties  []Property
	Deprecation string
}

// Package is an operator and its channels.
type Package struct {
	Name           string
	DefaultChannel string
	Description    string
	Icon           *Icon
	Channels       []Channel // sorted by name
	Properties     []Property
	Deprecation    string
}

// Blob is an item of a schema that only extensions know.
type Blob struct {
	Schema  string
	Package string // empty if it belongs to the whole catalog
	Name    string
	JSON    json.RawMessage // the whole item
}

// Member is a bundle in a channel of a package.
type Member struct {
	Package, Channel string
	Entry
}

// Channel returns the channel of that name.
func (p Package) Channel(name string) (Channel, bool) {
	for _, c := range p.Channels {
		if c.Name == name {
			return c, true
		}
	}
	return Channel{}, false
}

// Entry returns the entry of the bundle of that name.
func (c Channel) Entry(bundle string) (Entry, bool) {
	for _, e := range c.Entries {
		if e.Name == bundle {
			return e, true
		}
	}
	return Entry{}, false
}

// Members returns the entries of all channels of a package, in the order of
// channel and bundle names.
func Members(p Package) []Member {
	var all []Member
	for _, c := range p.Channels {
		for _, e := range c.Entries {
			all = append(all, Member{Package: p.Name, Channel: c.Name, Entry: e})
		}
	}
	slices.SortStableFunc(all, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Name, b.Name))
	})
	return all
}
