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
			all = append(all, fmt.Sprintf("%s replaces %s skips %v", e.Name, e.Replaces, e.Skips))
		}
	}
	return strings.Join(all, "\n")
}

func TestSemverEdges(t *testing.T) {
	tests := map[string]struct{ versions, want string }{
		"patches and minors": {
			"0.1.0 0.1.1 0.1.2 0.1.3 0.2.0 0.2.1 0.2.2 0.3.0",
			"0.1.3 replaces  skips [0.1.0 0.1.1 0.1.2]\n0.2.2 replaces 0.1.3 skips [0.1.0 0.1.1 0.1.2 0.2.0 0.2.1]\n" +
				"0.3.0 replaces 0.2.2 skips [0.1.0 0.1.1 0.1.2 0.1.3 0.2.0 0.2.1]",
		},
		"two patches": {"0.1.0 0.1.1", "0.1.1 replaces  skips [0.1.0]"},
		"prereleases": {
			"1.1.0 1.2.1 1.3.1-alpha 1.3.1-beta 1.3.1",
			"1.2.1 replaces 1.1.0 skips []\n1.3.1 replaces 1.2.1 skips [1.1.0 1.3.1-alpha 1.3.1-beta]",
		},
		"a minor is missing": {"2.1.0 2.1.1 2.3.1 2.3.2", "2.1.1 replaces  skips [2.1.0]\n2.3.2 replaces 2.1.1 skips [2.1.0 2.3.1]"},
		"one version":        {"0.1.0", ""},
		"in any order":       {"2.3.2 2.1.1 2.3.1 2.1.0", "2.1.1 replaces  skips [2.1.0]\n2.3.2 replaces 2.1.1 skips [2.1.0 2.3.1]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := render(t, semverText("generateMajorChannels: true\n", test.versions))
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Channels) != 1 {
				t.Fatalf("%d channels, want 1", len(p.Channels))
			}
			if diff := cmp.Diff(test.want, edges(p.Channels[0])); diff != "" {
				t.Errorf("edges (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSemverChannels(t *testing.T) {
	tests := map[string]struct{ options, wantChannels, wantDefault string }{
		"minor channels by default":     {"", "stable-v1.0 stable-v1.1 stable-v2.0", "stable-v2.0"},
		"major channels":                {"GenerateMajorChannels: true\n", "stable-v1 stable-v2", "stable-v2"},
		"both, minor is preferred":      {"generateMajorChannels: true\ngenerateMinorChannels: true\n", "stable-v1 stable-v1.0 stable-v1.1 stable-v2 stable-v2.0", "stable-v2.0"},
		"both, major is preferred":      {"generateMajorChannels: true\ngenerateMinorChannels: true\ndefaultChannelTypePreference: major\n", "stable-v1 stable-v1.0 stable-v1.1 stable-v2 stable-v2.0", "stable-v2"},
		"a candidate is never the best": {"candidate: {bundles: [{image: 9.0.0}]}\n", "candidate-v9.0 stable-v1.0 stable-v1.1 stable-v2.0", "stable-v2.0"},
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
		"another schema":              "schema: other\n",
		"no YAML":                     "a: b: c\n",
		"a bundle with properties":    "schema: olm.template.basic\nentries: [{schema: olm.bundle, image: 1.0.0, properties: []}]\n",
		"unknown fields":              semverText("nonsense: true\n", "1.0.0"),
		"the same bundle twice":       semverText("", "1.0.0 1.0.0"),
		"versions without an order":   semverText("", "1.0.0+a 1.0.0+b"),
		"a preference of what is not": semverText("defaultChannelTypePreference: major\n", "1.0.0"),
		"no bundles":                  "schema: olm.semver\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := render(t, text); failure.KindOf(err) != failure.Invalid {
				t.Errorf("error %v, want kind Invalid", err)
			}
		})
	}
}
