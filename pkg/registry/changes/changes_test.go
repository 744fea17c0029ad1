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
	tests := map[string]struct {
		edit edit
		want []changes.Change
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
				{Kind: changes.EdgesChanged, Package: "prometheus", Channel: "preview", Bundle: "prometheusoperator.0.22.2"},
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
			want: []changes.Change{{Kind: changes.PackageAdded, Package: "cockroachdb"}, {Kind: changes.PackageRemoved, Package: "prometheus"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			prometheus := func() registry.Catalog { return storetest.F1()[4:8] }
			old, err := memory.New(t.Context(), prometheus())
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
