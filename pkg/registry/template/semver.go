package template

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Kinds of channels.
const (
	kindMajor = "major"
	kindMinor = "minor"
)

type semverTemplate struct {
	Schema                       string
	GenerateMajorChannels        bool
	GenerateMinorChannels        bool
	DefaultChannelTypePreference string
	Candidate, Fast, Stable      archetype
}

// archetype is a level of trust with its bundles.
type archetype struct {
	Bundles []struct{ Image string }
}

// release is a bundle with its version.
type release struct {
	registry.Bundle

	version semver.Version
}

func renderSemver(ctx context.Context, name string, raw []byte, load Load) (registry.Source, error) {
	var t semverTemplate
	if err := strict(raw, &t); err != nil {
		return nil, invalid(name, err)
	}
	if err := t.settle(); err != nil {
		return nil, err
	}
	r := renderer{template: t, load: load, known: map[string]registry.Bundle{}}
	for _, level := range []struct {
		name string
		archetype
	}{{"candidate", t.Candidate}, {"fast", t.Fast}, {"stable", t.Stable}} {
		if err := r.level(ctx, level.name, level.archetype); err != nil {
			return nil, err
		}
	}
	if len(r.known) == 0 {
		return nil, failure.New(failure.Invalid, "render: no bundles specified or no bundles could be rendered")
	}
	return r.catalog(), nil
}

// settle fills in the defaults and checks that they fit together.
func (t *semverTemplate) settle() error {
	if !t.GenerateMajorChannels && !t.GenerateMinorChannels {
		t.GenerateMinorChannels = true
	}
	generated := map[string]bool{kindMajor: t.GenerateMajorChannels, kindMinor: t.GenerateMinorChannels}
	switch t.DefaultChannelTypePreference {
	case "":
		t.DefaultChannelTypePreference = kindMajor
		if t.GenerateMinorChannels {
			t.DefaultChannelTypePreference = kindMinor
		}
	case kindMajor, kindMinor:
		if !generated[t.DefaultChannelTypePreference] {
			return failure.New(failure.Invalid, "schema attribute mismatch: no %s channels are generated", t.DefaultChannelTypePreference)
		}
	default:
		return failure.New(failure.Invalid, "unknown DefaultChannelTypePreference: %q", t.DefaultChannelTypePreference)
	}
	return nil
}

type renderer struct {
	template semverTemplate
	load     Load
	known    map[string]registry.Bundle // by name
	channels []registry.Channel
	ranks    []rank // of the channels
}

// rank orders channels by how good they are as the default.
type rank struct {
	level     int
	first     semver.Version
	preferred bool
	minor     bool
}

func (a rank) compare(b rank) int {
	bit := func(v bool) int {
		if v {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.level, b.level), a.first.Compare(b.first), cmp.Compare(bit(a.preferred), bit(b.preferred)), cmp.Compare(bit(a.minor), bit(b.minor)))
}

// level makes the channels of an archetype.
func (r *renderer) level(ctx context.Context, name string, a archetype) error {
	releases, err := r.releases(ctx, a)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	level := map[string]int{"candidate": 0, "fast": 1, "stable": 2}[name]
	for _, kind := range []string{kindMajor, kindMinor} {
		if kind == kindMajor && !r.template.GenerateMajorChannels || kind == kindMinor && !r.template.GenerateMinorChannels {
			continue
		}
		entries := link(releases)
		for i, one := range releases {
			channel := fmt.Sprintf("%s-v%d", name, one.version.Major)
			if kind == kindMinor {
				channel += fmt.Sprintf(".%d", one.version.Minor)
			}
			at := slices.IndexFunc(r.channels, func(ch registry.Channel) bool { return ch.Name == channel })
			if at < 0 {
				at = len(r.channels)
				r.channels = append(r.channels, registry.Channel{Name: channel})
				r.ranks = append(r.ranks, rank{level, one.version, kind == r.template.DefaultChannelTypePreference, kind == kindMinor})
			}
			r.channels[at].Entries = append(r.channels[at].Entries, entries[i])
		}
	}
	return nil
}

// releases returns the bundles of an archetype by ascending version.
func (r *renderer) releases(ctx context.Context, a archetype) ([]release, error) {
	var all []release
	for _, ref := range a.Bundles {
		found, err := r.load(ctx, ref.Image)
		if err != nil {
			return nil, err
		}
		if len(found) != 1 {
			return nil, failure.New(failure.Invalid, "%q holds %d bundles, want 1", ref.Image, len(found))
		}
		b := found[0]
		v, err := semver.Parse(b.Version)
		if err != nil {
			return nil, failure.New(failure.Invalid, "bundle %q has the version %q: %v", b.Name, b.Version, err)
		}
		if slices.ContainsFunc(all, func(other release) bool { return other.Name == b.Name }) {
			return nil, failure.New(failure.Invalid, "duplicate bundle name %q", b.Name)
		}
		for _, other := range r.known {
			if other.Package != b.Package {
				return nil, failure.New(failure.Invalid, "bundles of the packages %q and %q are in one template", other.Package, b.Package)
			}
		}
		r.known[b.Name] = b
		all = append(all, release{b, v})
	}
	slices.SortFunc(all, func(a, b release) int { return a.version.Compare(b.version) })
	for i := 1; i < len(all); i++ {
		if all[i].version.EQ(all[i-1].version) {
			return nil, failure.New(failure.Invalid, "encountered bundle versions which differ only by build metadata, which cannot be ordered: %s, %s", all[i-1].version, all[i].version)
		}
	}
	return all, nil
}

// link gives the highest patch of every minor its edges: it replaces the one of
// the minor before and skips everything else below it in its major.
func link(releases []release) []registry.Entry {
	entries := make([]registry.Entry, len(releases))
	previous, below := "", map[string]bool{}
	for i, one := range releases {
		entries[i].Name = one.Name
		last := i+1 == len(releases)
		newMajor := last || releases[i+1].version.Major != one.version.Major
		newMinor := newMajor || releases[i+1].version.Minor != one.version.Minor
		if newMinor {
			entries[i].Replaces = previous
			for name := range below {
				if name != previous {
					entries[i].Skips = append(entries[i].Skips, name)
				}
			}
			slices.Sort(entries[i].Skips)
			previous = one.Name
		}
		below[one.Name] = true
		if newMajor {
			previous, below = "", map[string]bool{}
		}
	}
	return entries
}

// catalog puts the package together.
func (r *renderer) catalog() registry.Catalog {
	var c registry.Catalog
	p := registry.Package{}
	best := 0
	for i := range r.channels {
		if heads := registry.Heads(r.channels[i]); len(heads) == 1 {
			r.channels[i].Head = heads[0]
		}
		if r.ranks[i].compare(r.ranks[best]) > 0 {
			best = i
		}
	}
	p.DefaultChannel = r.channels[best].Name
	entries := r.channels[best].Entries
	p.Description, p.Icon = looks(r.known[entries[len(entries)-1].Name])
	p.Channels = r.channels
	slices.SortFunc(p.Channels, func(a, b registry.Channel) int { return strings.Compare(a.Name, b.Name) })
	for _, b := range r.known {
		p.Name = b.Package
		c = append(c, registry.Item{Bundle: &b})
	}
	slices.SortFunc(c, func(a, b registry.Item) int { return strings.Compare(a.Bundle.Name, b.Bundle.Name) })
	return append(c, registry.Item{Package: &p})
}

// looks returns what the ClusterServiceVersion of a bundle shows of it.
func looks(b registry.Bundle) (string, *registry.Icon) {
	var v struct {
		Spec struct {
			Description string
			Icon        []struct {
				Data      []byte `json:"base64data"`
				MediaType string `json:"mediatype"`
			}
		}
	}
	if err := json.Unmarshal(b.Content.CSV, &v); err != nil || len(v.Spec.Icon) == 0 {
		return v.Spec.Description, nil
	}
	return v.Spec.Description, &registry.Icon{Data: v.Spec.Icon[0].Data, MediaType: v.Spec.Icon[0].MediaType}
}
