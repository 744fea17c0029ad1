package preflight

import (
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"chandler.dev/olm/pkg/failure"
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
