package fbc

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/registry"
)

// assembler puts packages together from blobs that come in any order.
type assembler struct {
	packages     map[string]*assembly
	channels     []placed[channelBlob]
	deprecations []placed[deprecationsBlob]
	bundles      map[[2]string]bool
	problems     []registry.Problem
	used         usage
}

type assembly struct {
	registry.Package

	where        string
	deprecations map[string]string // of bundles
	deprecated   bool              // an olm.deprecations was seen
	places       map[string]int    // of channels, by name
}

type placed[T any] struct {
	blob  T
	where string
}

func newAssembler() *assembler {
	return &assembler{packages: map[string]*assembly{}, bundles: map[[2]string]bool{}}
}

var (
	label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	// component is what the schema and the package of other items look like,
	// because clients ask for them by these names.
	component = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)
)

const maxLabel = 63

func (a *assembler) addPackage(blob packageBlob, where string) {
	switch {
	case blob.Name == "":
		a.problem(where, "", "config contains package with no name")
		return
	case a.packages[blob.Name] != nil:
		a.problem(where, "the other one is in "+a.packages[blob.Name].where, "duplicate package %q", blob.Name)
		return
	case strings.Contains(blob.Name, "."):
		a.problem(where, "", "invalid package name %q: [must not contain dots]", blob.Name)
	case len(blob.Name) > maxLabel || !label.MatchString(blob.Name):
		a.problem(where, "", "invalid package name %q: [must be lower case letters, digits and dashes, at most %d]", blob.Name, maxLabel)
	}
	a.packages[blob.Name] = &assembly{Package: packageOf(blob), where: where, places: map[string]int{}}
}

// finish returns the packages, sorted, with everything that belongs to them.
func (a *assembler) finish() []*assembly {
	for _, ch := range a.channels {
		a.placeChannel(ch)
	}
	for i, d := range a.deprecations {
		a.deprecate(i, d)
	}
	all := slices.Collect(maps.Values(a.packages))
	slices.SortFunc(all, func(x, y *assembly) int { return cmp.Compare(x.Name, y.Name) })
	for _, p := range all {
		slices.SortStableFunc(p.Channels, func(x, y registry.Channel) int { return cmp.Compare(x.Name, y.Name) })
	}
	return all
}

func (a *assembler) placeChannel(ch placed[channelBlob]) {
	p, ok := a.packages[ch.blob.Package]
	switch {
	case !ok:
		a.problem(ch.where, "add an olm.package of that name", "unknown package %q for channel %q", ch.blob.Package, ch.blob.Name)
		return
	case ch.blob.Name == "":
		a.problem(ch.where, "", "package %q contains channel with no name", ch.blob.Package)
		return
	}
	if _, ok := p.places[ch.blob.Name]; ok {
		a.problem(ch.where, "", "package %q has duplicate channel %q", ch.blob.Package, ch.blob.Name)
		return
	}
	p.places[ch.blob.Name] = len(p.Channels)
	p.Channels = append(p.Channels, channelOf(ch.blob))
}

func (a *assembler) deprecate(i int, d placed[deprecationsBlob]) {
	name := d.blob.Package
	p, ok := a.packages[name]
	switch {
	case name == "":
		a.problem(d.where, "", "package name must be set for deprecation item %d", i)
		return
	case !ok:
		a.problem(d.where, "", "cannot apply deprecations to an unknown package %q", name)
		return
	case p.deprecated:
		a.problem(d.where, "put all entries into one", "expected a maximum of one deprecation per package: %q", name)
		return
	}
	p.deprecated = true
	p.deprecations = map[string]string{}
	seen := map[[2]string]bool{}
	for j, e := range d.blob.Entries {
		key := [2]string{e.Reference.Schema, e.Reference.Name}
		if seen[key] {
			a.problem(d.where, "", "duplicate deprecation entry %v for package %q", key, name)
			continue
		}
		seen[key] = true
		if text := a.apply(p, j, e); text != "" {
			a.problem(d.where, "", "%s", text)
		}
	}
}

// apply notes the deprecation at place j and returns what is wrong with it.
func (a *assembler) apply(p *assembly, j int, e deprecationEntry) string {
	ref := e.Reference
	i, known := p.places[ref.Name]
	switch {
	case ref.Schema == "":
		return fmt.Sprintf("schema must be set for deprecation entry [%d] for package %q", j, p.Name)
	case ref.Schema == schemaPackage && ref.Name != "":
		return fmt.Sprintf("package name must be empty for deprecated package %q (specified %q)", p.Name, ref.Name)
	case ref.Schema == schemaPackage:
		p.Deprecation = e.Message
	case ref.Schema == schemaChannel && !known:
		return fmt.Sprintf("cannot deprecate channel %q for package %q: channel not found", ref.Name, p.Name)
	case ref.Schema == schemaChannel:
		p.Channels[i].Deprecation = e.Message
	case ref.Schema == schemaBundle && !a.bundles[[2]string{p.Name, ref.Name}]:
		return fmt.Sprintf("cannot deprecate bundle %q for package %q: bundle not found", ref.Name, p.Name)
	case ref.Schema == schemaBundle:
		p.deprecations[ref.Name] = e.Message
	default:
		return fmt.Sprintf("cannot deprecate object %s/%s referenced by entry %d for package %q: object schema unknown", ref.Schema, ref.Name, j, p.Name)
	}
	if e.Message == "" {
		return fmt.Sprintf("invalid deprecation: message must be set (entry %d for package %q)", j, p.Name)
	}
	return ""
}
