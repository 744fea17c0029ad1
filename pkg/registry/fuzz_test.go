package registry_test

import (
	"testing"

	"chandler.dev/olm/pkg/registry"
)

// FuzzChannel builds graphs of any names and ranges, and walks them.
func FuzzChannel(f *testing.F) {
	f.Add("a", "b", "c", ">=1.0.0 <2.0.0", "1.0.0")
	f.Add("a", "a", "", "nonsense", "v1")
	f.Add("", "", "", "||", "1.x")
	f.Fuzz(func(t *testing.T, a, b, c, skipRange, version string) {
		ch := registry.Channel{Name: "c", Entries: []registry.Entry{
			{Name: a, SkipRange: skipRange}, {Name: b, Replaces: a, Skips: []string{c}}, {Name: c, Replaces: b, SkipRange: skipRange},
		}}
		registry.CheckChannel(ch)
		g, err := registry.NewGraph(ch, func(string) string { return version })
		if err != nil {
			return
		}
		for _, name := range []string{a, b, c, "other"} {
			if n := len(g.Path(name, version)); n > len(ch.Entries) {
				t.Fatalf("the way from %q has %d steps", name, n)
			}
		}
	})
}

// FuzzProperties checks bundles with any property.
func FuzzProperties(f *testing.F) {
	f.Add("olm.package", `{"packageName":"p","version":"1.0.0","release":"1"}`)
	f.Add("olm.gvk", `[]`)
	f.Add("x", ``)
	f.Fuzz(func(t *testing.T, kind, value string) {
		v := registry.NewValidator()
		v.Add(registry.Item{Bundle: &registry.Bundle{Package: "p", Name: "b", Image: value, Properties: []registry.Property{{Type: kind, Value: []byte(value)}}}})
		v.Add(registry.Item{Package: &registry.Package{Name: "p"}})
		if len(v.Problems()) == 0 {
			t.Fatal("a package without channels is valid")
		}
	})
}
