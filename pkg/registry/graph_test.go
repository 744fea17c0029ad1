package registry_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// channel reads "3 <1 -2 ~<2.0.0": entry 3 replaces 1, skips 2, has a skipRange.
func channel(lines ...string) registry.Channel {
	ch := registry.Channel{Name: "c"}
	for _, line := range lines {
		fields := strings.Split(line, " ")
		e := registry.Entry{Name: fields[0]}
		for _, f := range fields[1:] {
			switch f[0] {
			case '<':
				e.Replaces = f[1:]
			case '-':
				e.Skips = append(e.Skips, f[1:])
			case '~':
				e.SkipRange = strings.ReplaceAll(f[1:], "_", " ")
			}
		}
		ch.Entries = append(ch.Entries, e)
	}
	return ch
}

// TestCheckChannel runs the scenarios gr-01 … gr-13.
func TestCheckChannel(t *testing.T) {
	tests := map[string]struct {
		entries []string
		want    []string
	}{
		"gr-01 an entry that replaces one and skips one is the head":  {entries: []string{"1", "2", "3 <1 -2"}},
		"gr-02 a loop has no head":                                    {entries: []string{"1 <3", "3 <1 -2"}, want: []string{"no channel head found in graph"}},
		"gr-03 two entries on one are two heads":                      {entries: []string{"1", "3 <1 -2", "4 <1"}, want: []string{"multiple channel heads found in graph: 3, 4"}},
		"gr-04 skips may be chained":                                  {entries: []string{"1", "2 -1", "3 -2", "4 <3"}},
		"gr-05 an entry that replaces itself is a cycle":              {entries: []string{"4 <4", "5 <4"}, want: []string{"detected cycle in replaces chain of upgrade graph: 4 -> 4"}},
		"gr-06 a cycle behind the head is named":                      {entries: []string{"1 <3", "2 <1", "3 <2", "4 <3"}, want: []string{"detected cycle in replaces chain of upgrade graph: 3 -> 2 -> 1 -> 3"}},
		"gr-07 an entry behind a skipped one is stranded":             {entries: []string{"1", "2 <1", "3 -2"}, want: []string{"channel contains one or more stranded bundles: 1"}},
		"gr-08 replacing and skipping the same strands what is below": {entries: []string{"1", "2 <1", "3 <2 -2"}, want: []string{"channel contains one or more stranded bundles: 1"}},
		"gr-09 the last entry may replace what is not there":          {entries: []string{"2 <1"}},
		"gr-10 an entry that skips itself is no head":                 {entries: []string{"1 -1"}, want: []string{"no channel head found in graph"}},
		"gr-11 a skipRange makes no head":                             {entries: []string{"1", "2 ~<0.0.2"}, want: []string{"multiple channel heads found in graph: 1, 2"}},
		"gr-12 an entry may skip what is not there":                   {entries: []string{"3 -2"}},
		"gr-13 a channel needs an entry":                              {want: []string{"channel must contain at least one bundle"}},
		"a skipRange must parse":                                      {entries: []string{"1 ~<v0.2.0"}, want: []string{`invalid bundle "1"`}},
		"an entry comes once":                                         {entries: []string{"1", "1"}, want: []string{`duplicate entry "1"`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range registry.CheckChannel(channel(test.entries...)) {
				got = append(got, p.Message)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("CheckChannel() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGraph(t *testing.T) {
	tests := map[string]struct {
		entries   []string
		installed string // name, is its version too
		wantOrder []string
		wantNext  []string
		wantPath  []string
	}{
		"replaces leads through every version": {
			entries: []string{"1.0.0", "1.1.0 <1.0.0", "2.0.0 <1.1.0"}, installed: "1.0.0",
			wantOrder: []string{"2.0.0", "1.1.0", "1.0.0"}, wantNext: []string{"1.1.0"}, wantPath: []string{"1.1.0", "2.0.0"},
		},
		"a skipped entry is left out of the order and walked over": {
			entries: []string{"1.0.0", "1.1.0 <1.0.0", "2.0.0 <1.1.0 -1.1.0"}, installed: "1.0.0",
			wantOrder: []string{"2.0.0", "1.0.0"},
		},
		"a skipRange makes the way shorter": {
			entries:   []string{"1.0.0", "1.0.1 <1.0.0", "1.1.0 <1.0.1", "1.1.1 <1.0.1 -1.1.0", "2.0.0 <1.1.1 ~>=1.1.0_<2.0.0"},
			installed: "1.1.0",
			wantOrder: []string{"2.0.0", "1.1.1", "1.0.1", "1.0.0"}, wantNext: []string{"2.0.0", "1.1.1"}, wantPath: []string{"2.0.0"},
		},
		"the head has no successor": {
			entries: []string{"1.0.0", "1.1.0 <1.0.0"}, installed: "1.1.0",
			wantOrder: []string{"1.1.0", "1.0.0"},
		},
		"an older entry is no successor even if its range says so": {
			entries: []string{"1.0.0 ~<3.0.0", "2.0.0 <1.0.0"}, installed: "2.0.0",
			wantOrder: []string{"2.0.0", "1.0.0"},
		},
		"a bundle that was pruned still has its successor": {
			entries: []string{"1.1.0 <1.0.0", "1.2.0 <1.1.0"}, installed: "1.0.0",
			wantOrder: []string{"1.2.0", "1.1.0"}, wantNext: []string{"1.1.0"}, wantPath: []string{"1.1.0", "1.2.0"},
		},
		"a stranger is far from everything": {
			entries: []string{"1.1.0"}, installed: "9.0.0", wantOrder: []string{"1.1.0"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g, err := registry.NewGraph(channel(test.entries...), func(name string) string { return name })
			if err != nil {
				t.Fatal(err)
			}
			type answers struct{ Order, Next, Path []string }
			want := answers{test.wantOrder, test.wantNext, test.wantPath}
			got := answers{g.Order(), g.Successors(test.installed, test.installed), g.Path(test.installed, test.installed)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Order, Successors, Path (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGraphOfInvalidChannel(t *testing.T) {
	for _, entries := range [][]string{{}, {"1 -1"}, {"1", "2"}, {"4 <4", "5 <4"}} {
		if _, err := registry.NewGraph(channel(entries...), nil); failure.KindOf(err) != failure.Invalid {
			t.Errorf("NewGraph(%v) error %v, want kind Invalid", entries, err)
		}
	}
}

// TestGraphTerminates walks random graphs, cycles included.
func TestGraphTerminates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0", "3.0.0"}
		ch := registry.Channel{Name: "c"}
		for _, name := range names {
			ch.Entries = append(ch.Entries, registry.Entry{
				Name:      name,
				Replaces:  rapid.SampledFrom(append(names, "")).Draw(t, "replaces"),
				Skips:     rapid.SliceOfN(rapid.SampledFrom(names), 0, 2).Draw(t, "skips"),
				SkipRange: rapid.SampledFrom([]string{"", "<9.0.0", ">=1.0.0 <2.0.0", "nonsense"}).Draw(t, "skipRange"),
			})
		}
		g, err := registry.NewGraph(ch, func(name string) string { return name })
		if err != nil {
			return
		}
		for _, name := range names {
			path := g.Path(name, name)
			if len(path) > len(names) {
				t.Fatalf("Path(%s) = %v is longer than the channel", name, path)
			}
			if slices.Contains(path, name) {
				t.Fatalf("Path(%s) = %v comes back", name, path)
			}
		}
	})
}
