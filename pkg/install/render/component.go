package render

import "strings"

// ComponentPrefix begins the keys of the labels that make an object a component
// of an operator; its name follows. The value is empty.
const ComponentPrefix = "operators.coreos.com/"

// maxComponent is the longest name that a label key can hold after its prefix.
const maxComponent = 63

// ComponentName returns the name of the operator that a package is in a namespace.
func ComponentName(pkg, namespace string) string {
	name := pkg + "." + namespace
	return strings.TrimRight(name[:min(len(name), maxComponent)], "._-")
}

// Components returns the operators that labels make an object a component of.
func Components(labels map[string]string) (names []string) {
	for key := range labels {
		if name, ok := strings.CutPrefix(key, ComponentPrefix); ok {
			names = append(names, name)
		}
	}
	return names
}

// Inherit adds the component labels of an owner to those of what it owns.
func Inherit(labels, owner map[string]string) map[string]string {
	for _, name := range Components(owner) {
		labels[ComponentPrefix+name] = ""
	}
	return labels
}
