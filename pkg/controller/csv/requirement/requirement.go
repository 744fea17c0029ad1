// Package requirement checks what a ClusterServiceVersion needs before it can be
// installed: a cluster version, APIs, ServiceAccounts and their rights. It is pure: the
// controller csv gathers Facts, Check compares them with the spec and writes the
// entries of status.requirementStatus, one per requirement and in a stable order.
package requirement

import (
	"fmt"
	"strings"

	"github.com/blang/semver/v4"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
)

// Facts is what was observed about the requirements of one ClusterServiceVersion.
type Facts struct {
	ServerVersion   string                                               // as the API server says it, for example v1.36.3+k3s1
	CRDs            map[string]*apiextensionsv1.CustomResourceDefinition // those that exist, by name; schemas are not needed
	APIServices     map[string]APIService                                // those that exist, by <version>.<group>
	Served          sets.Set[schema.GroupVersionKind]                    // kinds that discovery lists
	ServiceAccounts map[string]*corev1.ServiceAccount                    // those that exist, by name
	Rights          map[string]Rights                                    // by name of the ServiceAccount
	Ancestors       sets.Set[string]                                     // names of existing CSVs that this one replaces, directly or not
}

// APIService is an APIService that exists.
type APIService struct {
	UID       types.UID
	Available bool
}

// Rights are the rules that RBAC grants a ServiceAccount.
type Rights struct {
	Namespaced []rbacv1.PolicyRule // in the namespace of the ClusterServiceVersion
	Cluster    []rbacv1.PolicyRule // everywhere
}

// Result is the outcome of Check.
type Result struct {
	Met      bool
	Statuses []v1alpha1.RequirementStatus
}

func (r *Result) add(status *v1alpha1.RequirementStatus) {
	r.Statuses = append(r.Statuses, *status)
	switch status.Status {
	case v1alpha1.RequirementStatusReasonPresent, deploymentFound:
	default:
		r.Met = false
	}
}

const (
	deploymentFound    v1alpha1.StatusReason = "DeploymentFound"
	deploymentNotFound v1alpha1.StatusReason = "DeploymentNotFound"
)

// Check compares csv with the facts.
func Check(csv *v1alpha1.ClusterServiceVersion, f Facts) Result {
	r := Result{Met: true}
	if csv.Spec.MinKubeVersion != "" {
		r.add(checkVersion(csv, f.ServerVersion))
	}
	for _, desc := range csv.GetAllCRDDescriptions() {
		r.add(checkCRD(csv, desc, f))
	}
	for _, desc := range csv.GetRequiredAPIServiceDescriptions() {
		r.add(checkRequiredAPI(desc, f))
	}
	for _, desc := range csv.GetOwnedAPIServiceDescriptions() {
		r.add(checkOwnedAPI(csv, desc))
	}
	for _, gvk := range csv.Spec.NativeAPIs {
		r.add(checkNativeAPI(gvk, f))
	}
	for _, status := range checkServiceAccounts(csv, f) {
		r.add(&status)
	}
	return r
}

// checkVersion accepts two-part versions such as 1.11, which OLM calls a parsing error.
func checkVersion(csv *v1alpha1.ClusterServiceVersion, server string) *v1alpha1.RequirementStatus {
	status := &v1alpha1.RequirementStatus{
		Group: v1alpha1.GroupName, Version: v1alpha1.GroupVersion, Kind: v1alpha1.ClusterServiceVersionKind, Name: csv.Name,
		Status: v1alpha1.RequirementStatusReasonPresentNotSatisfied,
	}
	release, _, _ := strings.Cut(strings.TrimPrefix(server, "v"), "-")
	have, err := semver.ParseTolerant(release)
	if err != nil {
		status.Message = "Server version parsing error"
		return status
	}
	have.Build = nil
	want, err := semver.ParseTolerant(csv.Spec.MinKubeVersion)
	switch {
	case err != nil:
		status.Message = "CSV version parsing error"
	case have.LT(want):
		status.Message = fmt.Sprintf("CSV version requirement not met: minKubeVersion (%s) > server version (%s)", csv.Spec.MinKubeVersion, have)
	default:
		status.Status = v1alpha1.RequirementStatusReasonPresent
		status.Message = fmt.Sprintf("CSV minKubeVersion (%s) less than server version (%s)", csv.Spec.MinKubeVersion, server)
	}
	return status
}

func checkRequiredAPI(desc v1alpha1.APIServiceDescription, f Facts) *v1alpha1.RequirementStatus {
	status := apiServiceStatus(desc)
	api, exists := f.APIServices[desc.GetName()]
	gvk := schema.GroupVersionKind{Group: desc.Group, Version: desc.Version, Kind: desc.Kind}
	switch {
	case !exists:
		status.Message = "APIService is not present"
	case !api.Available:
		status.Message = "APIService is not available"
	case !f.Served.Has(gvk):
		status.Message = "APIService does not serve the kind"
	default:
		status.Status, status.UUID = v1alpha1.RequirementStatusReasonPresent, string(api.UID)
	}
	return status
}

func checkOwnedAPI(csv *v1alpha1.ClusterServiceVersion, desc v1alpha1.APIServiceDescription) *v1alpha1.RequirementStatus {
	status := apiServiceStatus(desc)
	status.Status = deploymentNotFound
	for i := range csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs {
		if csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[i].Name == desc.DeploymentName {
			status.Status = deploymentFound
		}
	}
	return status
}

func apiServiceStatus(desc v1alpha1.APIServiceDescription) *v1alpha1.RequirementStatus {
	return &v1alpha1.RequirementStatus{
		Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService", Name: desc.GetName(),
		Status: v1alpha1.RequirementStatusReasonNotPresent,
	}
}

func checkNativeAPI(gvk metav1.GroupVersionKind, f Facts) *v1alpha1.RequirementStatus {
	status := &v1alpha1.RequirementStatus{
		Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Name: gvk.Version + "." + gvk.Group,
		Status: v1alpha1.RequirementStatusReasonNotPresent, Message: "Native API does not exist",
	}
	if f.Served.Has(schema.GroupVersionKind(gvk)) {
		status.Status, status.Message = v1alpha1.RequirementStatusReasonPresent, "Native API exists"
	}
	return status
}
