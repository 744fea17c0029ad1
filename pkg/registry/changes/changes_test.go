package changes_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/changes"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/storetest"
)

func TestBetween(t *testing.T) {
	type edit func(c registry.Catalog) registry.Catalog
	lost := func(version string) changes.Change {
		return changes.Change{Kind: changes.PathLost, Package: "prometheus", Channel: "preview", Bundle: "prometheusoperator." + version}
	}
	tests := map[string]struct {
		before edit // nil changes nothing
		edit   edit
		want   []changes.Change
	}{
		"the same catalog": {edit: func(c registry.Catalog) registry.Catalog { return c }},
		"a bundle that is pruned strands who has it": {
			edit: func(c registry.Catalog) registry.Catalog {
				entries := c[3].Package.Channels[0].Entries // prometheus preview
				c[3].Package.Channels[0].Entries = []registry.Entry{entries[0], {Name: entries[2].Name, Replaces: entries[0].Name}}
				return append(c[:1:1], c[2:]...)
			},
			want: []changes.Change{
				{Kind: changes.EntryRemoved, Package: "prometheus", Channel: "preview", Bundle: "prometheusoperator.0.15.0"},
				{Kind: changes.EdgesChanged, Package: "prometheus", Channel: "preview", Bundle: "prometheusoperator.0.22.2", Old: "replaces prometheusoperator.0.15.0", New: "replaces prometheusoperator.0.14.0"},
				{Kind: changes.PathLost, Package: "prometheus", Channel: "preview", Bundle: "prometheusoperator.0.15.0"},
			},
		},
		"a bundle with other content": {
			edit: func(c registry.Catalog) registry.Catalog {
				c[0].Bundle.Image = "example.com/other:v1"
				return c
			},
			want: []changes.Change{{Kind: changes.BundleChanged, Package: "prometheus", Bundle: "prometheusoperator.0.14.0"}},
		},
		"a package comes, one goes": {
			edit: func(registry.Catalog) registry.Catalog { return storetest.F2() },
			want: []changes.Change{
				{Kind: changes.PackageAdded, Package: "cockroachdb"},
				{Kind: changes.PackageRemoved, Package: "prometheus"},
				lost("0.14.0"), lost("0.15.0"), lost("0.22.2"),
			},
		},
		"a channel under another name leaves who follows the old one": {
			edit: func(c registry.Catalog) registry.Catalog {
				c[3].Package.DefaultChannel, c[3].Package.Channels[0].Name = "stable", "stable"
				return c
			},
			want: []changes.Change{
				{Kind: changes.DefaultChanged, Package: "prometheus", Old: "preview", New: "stable"},
				{Kind: changes.ChannelRemoved, Package: "prometheus", Channel: "preview"},
				lost("0.14.0"), lost("0.15.0"), lost("0.22.2"),
				{Kind: changes.ChannelAdded, Package: "prometheus", Channel: "stable"},
			},
		},
		"edges that are others say what they were": {
			edit: func(c registry.Catalog) registry.Catalog {
				entries := c[3].Package.Channels[0].Entries
				c[3].Package.Channels[0].Entries = []registry.Entry{
					entries[0],
					{Name: entries[1].Name, Replaces: entries[0].Name, SkipRange: "<0.15.0"},
					{Name: entries[2].Name, Replaces: entries[0].Name, Skips: []string{entries[1].Name, "prometheusoperator.0.20.0"}},
				}
				return c
			},
			want: []changes.Change{
				{Kind: changes.EdgesChanged, Package: "prometheus", Channel: "preview", Bundle: "prometheusoperator.0.15.0", Old: "skipRange none", New: "skipRange <0.15.0"},
				{
					Kind: changes.EdgesChanged, Package: "prometheus", Channel: "preview", Bundle: "prometheusoperator.0.22.2",
					Old: "replaces prometheusoperator.0.15.0", New: "replaces prometheusoperator.0.14.0; skips prometheusoperator.0.15.0,prometheusoperator.0.20.0",
				},
			},
		},
		"a bundle that is no entry may be installed": {
			before: func(c registry.Catalog) registry.Catalog {
				c[3].Package.Channels[0].Entries[0].Replaces = "prometheusoperator.0.1.0"
				return c
			},
			edit: func(c registry.Catalog) registry.Catalog {
				c[3].Package.Channels[0].Entries[0].Replaces = ""
				return c
			},
			want: []changes.Change{
				{Kind: changes.EdgesChanged, Package: "prometheus", Channel: "preview", Bundle: "prometheusoperator.0.14.0", Old: "replaces prometheusoperator.0.1.0", New: "replaces nothing"},
				lost("0.1.0"),
			},
		},
		"who gets to an entry that leads nowhere has lost the way": {
			edit: func(c registry.Catalog) registry.Catalog {
				entries := c[3].Package.Channels[0].Entries
				entries[2].Skips = []string{entries[1].Name} // from 0.15.0 to the head, but nothing from 0.14.0
				return c
			},
			want: []changes.Change{
				{Kind: changes.EdgesChanged, Package: "prometheus", Channel: "preview", Bundle: "prometheusoperator.0.22.2", New: "skips prometheusoperator.0.15.0"},
				lost("0.14.0"),
			},
		},
		"deprecations are told": {
			edit: func(c registry.Catalog) registry.Catalog {
				c[0].Bundle.Deprecation, c[3].Package.Deprecation, c[3].Package.Channels[0].Deprecation = "a", "b", "c"
				return c
			},
			want: []changes.Change{
				{Kind: changes.Deprecated, Package: "prometheus", New: "b"},
				{Kind: changes.Deprecated, Package: "prometheus", Channel: "preview", New: "c"},
				{Kind: changes.Deprecated, Package: "prometheus", Bundle: "prometheusoperator.0.14.0", New: "a"},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			prometheus := func() registry.Catalog { return storetest.F1()[4:8] }
			before := prometheus()
			if test.before != nil {
				before = test.before(before)
			}
			old, err := memory.New(t.Context(), before)
			if err != nil {
				t.Fatal(err)
			}
			next, err := memory.New(t.Context(), test.edit(prometheus()))
			if err != nil {
				t.Fatal(err)
			}
			got, err := changes.Between(t.Context(), old, next)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Between() (-want +got):\n%s", diff)
			}
		})
	}
}
