package requirement

import (
	"slices"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// alongsidePrefix starts the annotations of a CRD that name the ClusterServiceVersions
// which it was installed for, as <namespace>/<name>.
const alongsidePrefix = "operatorframework.io/installed-alongside-"

func checkCRD(csv *v1alpha1.ClusterServiceVersion, desc v1alpha1.CRDDescription, f Facts) *v1alpha1.RequirementStatus {
	status := &v1alpha1.RequirementStatus{
		Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Name: desc.Name,
		Status: v1alpha1.RequirementStatusReasonNotPresent,
	}
	crd, exists := f.CRDs[desc.Name]
	if !exists {
		status.Message = "CRD is not present"
		return status
	}
	status.UUID = string(crd.UID)
	if ancestors := installedForAncestors(csv, crd, f); csv.OwnsCRD(desc.Name) && len(ancestors) > 0 {
		status.Status = v1alpha1.RequirementStatusReasonPresentNotSatisfied
		status.Message = "CRD installed alongside other CSV(s): " + strings.Join(ancestors, ", ")
		return status
	}
	served := slices.ContainsFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == desc.Version && v.Served
	})
	switch {
	case !served:
		status.Message = "CRD version not served"
	case !has(crd, apiextensionsv1.Established) || !has(crd, apiextensionsv1.NamesAccepted):
		status.Status = v1alpha1.RequirementStatusReasonNotAvailable
		status.Message = "CRD is present but the Established condition is False (not available)"
	default:
		status.Status = v1alpha1.RequirementStatusReasonPresent
		status.Message = "CRD is present and Established condition is true"
	}
	return status
}

func has(crd *apiextensionsv1.CustomResourceDefinition, condition apiextensionsv1.CustomResourceDefinitionConditionType) bool {
	return slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == condition && c.Status == apiextensionsv1.ConditionTrue
	})
}

// installedForAncestors returns the versions of this operator for which crd was
// installed, if it was not (yet) updated for csv: csv must not start with the old schema.
func installedForAncestors(csv *v1alpha1.ClusterServiceVersion, crd *apiextensionsv1.CustomResourceDefinition, f Facts) []string {
	var ancestors []string
	for key, value := range crd.Annotations {
		namespace, name, ok := strings.Cut(value, "/")
		if !ok || !strings.HasPrefix(key, alongsidePrefix) || namespace != csv.Namespace {
			continue
		}
		if name == csv.Name {
			return nil
		}
		if f.Ancestors.Has(name) {
			ancestors = append(ancestors, name)
		}
	}
	slices.Sort(ancestors)
	return ancestors
}
