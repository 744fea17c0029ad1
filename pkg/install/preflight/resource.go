package preflight

import (
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/render"
)

// ResourceCheck tells whether existing objects of one version survive a change
// of their CustomResourceDefinition.
type ResourceCheck struct {
	GVK      schema.GroupVersionKind
	crd      string
	old, new validation.SchemaValidator
}

// ResourceChecks returns a check for every version that live and desired both
// serve and whose schema differs. Where nothing changed no object is looked at.
func ResourceChecks(live, desired *apiextensionsv1.CustomResourceDefinition) ([]ResourceCheck, error) {
	before := map[string]*apiextensionsv1.CustomResourceValidation{}
	for i := range live.Spec.Versions {
		if v := &live.Spec.Versions[i]; v.Served {
			before[v.Name] = v.Schema
		}
	}
	var checks []ResourceCheck
	for _, v := range desired.Spec.Versions {
		old, known := before[v.Name]
		if !v.Served || !known || render.SameSchema(old, v.Schema) {
			continue
		}
		check := ResourceCheck{
			GVK: schema.GroupVersionKind{Group: live.Spec.Group, Version: v.Name, Kind: live.Spec.Names.Kind},
			crd: live.Name,
		}
		var err error
		if check.old, err = validator(old); err != nil {
			return nil, err
		}
		if check.new, err = validator(v.Schema); err != nil {
			return nil, err
		}
		checks = append(checks, check)
	}
	return checks, nil
}

func validator(in *apiextensionsv1.CustomResourceValidation) (validation.SchemaValidator, error) {
	internal := &apiextensions.JSONSchemaProps{}
	if in != nil && in.OpenAPIV3Schema != nil {
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(in.OpenAPIV3Schema, internal, nil); err != nil {
			return nil, fmt.Errorf("read schema: %w", err)
		}
	}
	v, _, err := validation.NewSchemaValidator(internal)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return v, nil
}

// Object refuses an object that the old schema accepts and the new one does not.
func (c ResourceCheck) Object(u *unstructured.Unstructured) *failure.Error {
	problems := validation.ValidateCustomResource(nil, u.Object, c.new)
	if len(problems) == 0 || len(validation.ValidateCustomResource(nil, u.Object, c.old)) > 0 {
		return nil
	}
	name := u.GetName()
	if u.GetNamespace() != "" {
		name = u.GetNamespace() + "/" + name
	}
	e := failure.New(failure.Blocked, "the new schema of %q is too restrictive for %s %q: %s", c.crd, c.GVK.Kind, name, problems[0].Field).
		WithHint("change the object so that it fits, then approve or recreate the plan")
	e.Err = problems.ToAggregate()
	return e
}
