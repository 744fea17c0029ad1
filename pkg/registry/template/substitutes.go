package template

import (
	"context"
	"encoding/json"
	"slices"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
)

const schemaSubstitutes = "olm.template.substitutes"

// substitution puts the bundle of an image in the place of another one.
type substitution struct {
	Name string // image or directory of the bundle
	Base string // name of the bundle whose place it takes
}

// renderSubstitutes puts rebuilt bundles in the place of those that they were
// rebuilt from: the base stays, but nothing leads to it any more.
func renderSubstitutes(ctx context.Context, name string, raw []byte, load Load) (registry.Source, error) {
	var t struct {
		Schema        string
		Entries       []json.RawMessage
		Substitutions []substitution
	}
	if err := strict(raw, &t); err != nil {
		return nil, invalid(name, err)
	}
	var blobs [][]byte
	for _, entry := range t.Entries {
		blobs = append(blobs, entry)
	}
	c := substituted{packages: map[string]*registry.Package{}, bundles: map[[2]string]*registry.Bundle{}, used: map[string]bool{}}
	for item, err := range registry.Validated(fbc.Blobs(name, blobs, nil)).Items(ctx) {
		if err != nil {
			return nil, err
		}
		c.add(item)
	}
	for _, s := range t.Substitutions {
		if err := c.check(s); err != nil {
			return nil, err
		}
		found, err := load(ctx, s.Name)
		if err != nil {
			return nil, err
		}
		if len(found) != 1 {
			return nil, failure.New(failure.Invalid, "%q holds %d bundles, want 1", s.Name, len(found))
		}
		if err := c.substitute(found[0], s.Base); err != nil {
			return nil, err
		}
	}
	return c.items, nil
}

// substituted is a catalog while its bundles are exchanged.
type substituted struct {
	items    registry.Catalog
	packages map[string]*registry.Package
	bundles  map[[2]string]*registry.Bundle // by package and name
	used     map[string]bool                // names and bases of substitutions
}

func (c *substituted) add(item registry.Item) {
	c.items = append(c.items, item)
	switch {
	case item.Package != nil:
		c.packages[item.Package.Name] = item.Package
	case item.Bundle != nil:
		c.bundles[[2]string{item.Bundle.Package, item.Bundle.Name}] = item.Bundle
	}
}

func (c *substituted) check(s substitution) error {
	switch {
	case s.Name == "":
		return failure.New(failure.Invalid, "a substitution of %q has no name", s.Base).WithHint("name the image of the bundle that takes its place")
	case s.Base == "":
		return failure.New(failure.Invalid, "the substitution %q has no base", s.Name).WithHint("name the bundle whose place it takes")
	case s.Name == s.Base:
		return failure.New(failure.Invalid, "the substitution %q is its own base", s.Name)
	case c.used["base "+s.Base]:
		return failure.New(failure.Invalid, "%q is the base of two substitutions", s.Base).WithHint("let the second one take the place of the first")
	case c.used["name "+s.Name]:
		return failure.New(failure.Invalid, "%q is substituted for two bundles", s.Name)
	}
	c.used["base "+s.Base], c.used["name "+s.Name] = true, true
	return nil
}

// substitute puts a bundle in the place of the base in every channel.
func (c *substituted) substitute(b registry.Bundle, base string) error {
	p, old := c.packages[b.Package], c.bundles[[2]string{b.Package, base}]
	if p == nil || old == nil {
		return failure.New(failure.Invalid, "package %q has no bundle %q that %q could be substituted for", b.Package, base, b.Name)
	}
	oldVersion, err := registry.VersionOf(*old)
	if err != nil {
		return failure.New(failure.Invalid, "%v", err)
	}
	version, err := registry.VersionOf(b)
	if err != nil {
		return failure.New(failure.Invalid, "%v", err)
	}
	if version.Compare(oldVersion) <= 0 {
		return failure.New(failure.Invalid, "bundle %q (%s) is not higher than %q (%s), for which it is substituted", b.Name, version, base, oldVersion).
			WithHint("give it a release, or a higher version")
	}
	for i := range p.Channels {
		exchange(&p.Channels[i], b.Name, base)
	}
	c.add(registry.Item{Bundle: &b})
	return nil
}

// exchange lets everything in a channel lead to a substitute instead of its base.
func exchange(ch *registry.Channel, name, base string) {
	at := slices.IndexFunc(ch.Entries, func(e registry.Entry) bool { return e.Name == base })
	if at < 0 {
		return
	}
	added := ch.Entries[at]
	added.Name = name
	added.Skips = withSkip(added.Skips, base)
	entries := slices.Clone(ch.Entries)
	for i, e := range entries {
		switch {
		case i == at:
			entries[i] = registry.Entry{Name: base}
		case e.Replaces == base:
			entries[i].Replaces = name
			entries[i].Skips = withSkip(e.Skips, base)
		default:
			entries[i].Skips = slices.Clone(e.Skips)
			for j, s := range entries[i].Skips {
				if s == base {
					entries[i].Skips[j] = name
				}
			}
		}
	}
	ch.Entries = append(entries, added)
	if ch.Head == base {
		ch.Head = name
	}
}

func withSkip(skips []string, name string) []string {
	if slices.Contains(skips, name) {
		return skips
	}
	return append(slices.Clip(skips), name)
}
