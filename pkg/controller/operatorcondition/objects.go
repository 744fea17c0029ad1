package operatorcondition

import (
	"context"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/install/render"
)

// kind is the kind of the owner of the generated rights.
const kind = "OperatorCondition"

// conditionOf returns the OperatorCondition for csv, without what is not ours.
func conditionOf(csv *v1alpha1.ClusterServiceVersion) *operatorsv2.OperatorCondition {
	owner := render.OwnerReference(csv)
	owner.Controller = new(true)
	wanted := &operatorsv2.OperatorCondition{
		TypeMeta: metav1.TypeMeta{APIVersion: operatorsv2.GroupVersion.String(), Kind: kind},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: csv.Namespace, Name: csv.Name,
			Labels:          render.Inherit(map[string]string{render.LabelManaged: "true"}, csv.Labels),
			OwnerReferences: []metav1.OwnerReference{owner},
		},
	}
	strategy := &csv.Spec.InstallStrategy.StrategySpec
	for i := range strategy.DeploymentSpecs {
		wanted.Spec.Deployments = append(wanted.Spec.Deployments, strategy.DeploymentSpecs[i].Name)
	}
	for _, permission := range strategy.ClusterPermissions {
		wanted.Spec.ServiceAccounts = append(wanted.Spec.ServiceAccounts, permission.ServiceAccountName)
	}
	for _, permission := range strategy.Permissions {
		wanted.Spec.ServiceAccounts = append(wanted.Spec.ServiceAccounts, permission.ServiceAccountName)
	}
	if len(wanted.Spec.ServiceAccounts) == 0 {
		wanted.Spec.ServiceAccounts = []string{"default"}
	}
	return wanted
}

func roleFor(condition *operatorsv2.OperatorCondition) *rbacv1.Role {
	return &rbacv1.Role{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
		ObjectMeta: ownedBy(condition),
		Rules: []rbacv1.PolicyRule{{
			Verbs: []string{"get", "update", "patch"}, APIGroups: []string{v1alpha1.GroupName},
			Resources: []string{"operatorconditions"}, ResourceNames: []string{condition.Name},
		}},
	}
}

func bindingFor(condition *operatorsv2.OperatorCondition) *rbacv1.RoleBinding {
	binding := &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
		ObjectMeta: ownedBy(condition),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: condition.Name},
	}
	seen := map[string]bool{}
	for _, account := range condition.Spec.ServiceAccounts {
		if !seen[account] {
			binding.Subjects = append(binding.Subjects, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: condition.Namespace})
		}
		seen[account] = true
	}
	return binding
}

func ownedBy(condition *operatorsv2.OperatorCondition) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: condition.Namespace, Name: condition.Name,
		Labels: map[string]string{render.LabelManaged: "true"},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: operatorsv2.GroupVersion.String(), Kind: kind, Name: condition.Name, UID: condition.UID,
			Controller: new(true), BlockOwnerDeletion: new(false),
		}},
	}
}

// ofCondition maps the rights to an OperatorCondition to the version of the same name.
func ofCondition() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, obj client.Object) []reconcile.Request {
		owner := metav1.GetControllerOf(obj)
		if owner == nil || owner.Kind != kind {
			return nil
		}
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: obj.GetNamespace(), Name: owner.Name}}}
	})
}
