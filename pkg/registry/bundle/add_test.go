package bundle_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/memory"
)

// entriesText says the entries of the channels of a package, in their order.
func entriesText(p registry.Package) map[string]string {
	got := map[string]string{}
	for _, ch := range p.Channels {
		var entries []string
		for _, e := range ch.Entries {
			text := e.Name
			if e.Replaces != "" {
				text += " <" + e.Replaces
			}
			if len(e.Skips) > 0 {
				text += " -[" + strings.Join(e.Skips, " ") + "]"
			}
			entries = append(entries, text)
		}
		got[ch.Name] = strings.Join(entries, "|")
	}
	return got
}

// parsed reads bundles of lines as files does.
func parsed(t *testing.T, lines ...string) []*bundle.Parsed {
	t.Helper()
	fsys := files(lines...)
	var all []*bundle.Parsed
	for _, line := range lines {
		dir, _, _ := strings.Cut(line, " ")
		sub, err := fsys.Sub(dir)
		if err != nil {
			t.Fatal(err)
		}
		p, err := bundle.Parse(sub, dir)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// packageWith returns the package of a tree of bundles; an empty one of none.
func packageWith(t *testing.T, lines ...string) (registry.Package, []registry.Bundle) {
	t.Helper()
	if len(lines) == 0 {
		return registry.Package{Name: "p"}, nil
	}
	store, err := memory.New(t.Context(), bundle.FS(files(lines...), "dir", bundle.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := store.Package(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	var known []registry.Bundle
	for b, err := range store.Bundles(t.Context(), "p") {
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, b)
	}
	return p, known
}

func TestAdd(t *testing.T) {
	tests := map[string]struct {
		before      []string // a tree of bundles
		mode        bundle.Mode
		added       []string
		want        map[string]string
		wantFallen  string // channel/bundle
		wantDropped string
		wantDefault string // not compared if it is empty
	}{
		"into a package that is new": {
			added: []string{"1 1.0.0 stable,fast", "2 1.1.0 stable replaces=1.0.0"},
			want:  map[string]string{"stable": "p.v1.0.0|p.v1.1.0 <p.v1.0.0", "fast": "p.v1.0.0"},
		},
		"on top of what is replaced": {
			before: []string{"1 1.0.0 stable"}, added: []string{"2 1.1.0 stable replaces=1.0.0"},
			want: map[string]string{"stable": "p.v1.0.0|p.v1.1.0 <p.v1.0.0"},
		},
		"a bundle that leads nowhere takes the place of all others": {
			before: []string{"1 1.0.0 stable", "2 1.1.0 stable,fast replaces=1.0.0"}, added: []string{"3 2.0.0 stable"},
			want:       map[string]string{"stable": "p.v2.0.0", "fast": "p.v1.0.0|p.v1.1.0 <p.v1.0.0"},
			wantFallen: "stable/p.v1.0.0 stable/p.v1.1.0",
		},
		"what another channel has stays in the catalog": {
			before: []string{"1 1.0.0 stable", "2 1.1.0 stable,fast"}, added: []string{"3 2.0.0 stable"},
			want: map[string]string{"stable": "p.v2.0.0", "fast": "p.v1.1.0"}, wantFallen: "stable/p.v1.1.0",
		},
		"ad-10 the branch that is not replaced falls out": {
			before: []string{"1 1.0.0 stable", "2 1.1.0 stable replaces=1.0.0"}, added: []string{"3 1.2.0 stable replaces=1.0.0"},
			want: map[string]string{"stable": "p.v1.0.0|p.v1.2.0 <p.v1.0.0"}, wantFallen: "stable/p.v1.1.0", wantDropped: "p.v1.1.0",
		},
		"the branch that is skipped stays": {
			before: []string{"1 1.0.0 stable", "2 1.1.0 stable replaces=1.0.0"}, added: []string{"3 1.2.0 stable replaces=1.0.0 skips=1.1.0"},
			want: map[string]string{"stable": "p.v1.0.0|p.v1.1.0 <p.v1.0.0|p.v1.2.0 <p.v1.0.0 -[p.v1.1.0]"},
		},
		"what is replaced comes along from another channel": {
			before: []string{"1 1.0.0 fast", "2 1.1.0 fast replaces=1.0.0"}, added: []string{"3 1.2.0 stable replaces=1.1.0"},
			want: map[string]string{"fast": "p.v1.0.0|p.v1.1.0 <p.v1.0.0", "stable": "p.v1.0.0|p.v1.1.0 <p.v1.0.0|p.v1.2.0 <p.v1.1.0"},
		},
		"ad-11 the order of edges may differ from that of versions": {
			before: []string{"1 1.0.0 stable", "2 1.1.0 stable replaces=1.0.0"},
			added:  []string{"4 1.2.0 stable replaces=1.1.0-1", "3 1.1.0-1 stable replaces=1.1.0"},
			want:   map[string]string{"stable": "p.v1.0.0|p.v1.1.0 <p.v1.0.0|p.v1.1.0-1 <p.v1.1.0|p.v1.2.0 <p.v1.1.0-1"},
		},
		"sm-03 by version, in between": {
			mode: bundle.SemVer, before: []string{"1 1.0.0 stable", "2 1.2.0 stable replaces=1.0.0"}, added: []string{"3 1.1.0 stable,fast replaces=0.9.0"},
			want: map[string]string{"stable": "p.v1.0.0|p.v1.1.0 <p.v1.0.0|p.v1.2.0 <p.v1.1.0", "fast": "p.v1.1.0"},
		},
		"sm-01 by version, below and above": {
			mode: bundle.SemVer, before: []string{"2 1.2.0 stable"}, added: []string{"3 2.0.0 stable", "1 1.0.0 stable"},
			want: map[string]string{"stable": "p.v1.0.0|p.v1.2.0 <p.v1.0.0|p.v2.0.0 <p.v1.2.0"},
		},
		"sm-01 only the channels that are listed": {
			mode: bundle.SemVer, before: []string{"1 1.0.0 alpha,beta,stable"}, added: []string{"2 1.1.0 alpha,stable"},
			want: map[string]string{"alpha": "p.v1.0.0|p.v1.1.0 <p.v1.0.0", "beta": "p.v1.0.0", "stable": "p.v1.0.0|p.v1.1.0 <p.v1.0.0"},
		},
		"sm-04 a new channel that becomes the default": {
			mode: bundle.SemVer, before: []string{"1 1.0.0 alpha default=alpha"}, added: []string{"2 1.1.0 alpha,new default=new"},
			want: map[string]string{"alpha": "p.v1.0.0|p.v1.1.0 <p.v1.0.0", "new": "p.v1.1.0"}, wantDefault: "new",
		},
		"sm-05 an empty package": {
			mode: bundle.SemVer, added: []string{"1 1.0.0 alpha,beta default=beta"},
			want: map[string]string{"alpha": "p.v1.0.0", "beta": "p.v1.0.0"}, wantDefault: "beta",
		},
		"ad-09 a prerelease above what it replaces": {
			before: []string{"1 1.1.0 alpha", "2 1.2.0 alpha replaces=1.1.0"}, added: []string{"3 1.2.0-1 alpha,stable replaces=1.2.0"},
			want: map[string]string{
				"alpha":  "p.v1.1.0|p.v1.2.0 <p.v1.1.0|p.v1.2.0-1 <p.v1.2.0",
				"stable": "p.v1.1.0|p.v1.2.0 <p.v1.1.0|p.v1.2.0-1 <p.v1.2.0",
			},
		},
		"by version, over what is skipped": {
			mode:   bundle.SemVer,
			before: []string{"1 1.0.0 stable", "2 1.1.0 stable replaces=1.0.0", "3 1.2.0 stable replaces=1.0.0 skips=1.1.0"},
			added:  []string{"4 1.0.5 stable"},
			want:   map[string]string{"stable": "p.v1.1.0 <p.v1.0.0|p.v1.0.0|p.v1.0.5 <p.v1.0.0|p.v1.2.0 <p.v1.0.5 -[p.v1.1.0]"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, known := packageWith(t, test.before...)
			got, err := bundle.Add(p, known, parsed(t, test.added...), test.mode)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, entriesText(got.Package), cmp.Transformer("sorted", sortedEntries)); diff != "" {
				t.Errorf("channels (-want +got):\n%s", diff)
			}
			if test.wantDefault != "" && got.Package.DefaultChannel != test.wantDefault {
				t.Errorf("the default channel is %s, want %s", got.Package.DefaultChannel, test.wantDefault)
			}
			var fallen []string
			for _, m := range got.Fallen {
				fallen = append(fallen, m.Channel+"/"+m.Name)
			}
			if strings.Join(fallen, " ") != test.wantFallen || strings.Join(got.Dropped, " ") != test.wantDropped {
				t.Errorf("fallen %v, dropped %v, want %q, %q", fallen, got.Dropped, test.wantFallen, test.wantDropped)
			}
		})
	}
}

// sortedEntries forgets the order of entries, which means nothing.
func sortedEntries(text string) string {
	entries := strings.Split(text, "|")
	slices.Sort(entries)
	return strings.Join(entries, "|")
}

func TestAddRefuses(t *testing.T) {
	tests := map[string]struct {
		mode     bundle.Mode
		added    []string
		want     string
		wantKind failure.Kind
	}{
		"ad-05 sm-02 a bundle that is there":     {added: []string{"1 1.0.0 stable"}, want: `has a bundle "p.v1.0.0" already`, wantKind: failure.Conflict},
		"ad-04 the same bundle twice":            {added: []string{"3 3.0.0 stable", "4 3.0.0 stable"}, want: `has a bundle "p.v3.0.0" already`, wantKind: failure.Conflict},
		"a bundle without a channel":             {added: []string{"3 3.0.0 ''"}, want: "names no channel", wantKind: failure.Invalid},
		"a bundle that nothing leads to":         {added: []string{"3 1.5.0 stable replaces=1.0.0"}, want: `nothing replaces or skips bundle "p.v1.5.0"`, wantKind: failure.Invalid},
		"bundles of which one leads to no other": {added: []string{"3 3.0.0 stable replaces=2.0.0", "4 4.0.0 stable"}, want: `nothing replaces or skips bundle "p.v3.0.0"`, wantKind: failure.Invalid},
		"a circle":                               {added: []string{"3 3.0.0 stable replaces=3.0.0"}, want: "no place for new bundles", wantKind: failure.Invalid},
	}
	p, known := packageWith(t, "1 1.0.0 stable", "2 2.0.0 stable replaces=1.0.0")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := bundle.Add(p, known, parsed(t, test.added...), test.mode)
			if failure.KindOf(err) != test.wantKind || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want kind %s that says %q", err, test.wantKind, test.want)
			}
		})
	}
}
