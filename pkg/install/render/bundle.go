package render

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Kinds that plans treat specially.
const (
	KindCRD          = "CustomResourceDefinition"
	KindCSV          = v1alpha1.ClusterServiceVersionKind
	KindSubscription = v1alpha1.SubscriptionKind
	KindSecret       = "Secret"
	// KindBundleSecret is what a plan calls a Secret that a bundle brings.
	KindBundleSecret = "BundleSecret"
)

// Release is a bundle that is to be installed in a namespace.
type Release struct {
	Namespace  string
	Replaces   string // name of the ClusterServiceVersion that it upgrades; may be empty
	Properties string // value of AnnotationProperties; empty for none
	Content    registry.Content
}

// Manifest is one object of a plan.
type Manifest struct {
	Group, Version string
	Kind           string // KindBundleSecret for a Secret
	Name           string // metadata.name, or generateName if there is none
	JSON           []byte
}

// Identity distinguishes the manifests of one plan.
func (m Manifest) Identity() string {
	return m.Group + "/" + m.Version + "/" + m.Kind + "/" + m.Name
}

// Manifests returns everything that installs r, each object once: its
// ClusterServiceVersion, the other objects of the bundle in their order, and
// the ServiceAccounts and roles that the ClusterServiceVersion asks for. A
// ServiceAccount that the bundle brings itself is not made a second time.
// Errors are failure.Invalid and name the manifest.
func Manifests(r Release) ([]Manifest, error) {
	csv, typed, err := operatorManifest(r)
	if err != nil {
		return nil, err
	}
	list := manifestList{index: map[string]int{}}
	list.put(csv)
	for i, raw := range r.Content.Objects {
		m, err := ParseManifest(raw)
		if err != nil {
			return nil, fmt.Errorf("object %d of %q: %w", i, csv.Name, err)
		}
		if m.Kind == KindCSV {
			continue
		}
		if m.Group == "" && m.Kind == KindSecret {
			m.Kind = KindBundleSecret
		}
		list.put(m)
	}
	permissions, err := PermissionsOf(typed)
	if err != nil {
		return nil, fmt.Errorf("operator %q: %w", csv.Name, err)
	}
	if err := list.addPermissions(permissions); err != nil {
		return nil, err
	}
	return list.items, nil
}

type manifestList struct {
	items []Manifest
	index map[string]int
}

// put adds m; of two manifests of one object the later counts.
func (l *manifestList) put(m Manifest) {
	if i, ok := l.index[m.Identity()]; ok {
		l.items[i] = m
		return
	}
	l.index[m.Identity()] = len(l.items)
	l.items = append(l.items, m)
}

func (l *manifestList) addPermissions(p Permissions) error {
	var objects []any
	for _, sa := range p.ServiceAccounts {
		if _, own := l.index[(Manifest{Version: "v1", Kind: "ServiceAccount", Name: sa.Name}).Identity()]; !own {
			objects = append(objects, sa)
		}
	}
	for i := range p.Roles {
		objects = append(objects, p.Roles[i], p.RoleBindings[i])
	}
	for i := range p.ClusterRoles {
		objects = append(objects, p.ClusterRoles[i], p.ClusterRoleBindings[i])
	}
	for _, o := range objects {
		raw, err := json.Marshal(o)
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		m, err := ParseManifest(raw)
		if err != nil {
			return err
		}
		l.put(m)
	}
	return nil
}

// operatorManifest returns the ClusterServiceVersion as it is created: placed,
// linked to what it replaces, and annotated with the properties of its bundle.
func operatorManifest(r Release) (Manifest, *v1alpha1.ClusterServiceVersion, error) {
	typed := &v1alpha1.ClusterServiceVersion{}
	if len(r.Content.CSV) == 0 {
		return Manifest{}, nil, failure.New(failure.Invalid, "the bundle has no ClusterServiceVersion").
			WithHint("render the catalog again with the content of its bundles")
	}
	if err := json.Unmarshal(r.Content.CSV, typed); err != nil {
		return Manifest{}, nil, invalid(err, "the ClusterServiceVersion of the bundle is not valid: %s", shorten(err))
	}
	if typed.Name == "" || typed.Kind == "" || typed.APIVersion == "" {
		return Manifest{}, nil, failure.New(failure.Invalid, "the ClusterServiceVersion of the bundle is missing APIVersion, Kind or name")
	}
	typed.Namespace = r.Namespace
	// The fields of the Go type, not those of the author: many published bundles
	// leave out fields that the resource definition requires and v0 writes empty.
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("encode: %w", err)
	}
	u := &unstructured.Unstructured{Object: fields}
	clean(u)
	u.SetAPIVersion(v1alpha1.ClusterServiceVersionAPIVersion)
	u.SetKind(KindCSV)
	u.SetNamespace(r.Namespace)
	unstructured.RemoveNestedField(u.Object, "spec", "replaces")
	if r.Replaces != "" {
		if err := unstructured.SetNestedField(u.Object, r.Replaces, "spec", "replaces"); err != nil {
			return Manifest{}, nil, invalid(err, "spec of ClusterServiceVersion %q is not an object", typed.Name)
		}
	}
	if r.Properties != "" {
		annotations := u.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[AnnotationProperties] = r.Properties
		u.SetAnnotations(annotations)
	}
	raw, err := u.MarshalJSON()
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("encode: %w", err)
	}
	gv := v1alpha1.SchemeGroupVersion
	return Manifest{Group: gv.Group, Version: gv.Version, Kind: KindCSV, Name: typed.Name, JSON: raw}, typed, nil
}

// coreAPIs are the APIs of kinds that v0 knows by name, whatever the manifest says.
var coreAPIs = map[string]schema.GroupVersion{
	"Service":            {Version: "v1"},
	"ConfigMap":          {Version: "v1"},
	KindSecret:           {Version: "v1"},
	"ServiceAccount":     {Version: "v1"},
	kindRole:             rbacv1.SchemeGroupVersion,
	"RoleBinding":        rbacv1.SchemeGroupVersion,
	kindClusterRole:      rbacv1.SchemeGroupVersion,
	"ClusterRoleBinding": rbacv1.SchemeGroupVersion,
}

// sameAsRBAC are groups whose kinds have the shape of rbac.authorization.k8s.io/v1.
var sameAsRBAC = []string{rbacv1.GroupName, "authorization.openshift.io"}

// ParseManifest reads which object a manifest describes. Manifests of core
// kinds without apiVersion get the one that they mean, and older versions of
// roles and bindings, which have the same shape, become v1.
func ParseManifest(raw []byte) (Manifest, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name         string `json:"name"`
			GenerateName string `json:"generateName"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return Manifest{}, invalid(err, "the manifest is not an object: %s", shorten(err))
	}
	gv, err := schema.ParseGroupVersion(head.APIVersion)
	if err != nil {
		return Manifest{}, invalid(err, "%q is not an apiVersion", head.APIVersion)
	}
	core, known := coreAPIs[head.Kind]
	switch {
	case known && gv.Empty():
		gv = core
	case known && core.Group == rbacv1.GroupName && slices.Contains(sameAsRBAC, gv.Group):
		gv = core
	}
	m := Manifest{Group: gv.Group, Version: gv.Version, Kind: head.Kind, Name: head.Metadata.Name, JSON: raw}
	if m.Name == "" {
		m.Name = head.Metadata.GenerateName
	}
	if m.Kind == "" || m.Name == "" || m.Version == "" {
		return Manifest{}, failure.New(failure.Invalid, "a manifest of kind %q and name %q lacks apiVersion, kind or name", m.Kind, m.Name)
	}
	return m, nil
}

// Object returns the object of m, without status and without what only an API
// server sets.
func (m Manifest) Object() (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(m.JSON, &u.Object); err != nil {
		return nil, invalid(err, "the manifest of %s %q is not an object: %s", m.Kind, m.Name, shorten(err))
	}
	u.SetGroupVersionKind(m.GroupVersionKind())
	clean(u)
	return u, nil
}

// GroupVersionKind returns the API of the object as it is written: that of a
// KindBundleSecret is a Secret, and CustomResourceDefinitions become v1.
func (m Manifest) GroupVersionKind() schema.GroupVersionKind {
	gvk := schema.GroupVersionKind{Group: m.Group, Version: m.Version, Kind: m.Kind}
	switch {
	case m.Kind == KindBundleSecret:
		gvk.Kind = KindSecret
	case m.IsBetaCRD():
		gvk.Version = apiextensionsv1.SchemeGroupVersion.Version
	}
	return gvk
}

// clean removes what a manifest may carry from the cluster where it was made.
func clean(u *unstructured.Unstructured) {
	delete(u.Object, "status")
	for _, field := range []string{"creationTimestamp", "uid", "resourceVersion", "generation", "managedFields", "selfLink", "deletionTimestamp"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
}

// properties that describe how a catalog stores a bundle; an installed one does not need them.
var catalogOnly = []string{registry.PropertyBundleObject, registry.PropertyCSVMetadata}

// PropertiesAnnotation returns the value of AnnotationProperties for a bundle.
func PropertiesAnnotation(properties []registry.Property) (string, error) {
	type property struct {
		Type  string          `json:"type"`
		Value json.RawMessage `json:"value"`
	}
	list := []property{}
	for _, p := range properties {
		if !slices.Contains(catalogOnly, p.Type) {
			list = append(list, property(p))
		}
	}
	b, err := json.Marshal(map[string]any{"properties": list})
	if err != nil {
		return "", invalid(err, "a property is not JSON: %s", shorten(err))
	}
	return string(b), nil
}

func invalid(err error, format string, args ...any) *failure.Error {
	e := failure.New(failure.Invalid, format, args...)
	e.Err = err
	return e
}

// shorten keeps the first 120 characters of an error that quotes its input.
func shorten(err error) string {
	const limit = 120
	text := []rune(err.Error())
	if len(text) <= limit {
		return string(text)
	}
	return string(text[:limit]) + "…"
}
