package requirement

import (
	"encoding/json"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"chandler.dev/olm/pkg/failure"
)

// ServiceAccounts returns the names of the ServiceAccounts to which the strategy of csv
// gives rights, each once, in the order of the manifest.
func ServiceAccounts(csv *v1alpha1.ClusterServiceVersion) []string {
	var names []string
	strategy := &csv.Spec.InstallStrategy.StrategySpec
	for _, permission := range slices.Concat(strategy.Permissions, strategy.ClusterPermissions) {
		if !slices.Contains(names, permission.ServiceAccountName) {
			names = append(names, permission.ServiceAccountName)
		}
	}
	return names
}

// ValidateRules finds rules that RBAC itself would not accept. The failure is Invalid.
func ValidateRules(csv *v1alpha1.ClusterServiceVersion) error {
	strategy := &csv.Spec.InstallStrategy.StrategySpec
	for _, permission := range slices.Concat(strategy.Permissions, strategy.ClusterPermissions) {
		for _, rule := range permission.Rules {
			switch {
			case len(rule.Verbs) == 0:
				return failure.New(failure.Invalid, "rule invalid: policy rule must have at least one verb")
			case len(rule.Resources) > 0 && len(rule.NonResourceURLs) > 0:
				return failure.New(failure.Invalid, "rule invalid: rule cannot apply to both regular resources and non-resource URLs")
			}
		}
	}
	return nil
}

// Granted tells whether rights cover all that csv asks for its ServiceAccount.
func Granted(csv *v1alpha1.ClusterServiceVersion, serviceAccount string, rights Rights) bool {
	status := &v1alpha1.RequirementStatus{Status: v1alpha1.RequirementStatusReasonPresent}
	checkRules(csv, serviceAccount, rights, status)
	return status.Status == v1alpha1.RequirementStatusReasonPresent
}

func checkServiceAccounts(csv *v1alpha1.ClusterServiceVersion, f Facts) []v1alpha1.RequirementStatus {
	var statuses []v1alpha1.RequirementStatus
	for _, name := range ServiceAccounts(csv) {
		status := v1alpha1.RequirementStatus{
			Version: "v1", Kind: "ServiceAccount", Name: name, Status: v1alpha1.RequirementStatusReasonPresent,
		}
		account, exists := f.ServiceAccounts[name]
		switch {
		case !exists:
			status.Status, status.Message = v1alpha1.RequirementStatusReasonNotPresent, "Service account does not exist"
		case ownedByAnother(account, csv):
			status.Status, status.Message = v1alpha1.RequirementStatusReasonPresentNotSatisfied, "Service account is owned by another ClusterServiceVersion"
		default:
			status.UUID = string(account.UID)
			checkRules(csv, name, f.Rights[name], &status)
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// ownedByAnother tells whether ClusterServiceVersions own account, but csv does not.
func ownedByAnother(account *corev1.ServiceAccount, csv *v1alpha1.ClusterServiceVersion) bool {
	owners := slices.DeleteFunc(slices.Clone(account.OwnerReferences), func(o metav1.OwnerReference) bool {
		return o.Kind != v1alpha1.ClusterServiceVersionKind
	})
	return len(owners) > 0 && !slices.ContainsFunc(owners, func(o metav1.OwnerReference) bool { return o.UID == csv.UID })
}

func checkRules(csv *v1alpha1.ClusterServiceVersion, account string, rights Rights, status *v1alpha1.RequirementStatus) {
	strategy := &csv.Spec.InstallStrategy.StrategySpec
	inNamespace := slices.Concat(rights.Namespaced, rights.Cluster)
	for _, permission := range strategy.Permissions {
		if permission.ServiceAccountName == account {
			addDependents(status, "namespaced rule:", permission.Rules, inNamespace)
		}
	}
	for _, permission := range strategy.ClusterPermissions {
		if permission.ServiceAccountName == account {
			addDependents(status, "cluster rule:", permission.Rules, rights.Cluster)
		}
	}
}

func addDependents(status *v1alpha1.RequirementStatus, prefix string, wanted, granted []rbacv1.PolicyRule) {
	for _, rule := range wanted {
		dependent := v1alpha1.DependentStatus{
			Group: rbacv1.GroupName, Version: "v1", Kind: "PolicyRule",
			Status: v1alpha1.DependentStatusReasonSatisfied, Message: prefix + text(rule),
		}
		if covered, _ := validation.Covers(granted, []rbacv1.PolicyRule{rule}); !covered {
			dependent.Status = v1alpha1.DependentStatusReasonNotSatisfied
			status.Status = v1alpha1.RequirementStatusReasonPresentNotSatisfied
			status.Message = "Policy rule not satisfied for service account"
		}
		status.Dependents = append(status.Dependents, dependent)
	}
}

// text writes a rule as the JSON that tools expect in messages.
func text(rule rbacv1.PolicyRule) string {
	b, err := json.Marshal(rule)
	if err != nil { // a struct of strings always has JSON
		return rule.String()
	}
	return string(b)
}
