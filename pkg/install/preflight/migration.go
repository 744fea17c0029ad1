package preflight

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"chandler.dev/olm/pkg/failure"
)

// LostVersions returns the versions in which objects of live may be stored and
// that desired no longer has.
func LostVersions(live, desired *apiextensionsv1.CustomResourceDefinition) []string {
	var lost []string
	for _, stored := range live.Status.StoredVersions {
		if version(desired, stored) == nil {
			lost = append(lost, stored)
		}
	}
	slices.Sort(lost)
	return lost
}

// Migration tells whether objects can be rewritten from versions that a
// CustomResourceDefinition loses into the one in which it will store them,
// without losing a value.
type Migration struct {
	GVK       schema.GroupVersionKind // in which the objects are read
	crd       string
	lost      string
	target    string
	converted bool
	prune     *structuralschema.Structural
	validate  validation.SchemaValidator
}

// MigrationOf returns the migration of the objects of live to the storage
// version of desired. It refuses if the objects cannot be read.
func MigrationOf(live, desired *apiextensionsv1.CustomResourceDefinition, lost []string) (Migration, error) {
	m := Migration{
		GVK: schema.GroupVersionKind{Group: live.Spec.Group, Kind: live.Spec.Names.Kind},
		crd: live.Name, lost: strings.Join(lost, ", "),
		converted: isWebhook(live) || isWebhook(desired),
	}
	for _, v := range live.Spec.Versions {
		if v.Served && (m.GVK.Version == "" || slices.Contains(lost, v.Name)) {
			m.GVK.Version = v.Name
		}
	}
	if m.GVK.Version == "" {
		return Migration{}, m.refuse("no version of it is served, so that its objects cannot be read", "")
	}
	for i := range desired.Spec.Versions {
		v := &desired.Spec.Versions[i]
		if !v.Storage {
			continue
		}
		m.target = v.Name
		var err error
		if m.validate, err = validator(v.Schema); err != nil {
			return Migration{}, err
		}
		if m.prune, err = structural(v.Schema); err != nil {
			return Migration{}, err
		}
	}
	return m, nil
}

// Object refuses an object that would not be the same afterwards.
func (m Migration) Object(u *unstructured.Unstructured) *failure.Error {
	name := u.GetName()
	if u.GetNamespace() != "" {
		name = u.GetNamespace() + "/" + name
	}
	if m.converted {
		return m.refuse(fmt.Sprintf("%s %q is converted by a webhook", m.GVK.Kind, name), "")
	}
	pruned := u.DeepCopy()
	unknown := pruning.PruneWithOptions(pruned.Object, m.prune, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return m.refuse(fmt.Sprintf("%s %q would lose %s", m.GVK.Kind, name, unknown[0]), "remove the field, or ")
	}
	if problems := validation.ValidateCustomResource(nil, pruned.Object, m.validate); len(problems) > 0 {
		return m.refuse(fmt.Sprintf("%s %q does not fit version %s: %s", m.GVK.Kind, name, m.target, problems[0].Field), "")
	}
	return nil
}

func (m Migration) refuse(because, cure string) *failure.Error {
	return failure.New(failure.Blocked, "CustomResourceDefinition %q would lose version %s, in which objects are stored: %s", m.crd, m.lost, because).
		WithHint("%srewrite the objects in a version that stays, then remove %s from its status.storedVersions", cure, m.lost)
}

func isWebhook(crd *apiextensionsv1.CustomResourceDefinition) bool {
	return crd.Spec.Conversion != nil && crd.Spec.Conversion.Strategy == apiextensionsv1.WebhookConverter
}

func version(crd *apiextensionsv1.CustomResourceDefinition, name string) *apiextensionsv1.CustomResourceDefinitionVersion {
	for i := range crd.Spec.Versions {
		if crd.Spec.Versions[i].Name == name {
			return &crd.Spec.Versions[i]
		}
	}
	return nil
}

func structural(v *apiextensionsv1.CustomResourceValidation) (*structuralschema.Structural, error) {
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.OpenAPIV3Schema, internal, nil); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	s, err := structuralschema.NewStructural(internal)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return s, nil
}
