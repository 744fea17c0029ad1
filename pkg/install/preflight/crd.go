package preflight

import (
	"errors"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/render"
)

// NewCRD refuses a CustomResourceDefinition that no API server would accept.
func NewCRD(crd *apiextensionsv1.CustomResourceDefinition) *failure.Error {
	if want := crd.Spec.Names.Plural + "." + crd.Spec.Group; crd.Name != want {
		return failure.New(failure.Invalid, "CustomResourceDefinition %q must be named %q", crd.Name, want)
	}
	if len(crd.Spec.Versions) == 0 {
		return failure.New(failure.Invalid, "CustomResourceDefinition %q has no versions", crd.Name)
	}
	storage := 0
	for _, v := range crd.Spec.Versions {
		if v.Storage {
			storage++
		}
		if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
			return failure.New(failure.Invalid, "version %q of CustomResourceDefinition %q has no schema", v.Name, crd.Name)
		}
	}
	if storage != 1 {
		return failure.New(failure.Invalid, "CustomResourceDefinition %q has %d storage versions, and must have one", crd.Name, storage)
	}
	return nil
}

// CreateCRD refuses a CustomResourceDefinition that an API server would not
// take if it has none of that name: m is its manifest, crd what render.CRD made
// of it. It finds what manifests of v1beta1 lack; only the API server knows all
// that it demands, see RejectedCRD.
func CreateCRD(m render.Manifest, crd *apiextensionsv1.CustomResourceDefinition) *failure.Error {
	if apihelpers.IsProtectedCommunityGroup(crd.Spec.Group) {
		switch state, reason := apihelpers.GetAPIApprovalState(crd.Annotations); state {
		case apihelpers.APIApprovalMissing, apihelpers.APIApprovalInvalid:
			path := field.NewPath("metadata", "annotations").Key(apiextensionsv1.KubeAPIApprovedAnnotation)
			return RejectedCRD(m, field.Required(path, reason))
		default:
		}
	}
	for i, v := range crd.Spec.Versions {
		schema, err := structural(v.Schema)
		path := field.NewPath("spec", "versions").Index(i).Child("schema", "openAPIV3Schema")
		if err != nil {
			return RejectedCRD(m, field.Invalid(path, "", err.Error()))
		}
		if problems := structuralschema.ValidateStructural(path, schema); len(problems) > 0 {
			return RejectedCRD(m, problems[0])
		}
	}
	return nil
}

// RejectedCRD is the refusal of a CustomResourceDefinition that an API server
// does not take because of err.
func RejectedCRD(m render.Manifest, err error) *failure.Error {
	if m.IsBetaCRD() {
		e := failure.New(failure.Invalid, "CustomResourceDefinition %q uses apiextensions.k8s.io/v1beta1, which this cluster does not serve, and cannot be converted to v1: %s",
			m.Name, textOf(err))
		e.Err = err
		return e.WithHint("choose a version of the operator whose CustomResourceDefinitions are apiextensions.k8s.io/v1")
	}
	e := failure.New(failure.Invalid, "no API server accepts CustomResourceDefinition %q: %s", m.Name, textOf(err))
	e.Err = err
	return e.WithHint("correct the manifest in the bundle")
}

// textOf names a field and what is wrong with it, without the value.
func textOf(err error) string {
	if e, ok := errors.AsType[*field.Error](err); ok {
		return e.Field + ": " + e.ErrorBody()
	}
	return err.Error()
}

// ChangedCRD refuses to replace live by desired if an API server would not.
func ChangedCRD(live, desired *apiextensionsv1.CustomResourceDefinition) *failure.Error {
	if live.Spec.Scope != desired.Spec.Scope {
		return failure.New(failure.Blocked, "CustomResourceDefinition %q cannot change its scope from %s to %s", live.Name, live.Spec.Scope, desired.Spec.Scope).
			WithHint("delete the CustomResourceDefinition and its objects first")
	}
	return nil
}

// NewerCRD refuses an operator that needs a version which the newer
// CustomResourceDefinition on the cluster no longer serves.
func NewerCRD(live, desired *apiextensionsv1.CustomResourceDefinition, broughtBy string) *failure.Error {
	for _, want := range desired.Spec.Versions {
		if !want.Served {
			continue
		}
		served := slices.ContainsFunc(live.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
			return v.Name == want.Name && v.Served
		})
		if !served {
			return failure.New(failure.Conflict, "CustomResourceDefinition %q came from %s and does not serve version %q", live.Name, broughtBy, want.Name).
				WithHint("install a version of the operator that matches, or delete the CustomResourceDefinition if nobody needs it")
		}
	}
	return nil
}
