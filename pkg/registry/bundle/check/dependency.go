package check

import (
	"encoding/json"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/registry"
)

// dependency is a line of dependencies.yaml.
type dependency struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

func (c *checker) dependency(file string, d dependency) {
	var v struct {
		Group, Version, Kind string // olm.gvk
		PackageName          string // olm.package
		Label                string // olm.label
		Cel                  *struct{ Rule string }
	}
	if err := json.Unmarshal(d.Value, &v); err != nil {
		c.problem(file, "", "couldn't parse dependency of type %s: %v", d.Type, err)
		return
	}
	switch d.Type {
	case registry.PropertyGVK:
		if v.Group == "" || v.Version == "" || v.Kind == "" {
			c.problem(file, "name group, version and kind", "couldn't parse dependency of type %s", d.Type)
		}
	case registry.PropertyPackage:
		c.packageDependency(file, v.PackageName, v.Version)
	case registry.PropertyLabel:
		if v.Label == "" {
			c.problem(file, "", "Label information is missing")
		}
	case registry.PropertyConstraint:
		var all map[string]json.RawMessage
		_ = json.Unmarshal(d.Value, &all) // it is an object, or v would have failed
		_, isCEL := all["cel"]
		switch {
		case !isCEL && len(all) > 0 && !onlyMessage(all):
		case v.Cel == nil:
			c.problem(file, "", "The CEL field is missing")
		case v.Cel.Rule == "":
			c.problem(file, "", "The CEL expression is missing")
		}
	default:
		c.problem(file, "use olm.gvk, olm.package, olm.label or olm.constraint", "couldn't parse dependency of type %s", d.Type)
	}
}

// onlyMessage reports whether a constraint demands nothing.
func onlyMessage(constraint map[string]json.RawMessage) bool {
	_, ok := constraint["failureMessage"]
	return ok && len(constraint) == 1
}

func (c *checker) packageDependency(file, name, version string) {
	if name == "" {
		c.problem(file, "", "Package name is empty")
	}
	if version == "" {
		c.problem(file, "", "Package version is empty")
	} else if _, err := semver.ParseRange(version); err != nil {
		c.problem(file, `write it like ">=1.0.0 <2.0.0"`, "Invalid semver format version %q: %v", version, err)
	}
}
