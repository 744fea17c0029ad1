package template_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/storetest"
	"chandler.dev/olm/pkg/registry/template"
)

// loadRelease knows the releases of package p: "1.1.0-2" is release 2 of 1.1.0.
func loadRelease(_ context.Context, ref string) ([]registry.Bundle, error) {
	version, release, _ := strings.Cut(ref, "-")
	if version == "none" {
		return nil, errors.New("no image " + ref)
	}
	b := storetest.Image("p", "p-v"+ref, version)
	value, err := json.Marshal(registry.PackageProperty{PackageName: "p", Version: version, Release: release})
	b.Properties[0].Value = value
	return []registry.Bundle{b}, err
}

// substitutes makes a template of the versions 1.0.0, 1.1.0 and 1.2.0. In channel
// a each replaces the one before, in d 1.1.0 is skipped.
func substitutes(substitutions string) string {
	text := "schema: olm.template.substitutes\nentries:\n- {schema: olm.package, name: p, defaultChannel: a}\n" +
		"- {schema: olm.channel, package: p, name: a, entries: [{name: p.v1.0.0}, {name: p.v1.1.0, replaces: p.v1.0.0, skips: [p.v0.9.0], skipRange: <1.1.0}, {name: p.v1.2.0, replaces: p.v1.1.0}]}\n" +
		"- {schema: olm.channel, package: p, name: b, entries: [{name: p.v1.0.0}, {name: p.v1.1.0, replaces: p.v1.0.0}]}\n" +
		"- {schema: olm.channel, package: p, name: c, entries: [{name: p.v1.0.0}]}\n" +
		"- {schema: olm.channel, package: p, name: d, entries: [{name: p.v1.0.0}, {name: p.v1.1.0}, {name: p.v1.2.0, replaces: p.v1.0.0, skips: [p.v1.1.0]}]}\n"
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		text += "- {schema: olm.bundle, package: p, name: p.v" + v + ", image: 'fake/p:v" + v + "', properties: [{type: olm.package, value: {packageName: p, version: " + v + "}}]}\n"
	}
	return text + "substitutions:\n" + substitutions
}

func TestSubstitutes(t *testing.T) {
	tests := map[string]struct {
		substitutions string
		want          map[string]string // edges by channel
		wantHeads     string
	}{
		"tp-14 everything leads to the substitute": {
			substitutions: "- {name: 1.1.0-2, base: p.v1.1.0}\n",
			want: map[string]string{
				"a": "p.v1.2.0 replaces p-v1.1.0-2 skips [p.v1.1.0]\np-v1.1.0-2 replaces p.v1.0.0 skips [p.v0.9.0 p.v1.1.0] range <1.1.0",
				"b": "p-v1.1.0-2 replaces p.v1.0.0 skips [p.v1.1.0]",
				"c": "",
				"d": "p.v1.2.0 replaces p.v1.0.0 skips [p-v1.1.0-2]\np-v1.1.0-2 replaces  skips [p.v1.1.0]",
			},
			wantHeads: "p.v1.2.0 p-v1.1.0-2 p.v1.0.0 p.v1.2.0",
		},
		"tp-14 a substitute of the head": {
			substitutions: "- {name: 1.2.0-1, base: p.v1.2.0}\n",
			want: map[string]string{
				"a": "p.v1.1.0 replaces p.v1.0.0 skips [p.v0.9.0] range <1.1.0\np-v1.2.0-1 replaces p.v1.1.0 skips [p.v1.2.0]",
				"b": "p.v1.1.0 replaces p.v1.0.0 skips []",
				"c": "",
				"d": "p-v1.2.0-1 replaces p.v1.0.0 skips [p.v1.1.0 p.v1.2.0]",
			},
			wantHeads: "p-v1.2.0-1 p.v1.1.0 p.v1.0.0 p-v1.2.0-1",
		},
		"tp-14 a substitute of the first": {
			substitutions: "- {name: 1.0.0-1, base: p.v1.0.0}\n",
			want: map[string]string{
				"a": "p.v1.1.0 replaces p-v1.0.0-1 skips [p.v0.9.0 p.v1.0.0] range <1.1.0\np.v1.2.0 replaces p.v1.1.0 skips []\np-v1.0.0-1 replaces  skips [p.v1.0.0]",
				"b": "p.v1.1.0 replaces p-v1.0.0-1 skips [p.v1.0.0]\np-v1.0.0-1 replaces  skips [p.v1.0.0]",
				"c": "p-v1.0.0-1 replaces  skips [p.v1.0.0]",
				"d": "p.v1.2.0 replaces p-v1.0.0-1 skips [p.v1.1.0 p.v1.0.0]\np-v1.0.0-1 replaces  skips [p.v1.0.0]",
			},
			wantHeads: "p.v1.2.0 p.v1.1.0 p-v1.0.0-1 p.v1.2.0",
		},
		"tp-16 a substitute of a substitute": {
			substitutions: "- {name: 1.1.0-1, base: p.v1.1.0}\n- {name: 1.1.0-2, base: p-v1.1.0-1}\n",
			want: map[string]string{
				"a": "p.v1.2.0 replaces p-v1.1.0-2 skips [p.v1.1.0 p-v1.1.0-1]\np-v1.1.0-2 replaces p.v1.0.0 skips [p.v0.9.0 p.v1.1.0 p-v1.1.0-1] range <1.1.0",
				"b": "p-v1.1.0-2 replaces p.v1.0.0 skips [p.v1.1.0 p-v1.1.0-1]",
				"c": "",
				"d": "p.v1.2.0 replaces p.v1.0.0 skips [p-v1.1.0-2]\np-v1.1.0-2 replaces  skips [p.v1.1.0 p-v1.1.0-1]",
			},
			wantHeads: "p.v1.2.0 p-v1.1.0-2 p.v1.0.0 p.v1.2.0",
		},
		"no substitutions": {
			substitutions: "  []\n",
			want: map[string]string{
				"a": "p.v1.1.0 replaces p.v1.0.0 skips [p.v0.9.0] range <1.1.0\np.v1.2.0 replaces p.v1.1.0 skips []",
				"b": "p.v1.1.0 replaces p.v1.0.0 skips []", "c": "", "d": "p.v1.2.0 replaces p.v1.0.0 skips [p.v1.1.0]",
			},
			wantHeads: "p.v1.2.0 p.v1.1.0 p.v1.0.0 p.v1.2.0",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			src, err := template.Render(t.Context(), "template.yaml", []byte(substitutes(test.substitutions)), loadRelease)
			if err != nil {
				t.Fatal(err)
			}
			store, err := memory.New(t.Context(), registry.Validated(src))
			if err != nil {
				t.Fatal(err)
			}
			p, err := store.Package(t.Context(), "p")
			if err != nil {
				t.Fatal(err)
			}
			got, heads := map[string]string{}, []string{}
			for _, ch := range p.Channels {
				got[ch.Name] = edges(ch)
				heads = append(heads, ch.Head)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("edges (-want +got):\n%s", diff)
			}
			if strings.Join(heads, " ") != test.wantHeads {
				t.Errorf("heads %v, want %s", heads, test.wantHeads)
			}
		})
	}
}

// TestSubstitutesRefused runs the scenario tp-15.
func TestSubstitutesRefused(t *testing.T) {
	good := substitutes("- {name: 1.1.0-2, base: p.v1.1.0}\n")
	for name, test := range map[string]struct{ text, want string }{
		"tp-15 no base":               {substitutes("- {name: 1.1.0-2}\n"), `the substitution "1.1.0-2" has no base`},
		"tp-15 an empty base":         {substitutes("- {name: 1.1.0-2, base: ''}\n"), "has no base"},
		"tp-15 an empty name":         {substitutes("- {name: '', base: p.v1.1.0}\n"), "has no name"},
		"tp-15 itself":                {substitutes("- {name: p.v1.1.0, base: p.v1.1.0}\n"), "is its own base"},
		"tp-15 a base twice":          {substitutes("- {name: 1.1.0-2, base: p.v1.1.0}\n- {name: 1.1.0-3, base: p.v1.1.0}\n"), `"p.v1.1.0" is the base of two substitutions`},
		"tp-15 a name twice":          {substitutes("- {name: 1.3.0-2, base: p.v1.1.0}\n- {name: 1.3.0-2, base: p.v1.2.0}\n"), `"1.3.0-2" is substituted for two bundles`},
		"tp-15 an unknown base":       {substitutes("- {name: 1.1.0-2, base: nope}\n"), `package "p" has no bundle "nope"`},
		"tp-15 a lower version":       {substitutes("- {name: 1.0.0-2, base: p.v1.1.0}\n"), `bundle "p-v1.0.0-2" (1.0.0-2) is not higher than "p.v1.1.0" (1.1.0)`},
		"tp-15 the same version":      {substitutes("- {name: 1.1.0, base: p.v1.1.0}\n"), "is not higher"},
		"tp-15 an unknown image":      {substitutes("- {name: none-1, base: p.v1.1.0}\n"), "no image none-1"},
		"tp-15 entries that are none": {strings.Replace(good, "replaces: p.v1.0.0, skips", "replaces: p.v1.1.0, skips", 1), "multiple channel heads"},
		"tp-15 unknown fields":        {good + "more: 1\n", `unknown field "more"`},
		"tp-15 no YAML":               {good + "\t", "is no template"},
		"tp-15 another schema":        {strings.Replace(good, "olm.template.substitutes", "olm.template.other", 1), `unknown template schema "olm.template.other"`},
		"tp-15 no schema":             {strings.Replace(good, "schema: olm.template.substitutes\n", "", 1), `unknown template schema ""`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := template.Render(t.Context(), "template.yaml", []byte(test.text), loadRelease)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v does not say %q", err, test.want)
			}
			if kind := failure.KindOf(err); kind != failure.Invalid && !strings.Contains(test.text, "none-1") {
				t.Errorf("error %v has kind %s, want Invalid", err, kind)
			}
		})
	}
}
