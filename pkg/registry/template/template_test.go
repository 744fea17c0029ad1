package template_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/storetest"
	"chandler.dev/olm/pkg/registry/template"
)

// load knows a bundle for every version: its name is the version.
func load(_ context.Context, ref string) ([]registry.Bundle, error) {
	b := storetest.Image("p", ref, ref)
	return []registry.Bundle{b}, nil
}

func semverText(options string, versions string) string {
	text := "schema: olm.semver\n" + options + "stable:\n  bundles:\n"
	for v := range strings.SplitSeq(versions, " ") {
		text += "  - image: " + v + "\n"
	}
	return text
}

func render(t *testing.T, text string) (registry.Package, error) {
	t.Helper()
	src, err := template.Render(t.Context(), "template.yaml", []byte(text), load)
	if err != nil {
		return registry.Package{}, err
	}
	store, err := memory.New(t.Context(), src)
	if err != nil {
		return registry.Package{}, err
	}
	return store.Package(t.Context(), "p")
}

func edges(ch registry.Channel) string {
	var all []string
	for _, e := range ch.Entries {
		if e.Replaces != "" || len(e.Skips) > 0 {
			text := fmt.Sprintf("%s replaces %s skips %v", e.Name, e.Replaces, e.Skips)
			if e.SkipRange != "" {
				text += " range " + e.SkipRange
			}
			all = append(all, text)
		}
	}
	return strings.Join(all, "\n")
}

func TestSemverEdges(t *testing.T) {
	tests := map[string]struct{ versions, want string }{
		"tp-01 patches and minors": {
			"0.1.0 0.1.1 0.1.2 0.1.3 0.2.0 0.2.1 0.2.2 0.3.0",
			"0.1.3 replaces  skips [0.1.0 0.1.1 0.1.2]\n0.2.2 replaces 0.1.3 skips [0.1.0 0.1.1 0.1.2 0.2.0 0.2.1]\n" +
				"0.3.0 replaces 0.2.2 skips [0.1.0 0.1.1 0.1.2 0.1.3 0.2.0 0.2.1]",
		},
		"tp-02 two patches": {"0.1.0 0.1.1", "0.1.1 replaces  skips [0.1.0]"},
		"tp-03 prereleases": {
			"1.1.0 1.2.1 1.3.1-alpha 1.3.1-beta 1.3.1",
			"1.2.1 replaces 1.1.0 skips []\n1.3.1 replaces 1.2.1 skips [1.1.0 1.3.1-alpha 1.3.1-beta]",
		},
		"tp-04 a minor is missing":    {"2.1.0 2.1.1 2.3.1 2.3.2", "2.1.1 replaces  skips [2.1.0]\n2.3.2 replaces 2.1.1 skips [2.1.0 2.3.1]"},
		"tp-05 one version":           {"0.1.0", ""},
		"tp-07 another major":         {"1.0.0 1.0.1 2.0.0 2.0.1", "1.0.1 replaces  skips [1.0.0]\n2.0.1 replaces  skips [2.0.0]"},
		"tp-07 majors of one version": {"1.0.0 2.0.0 3.0.0", ""},
		"in any order":                {"2.3.2 2.1.1 2.3.1 2.1.0", "2.1.1 replaces  skips [2.1.0]\n2.3.2 replaces 2.1.1 skips [2.1.0 2.3.1]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := render(t, semverText("generateMajorChannels: true\n", test.versions))
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, ch := range p.Channels {
				if text := edges(ch); text != "" {
					all = append(all, text)
				}
			}
			if diff := cmp.Diff(test.want, strings.Join(all, "\n")); diff != "" {
				t.Errorf("edges (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSemverChannels(t *testing.T) {
	tests := map[string]struct{ options, wantChannels, wantDefault string }{
		"minor channels by default":      {"", "stable-v1.0 stable-v1.1 stable-v2.0", "stable-v2.0"},
		"major channels":                 {"GenerateMajorChannels: true\n", "stable-v1 stable-v2", "stable-v2"},
		"tp-08 both, minor is preferred": {"generateMajorChannels: true\ngenerateMinorChannels: true\n", "stable-v1 stable-v1.0 stable-v1.1 stable-v2 stable-v2.0", "stable-v2.0"},
		"tp-08 both, major is preferred": {"generateMajorChannels: true\ngenerateMinorChannels: true\ndefaultChannelTypePreference: major\n", "stable-v1 stable-v1.0 stable-v1.1 stable-v2 stable-v2.0", "stable-v2"},
		"a candidate is never the best":  {"candidate: {bundles: [{image: 9.0.0}]}\n", "candidate-v9.0 stable-v1.0 stable-v1.1 stable-v2.0", "stable-v2.0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := render(t, semverText(test.options, "1.0.0 1.1.0 2.0.0"))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, ch := range p.Channels {
				names = append(names, ch.Name)
			}
			if got := strings.Join(names, " "); got != test.wantChannels || p.DefaultChannel != test.wantDefault {
				t.Errorf("channels %s, default %s, want %s, %s", got, p.DefaultChannel, test.wantChannels, test.wantDefault)
			}
		})
	}
}

func TestBasic(t *testing.T) {
	p, err := render(t, `
schema: olm.template.basic
entries:
- {schema: olm.package, name: p, defaultChannel: c}
- {schema: olm.channel, package: p, name: c, entries: [{name: 1.0.0}]}
- {schema: olm.bundle, image: 1.0.0}
- schema: olm.deprecations
  package: p
  entries: [{reference: {schema: olm.bundle, name: 1.0.0}, message: old}]
`)
	if err != nil || len(p.Channels) != 1 || p.Channels[0].Head != "1.0.0" {
		t.Errorf("rendered %v, %v", p, err)
	}
}

func TestInvalid(t *testing.T) {
	for name, text := range map[string]string{
		"another schema":                         "schema: other\n",
		"tp-17 no YAML":                          "a: b: c\n",
		"tp-13 a bundle with properties":         "schema: olm.template.basic\nentries: [{schema: olm.bundle, image: 1.0.0, properties: []}]\n",
		"tp-10 an unknown preference":            semverText("generateMajorChannels: true\ndefaultChannelTypePreference: patch\n", "1.0.0"),
		"tp-10 an unknown channel":               semverText("Bogus: {bundles: []}\n", "1.0.0"),
		"tp-09 the other preference that is not": semverText("generateMinorChannels: true\ndefaultChannelTypePreference: major\n", "1.0.0"),
		"tp-11 prereleases without an order":     semverText("", "1.3.1-alpha+2001 1.3.1-alpha+2003"),
		"tp-17 no schema":                        "entries: []\n",
		"tp-17 an unknown schema":                "schema: olm.template.other\n",
		"tp-17 a schema in capitals":             "schema: OLM.Semver\n",
		"tp-17 JSON of another schema":           `{"schema":"x"}`,
		"tp-17 broken JSON":                      `{"schema":`,
		"tp-10 unknown fields":                   semverText("nonsense: true\n", "1.0.0"),
		"the same bundle twice":                  semverText("", "1.0.0 1.0.0"),
		"tp-11 versions without an order":        semverText("", "1.0.0+a 1.0.0+b"),
		"tp-09 a preference of what is not":      semverText("defaultChannelTypePreference: major\n", "1.0.0"),
		"no bundles":                             "schema: olm.semver\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := render(t, text); failure.KindOf(err) != failure.Invalid {
				t.Errorf("error %v, want kind Invalid", err)
			}
		})
	}
}

// TestSemverAcrossMinors runs the scenario tp-06: channels of minor versions
// share their edges, which may lead out of a channel.
func TestSemverAcrossMinors(t *testing.T) {
	p, err := render(t, semverText("generateMinorChannels: true\n", "1.1.0 1.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, ch := range p.Channels {
		got[ch.Name] = edges(ch)
	}
	if diff := cmp.Diff(map[string]string{"stable-v1.1": "", "stable-v1.2": "1.2.1 replaces 1.1.0 skips []"}, got); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
}

// TestSemverArchetypes runs the scenario tp-07: nothing leads from one level of
// trust to another.
func TestSemverArchetypes(t *testing.T) {
	p, err := render(t, semverText("generateMajorChannels: true\ncandidate: {bundles: [{image: 1.0.0}, {image: 1.1.0}]}\nfast: {bundles: [{image: 1.1.0}]}\n", "1.2.0"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, ch := range p.Channels {
		got[ch.Name] = edges(ch)
	}
	if diff := cmp.Diff(map[string]string{"candidate-v1": "1.1.0 replaces 1.0.0 skips []", "fast-v1": "", "stable-v1": ""}, got); diff != "" || p.DefaultChannel != "stable-v1" {
		t.Errorf("default channel %s, edges (-want +got):\n%s", p.DefaultChannel, diff)
	}
}

// TestSemverLooks runs the scenario tp-12: what people see of a package is what
// the head of its default channel says, or nothing.
func TestSemverLooks(t *testing.T) {
	icon := &registry.Icon{Data: []byte("x"), MediaType: "image/png"}
	for name, test := range map[string]struct {
		csv             string
		wantDescription string
		wantIcon        *registry.Icon
	}{
		"tp-12 a description and an icon": {`{"spec":{"description":"does things","icon":[{"base64data":"eA==","mediatype":"image/png"}]}}`, "does things", icon},
		"tp-12 several icons":             {`{"spec":{"icon":[{"base64data":"eA==","mediatype":"image/png"},{"base64data":"eQ==","mediatype":"image/gif"}]}}`, "", icon},
		"tp-12 no icon":                   {`{"spec":{"description":"does things"}}`, "does things", nil},
		"tp-12 no description":            {`{"spec":{}}`, "", nil},
		"tp-12 an empty description":      {`{"spec":{"description":""}}`, "", nil},
		"tp-12 no manifests":              {"", "", nil},
		"tp-12 an icon that is none":      {`{"spec":{"icon":"x"}}`, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := template.Render(t.Context(), "t", []byte(semverText("", "1.0.0 1.1.0")), func(ctx context.Context, ref string) ([]registry.Bundle, error) {
				all, err := load(ctx, ref)
				if ref == "1.1.0" {
					all[0].Content.CSV = []byte(test.csv)
				}
				return all, err
			})
			if err != nil {
				t.Fatal(err)
			}
			store, err := memory.New(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			p, err := store.Package(t.Context(), "p")
			if err != nil || p.Description != test.wantDescription || !cmp.Equal(p.Icon, test.wantIcon) {
				t.Errorf("description %q, icon %v, %v, want %q, %v", p.Description, p.Icon, err, test.wantDescription, test.wantIcon)
			}
		})
	}
}

// TestDetection finds out what a template is by its schema: tp-17.
func TestDetection(t *testing.T) {
	for name, text := range map[string]string{
		"tp-17 semver in YAML":    semverText("", "1.0.0"),
		"tp-17 semver in JSON":    `{"schema":"olm.semver","stable":{"bundles":[{"image":"1.0.0"}]}}`,
		"tp-17 basic in JSON":     `{"schema":"olm.template.basic","entries":[{"schema":"olm.package","name":"p","defaultChannel":"c"},{"schema":"olm.channel","package":"p","name":"c","entries":[{"name":"1.0.0"}]},{"schema":"olm.bundle","image":"1.0.0"}]}`,
		"tp-17 a key in capitals": strings.Replace(semverText("", "1.0.0"), "schema:", "Schema:", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := render(t, text); err != nil || p.Name != "p" {
				t.Errorf("rendered %v, %v", p, err)
			}
		})
	}
}
