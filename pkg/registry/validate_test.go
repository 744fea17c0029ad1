package registry_test

import (
	"strings"
	"testing"

	"chandler.dev/olm/pkg/registry"
)

// TestValidatedProperties runs the scenarios va-05, pr-01 and pr-02 on bundles
// that no file could hold.
func TestValidatedProperties(t *testing.T) {
	tests := map[string]struct {
		kind, value string
		want        string // empty if it is valid
	}{
		"va-05 a value that is no JSON":              {"x", "{", `parse properties for bundle "p.v1.0.0": parse property[1] of type "x": value is not JSON`},
		"pr-01 no type":                              {"", "1", "type must be set"},
		"pr-01 no value":                             {"x", "", "value must be set"},
		"pr-01 an empty text is a value":             {"x", `""`, ""},
		"pr-01 a typed value that is no JSON":        {"olm.gvk", "{", `parse property[1] of type "olm.gvk": unexpected end of JSON`},
		"pr-02 olm.package of another type":          {"olm.package", "[]", `parse property[1] of type "olm.package": json: cannot unmarshal array`},
		"pr-02 olm.package.required of another type": {"olm.package.required", `{"versionRange":1}`, `parse property[1] of type "olm.package.required"`},
		"pr-02 olm.gvk of another type":              {"olm.gvk", `{"kind":true}`, `parse property[1] of type "olm.gvk"`},
		"pr-02 olm.gvk.required of another type":     {"olm.gvk.required", `{"group":[]}`, `parse property[1] of type "olm.gvk.required"`},
		"fields that nobody knows are allowed":       {"olm.gvk", `{"group":"g","kind":"K","version":"v1","more":1}`, ""},
		"other types may be anything":                {"olm.maxOpenShiftVersion", `"4.20"`, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := versioned("1.0.0", "")
			b.Image = "example.com/p:v1"
			b.Properties = append(b.Properties, registry.Property{Type: test.kind, Value: []byte(test.value)})
			check := registry.NewValidator()
			check.Add(registry.Item{Bundle: &b})
			check.Add(registry.Item{Package: &registry.Package{
				Name: "p", DefaultChannel: "c", Channels: []registry.Channel{{Name: "c", Entries: []registry.Entry{{Name: b.Name}}}},
			}})
			err := registry.InvalidCatalog(check.Problems())
			switch {
			case test.want == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v does not say %q", err, test.want)
			}
		})
	}
}
