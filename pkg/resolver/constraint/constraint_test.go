package constraint_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver/constraint"
)

func property(kind, value string) registry.Property {
	return registry.Property{Type: kind, Value: json.RawMessage(value)}
}

func api(kind string) registry.Property {
	return property("olm.gvk", fmt.Sprintf(`{"group":"g","kind":%q,"version":"v"}`, kind))
}

func gvk(kind string) string {
	return fmt.Sprintf(`{"gvk":{"group":"g","version":"v","kind":%q}}`, kind)
}

func TestMatch(t *testing.T) {
	offered := constraint.Read(&registry.Bundle{
		Package: "foo", Name: "foo.v1.0.1", Version: "1.0.1",
		Properties: []registry.Property{
			property("olm.package", `{"packageName":"foo","version":"1.0.1"}`),
			api("A"), api("B"), property("olm.label", `{"label":"lts"}`), property("x.custom", `{"n":3}`),
		},
	})
	tests := map[string]struct {
		kind, value string
		want        bool
		wantText    string
	}{
		"an API that it provides":   {"olm.gvk.required", `{"group":"g","kind":"A","version":"v"}`, true, "providing an API with group: g, version: v, kind: A"},
		"an API that it lacks":      {"olm.gvk.required", `{"group":"g","kind":"C","version":"v"}`, false, "providing an API with group: g, version: v, kind: C"},
		"its version":               {"olm.package.required", `{"packageName":"foo","versionRange":">=1.0.0 <2.0.0"}`, true, "with package: foo and with version in range: >=1.0.0 <2.0.0"},
		"another version":           {"olm.package.required", `{"packageName":"foo","versionRange":">=2.0.0"}`, false, "with package: foo and with version in range: >=2.0.0"},
		"another package":           {"olm.package.required", `{"packageName":"bar","versionRange":">=1.0.0"}`, false, "with package: bar and with version in range: >=1.0.0"},
		"its label":                 {"olm.label.required", `{"label":"lts"}`, true, "with label: lts"},
		"another label":             {"olm.label.required", `{"label":"tls"}`, false, "with label: tls"},
		"all of two APIs":           {"olm.constraint", `{"all":{"constraints":[` + gvk("A") + "," + gvk("B") + `]}}`, true, ""},
		"all of which it lacks one": {"olm.constraint", `{"all":{"constraints":[` + gvk("A") + "," + gvk("C") + `]}}`, false, ""},
		"any of which it has one":   {"olm.constraint", `{"any":{"constraints":[` + gvk("C") + "," + gvk("B") + `]}}`, true, ""},
		"any of which it has none":  {"olm.constraint", `{"any":{"constraints":[` + gvk("C") + "," + gvk("D") + `]}}`, false, ""},
		"not what it lacks":         {"olm.constraint", `{"not":{"constraints":[` + gvk("C") + `]}}`, true, ""},
		"not of which it has one":   {"olm.constraint", `{"not":{"constraints":[` + gvk("C") + "," + gvk("A") + `]}}`, false, ""},
		"any in all keeps its bracket": {
			"olm.constraint", `{"all":{"constraints":[{"any":{"constraints":[` + gvk("A") + "," + gvk("C") + `]}},` + gvk("B") + `]}}`, true,
			"(providing an API with group: g, version: v, kind: A or providing an API with group: g, version: v, kind: C) and providing an API with group: g, version: v, kind: B",
		},
		"a rule over properties": {
			"olm.constraint", `{"failureMessage":"needs foo","cel":{"rule":"properties.exists(p, p.type == 'olm.package' && p.value.packageName == 'foo' && semver_compare(p.value.version, '1.0.1') == 0)"}}`, true,
			`with constraint: "properties.exists(p, p.type == 'olm.package' && p.value.packageName == 'foo' && semver_compare(p.value.version, '1.0.1') == 0)" and message: "needs foo"`,
		},
		"a rule that compares an object": {"olm.constraint", `{"cel":{"rule":"properties.exists(p, p.type == 'olm.gvk' && p.value == {'group':'g','version':'v','kind':'A'})"}}`, true, ""},
		"a rule over a number":           {"olm.constraint", `{"cel":{"rule":"properties.exists(p, p.type == 'x.custom' && p.value.n > 2.0)"}}`, true, ""},
		"a rule that fails":              {"olm.constraint", `{"cel":{"rule":"properties.all(p, p.value.missing == 1)"}}`, false, ""},
		"a rule that costs too much":     {"olm.constraint", `{"cel":{"rule":"` + strings.Repeat("properties.all(p, ", 12) + "true" + strings.Repeat(")", 12) + `"}}`, false, ""},
		"the first of several members":   {"olm.constraint", `{"gvk":{"group":"g","version":"v","kind":"A"},"package":{"packageName":"bar","versionRange":"1.0.0"}}`, true, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := constraint.Read(&registry.Bundle{Name: "asker", Properties: []registry.Property{property(tt.kind, tt.value)}})
			if f.Unreadable != nil || len(f.Requires) != 1 {
				t.Fatalf("Read() = %d requirements, %v", len(f.Requires), f.Unreadable)
			}
			if got := f.Requires[0].Match(offered); got != tt.want {
				t.Errorf("Match() = %t, want %t", got, tt.want)
			}
			if got := f.Requires[0].String(); tt.wantText != "" && got != tt.wantText {
				t.Errorf("String() = %s, want %s", got, tt.wantText)
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	tests := map[string]struct{ kind, value, want string }{
		"an unknown member":            {"olm.constraint", `{"unknown":{"x":1}}`, `json: unknown field "unknown"`},
		"nothing":                      {"olm.constraint", `{}`, "constraint is empty"},
		"an empty list":                {"olm.constraint", `{"all":{"constraints":[]}}`, "constraint is empty"},
		"a part with nothing":          {"olm.constraint", `{"any":{"constraints":[{}]}}`, "constraint is empty"},
		"bv-05 a rule that is no bool": {"olm.constraint", `{"cel":{"rule":"1 + 1"}}`, "gives int, not a bool"},
		"bv-05 a rule with a typo":     {"olm.constraint", `{"cel":{"rule":"propertys.size() > 0"}}`, "undeclared reference"},
		"a rule too long":              {"olm.constraint", `{"cel":{"rule":"` + strings.Repeat(" ", 20000) + `true"}}`, "exceeds"},
		"a range of npm":               {"olm.package.required", `{"packageName":"p","versionRange":"^1.0.0"}`, "version range"},
		"too much":                     {"olm.constraint", `{"failureMessage":"` + strings.Repeat("x", 128<<10) + `"}`, "the limit is 131072"},
		"too many levels":              {"olm.constraint", strings.Repeat(`{"not":{"constraints":[`, 101) + gvk("A") + strings.Repeat("]}}", 101), "more than 100 levels"},
		"a range without end":          {"olm.package.required", `{"packageName":"p","versionRange":"1.0.0` + strings.Repeat(" || 1.0.0", 1000) + `"}`, "the limit is 4096"},
		"no JSON":                      {"olm.gvk.required", `x`, "invalid character"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := constraint.Read(&registry.Bundle{Properties: []registry.Property{property(tt.kind, tt.value)}})
			if f.Unreadable == nil || !strings.Contains(f.Unreadable.Error(), tt.want) {
				t.Errorf("Unreadable = %v, want %q", f.Unreadable, tt.want)
			}
		})
	}
}

// TestManyProperties reads as many properties as a document can hold.
func TestManyProperties(t *testing.T) {
	const n = 150_000
	b := &registry.Bundle{}
	for i := range n {
		b.Properties = append(b.Properties, api(fmt.Sprint(i)), api(fmt.Sprint(i)))
	}
	for i := range 10_000 {
		b.Properties = append(b.Properties, property("olm.gvk.required", fmt.Sprintf(`{"group":"g","kind":"%d","version":"v"}`, i%5000)))
	}
	f := constraint.Read(b)
	if len(f.APIs) != n || len(f.Requires) != 5000 || f.Unreadable != nil {
		t.Errorf("%d APIs, %d requirements, %v, want %d and 5000", len(f.APIs), len(f.Requires), f.Unreadable, n)
	}
	for range 20_000 {
		b.Properties = append(b.Properties, property("olm.constraint", `{"cel":{"rule":"properties.all(p, p.type == 'x')"}}`))
	}
	if f := constraint.Read(b); f.Unreadable == nil || !strings.Contains(f.Unreadable.Error(), "more than 1048576 bytes") {
		t.Errorf("Unreadable = %v, want that there is too much", f.Unreadable)
	}
}

func TestMinKube(t *testing.T) {
	for value, want := range map[string]string{
		`{"description":"x","minKubeVersion":"1.25.0","provider":{}}`:           "1.25.0",
		`{"annotations":{"minKubeVersion":"1.2.3"},"displayName":"x"}`:          "",
		`{"description":"say \"minKubeVersion\":\"1.1.1\"","nativeAPIs":[]}`:    "",
		`{"annotations":{"minKubeVersion":"0"}, "minKubeVersion" : "1.30.0-0"}`: "1.30.0-0",
		`{"minKubeVersion":7}`: "",
		`{"minKubeVersion":`:   "",
		`{"minKubeVersion":"`:  "",
	} {
		f := constraint.Read(&registry.Bundle{Properties: []registry.Property{property("olm.csv.metadata", value)}})
		if f.MinKube != want {
			t.Errorf("MinKube of %s = %q, want %q", value, f.MinKube, want)
		}
	}
}

// FuzzRead checks that no property makes reading or matching fail.
func FuzzRead(f *testing.F) {
	f.Add("olm.constraint", `{"not":{"constraints":[{"cel":{"rule":"properties.size() > 1"}}]}}`)
	f.Add("olm.gvk", `{"group":"g","kind":"k","version":"v"}`)
	f.Add("olm.csv.metadata", `{"minKubeVersion":"1.2.3"}`)
	f.Fuzz(func(t *testing.T, kind, value string) {
		facts := constraint.Read(&registry.Bundle{Properties: []registry.Property{property(kind, value)}})
		for _, r := range facts.Requires {
			r.Match(facts)
			if r.String() == "" {
				t.Errorf("a requirement of %q without text", value)
			}
		}
	})
}
