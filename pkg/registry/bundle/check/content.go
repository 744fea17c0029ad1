package check

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/blang/semver/v4"
)

const (
	csvKind   = "ClusterServiceVersion"
	crdKind   = "CustomResourceDefinition"
	maxLabel  = 63
	allSpaces = "AllNamespaces"
)

// supportedKinds may be in a bundle, whatever their group.
var supportedKinds = []string{
	csvKind, crdKind, "ClusterRole", "ClusterRoleBinding", "Service", "ServiceAccount", "Role", "RoleBinding", "PrometheusRule", "ServiceMonitor",
	"PodMonitor", "Secret", "ConfigMap", "PodDisruptionBudget", "PriorityClass", "VerticalPodAutoscaler", "ConsoleYAMLSample", "ConsoleQuickStart",
	"ConsoleCLIDownload", "ConsoleLink", "ConsolePlugin", "NetworkPolicy",
}

// annotationsByLower are annotations that mean nothing in other letters.
var annotationsByLower = map[string]string{
	"olm.operatorgroup": "olm.operatorGroup", "olm.operatornamespace": "olm.operatorNamespace", "olm.targetnamespaces": "olm.targetNamespaces",
	"olm.providedapis": "olm.providedAPIs", "olm.skiprange": "olm.skipRange", "olm.substitutesfor": "olm.substitutesFor",
}

var subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// content checks the manifests of a bundle with a ClusterServiceVersion.
func (c *checker) content() {
	var (
		owner *csv
		crds  []crd
	)
	for _, o := range c.objects {
		if !slices.Contains(supportedKinds, o.kind) {
			c.problem(o.file, "", "%s is not supported type for registryV1 bundle: %s", o.kind, o.file)
			continue
		}
		c.object(o)
		switch o.kind {
		case csvKind:
			if owner != nil {
				c.problem(o.file, "a bundle has one", "a second ClusterServiceVersion")
				continue
			}
			owner = &csv{file: o.file}
			c.decode(o, owner)
			c.csv(o, owner)
		case crdKind:
			one := crd{file: o.file}
			if c.decode(o, &one) {
				c.crd(one)
				crds = append(crds, one)
			}
		}
	}
	if owner != nil {
		c.owned(owner, crds)
	}
}

// decode reads an object into its type, as far as that is known here.
func (c *checker) decode(o object, to any) bool {
	err := json.Unmarshal(o.raw, to)
	if err != nil {
		c.problem(o.file, "look at the field that is named", "%s: %v", o.kind, err)
	}
	return err == nil
}

// object checks what every object has.
func (c *checker) object(o object) {
	if o.apiVersion == "" {
		c.problem(o.file, "", "%s has no apiVersion", o.kind)
	}
	var meta struct {
		Metadata struct {
			Labels, Annotations map[string]string
			Finalizers          []string
		}
	}
	if !c.decode(o, &meta) {
		return
	}
	if o.kind == "ServiceAccount" {
		var account struct {
			Secrets, ImagePullSecrets    []struct{ Name string }
			AutomountServiceAccountToken *bool
		}
		c.decode(o, &account)
	}
	for key := range meta.Metadata.Annotations {
		if right, ok := annotationsByLower[strings.ToLower(key)]; ok && right != key {
			c.problem(o.file, "", "provided annotation %s uses wrong case and should be %s instead", key, right)
		}
	}
}

// csv is what is checked of a ClusterServiceVersion.
type csv struct {
	file string

	Metadata struct {
		Name        string
		Annotations map[string]string
	}
	Spec struct {
		Replaces       string
		MinKubeVersion string
		Release        json.RawMessage
		InstallModes   []struct {
			Type      string
			Supported bool
		}
		CRDs struct {
			Owned []struct{ Name, Version, Kind string }
		} `json:"customresourcedefinitions"`
		APIServices struct {
			Owned []struct{ Group, Version, Kind string }
		} `json:"apiservicedefinitions"`
		Webhooks []struct{ ConversionCRDs []string } `json:"webhookdefinitions"`
	}
}

func (c *checker) csv(o object, v *csv) {
	c.bundleName(o, "metadata.name", v.Metadata.Name)
	if v.Spec.Replaces != "" {
		c.bundleName(o, "spec.replaces", v.Spec.Replaces)
	}
	if min := v.Spec.MinKubeVersion; min != "" {
		if _, err := semver.Parse(min); err != nil {
			c.problem(o.file, "write it as MAJOR.MINOR.PATCH", "spec.minKubeVersion %q: %v", min, err)
		}
	}
	if len(v.Spec.Release) > 0 && v.Metadata.Annotations["olm.substitutesFor"] != "" {
		c.problem(o.file, "", "spec.release and the annotation olm.substitutesFor exclude each other")
	}
	c.installModes(o, v)
	c.examples(o, v)
}

// bundleName checks a name that becomes the name and a label of objects.
func (c *checker) bundleName(o object, field, name string) {
	switch {
	case !subdomain.MatchString(name):
		c.problem(o.file, "use lower case letters, digits, dashes and dots", "%s %q is no name of an object", field, name)
	case len(name) > maxLabel:
		c.problem(o.file, "", "%s %q is longer than %d characters, which a label may have", field, name, maxLabel)
	}
}

func (c *checker) installModes(o object, v *csv) {
	seen, supported := map[string]bool{}, map[string]bool{}
	for _, mode := range v.Spec.InstallModes {
		if seen[mode.Type] {
			c.problem(o.file, "", "install mode %q comes twice", mode.Type)
		}
		seen[mode.Type] = true
		if mode.Supported {
			supported[mode.Type] = true
		}
	}
	switch {
	case len(seen) == 0:
		c.problem(o.file, "list spec.installModes", "install modes not found")
		return
	case len(supported) == 0:
		c.problem(o.file, "", "none of the install modes is supported")
	}
	for _, hook := range v.Spec.Webhooks {
		if len(hook.ConversionCRDs) > 0 && (!supported[allSpaces] || len(supported) > 1) {
			c.problem(o.file, "", "a conversion webhook needs %s as the only supported install mode", allSpaces)
		}
	}
}

// examples checks the annotation alm-examples.
func (c *checker) examples(o object, v *csv) {
	text := v.Metadata.Annotations["alm-examples"]
	if text == "" {
		return
	}
	var examples []struct{ APIVersion, Kind string }
	if err := json.Unmarshal([]byte(text), &examples); err != nil {
		c.problem(o.file, "", "the annotation alm-examples is no list of objects: %v", err)
		return
	}
	var provided []string
	for _, owned := range v.Spec.CRDs.Owned {
		_, group, _ := strings.Cut(owned.Name, ".")
		provided = append(provided, fmt.Sprintf("%s/%s %s", group, owned.Version, owned.Kind))
	}
	for _, owned := range v.Spec.APIServices.Owned {
		provided = append(provided, fmt.Sprintf("%s/%s %s", owned.Group, owned.Version, owned.Kind))
	}
	for _, e := range examples {
		if !slices.Contains(provided, e.APIVersion+" "+e.Kind) {
			c.problem(o.file, "", "the example of %s %s is of an API that the bundle does not provide", e.APIVersion, e.Kind)
		}
	}
}

// crd is what is checked of a CustomResourceDefinition.
type crd struct {
	file string

	Metadata struct{ Name string }
	Spec     struct {
		Group    string
		Names    struct{ Kind, Plural string }
		Version  string // of v1beta1 only
		Versions []struct {
			Name    string
			Storage bool
		}
	}
}

func (v crd) versions() []string {
	var all []string
	for _, version := range v.Spec.Versions {
		all = append(all, version.Name)
	}
	if v.Spec.Version != "" && !slices.Contains(all, v.Spec.Version) {
		all = append(all, v.Spec.Version)
	}
	return all
}

func (c *checker) crd(v crd) {
	if want := v.Spec.Names.Plural + "." + v.Spec.Group; v.Metadata.Name != want {
		c.problem(v.file, "", "metadata.name is %q, must be spec.names.plural and spec.group: %q", v.Metadata.Name, want)
	}
	names := v.versions()
	if len(names) == 0 {
		c.problem(v.file, "", "spec.versions is empty")
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		c.problem(v.file, "", "spec.versions must contain unique version names")
	}
	stored := 0
	for _, version := range v.Spec.Versions {
		if version.Storage {
			stored++
		}
	}
	if len(v.Spec.Versions) > 0 && stored != 1 {
		c.problem(v.file, "", "spec.versions must have exactly one version marked as storage version, found %d", stored)
	}
}

// owned compares what the ClusterServiceVersion owns with what is there.
func (c *checker) owned(v *csv, crds []crd) {
	listed := map[string]bool{}
	for _, o := range v.Spec.CRDs.Owned {
		found := slices.ContainsFunc(crds, func(one crd) bool {
			return one.Metadata.Name == o.Name && one.Spec.Names.Kind == o.Kind && slices.Contains(one.versions(), o.Version)
		})
		if !found {
			c.problem(v.file, "add its CustomResourceDefinition to the manifests", "owned CRD %s/%s not found in bundle", o.Name, o.Version)
		}
		listed[o.Name] = true
	}
	for _, one := range crds {
		if !listed[one.Metadata.Name] {
			c.warning(one.file, "list it in spec.customresourcedefinitions.owned", "CRD %s is not owned by the ClusterServiceVersion", one.Metadata.Name)
		}
	}
}
