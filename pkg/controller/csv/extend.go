package csv

import (
	"context"
	"slices"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/install/render"
)

// extendRights gives the namespaced rights of csv in all namespaces if its OperatorGroup
// is global, and takes such rights back if it no longer is. (Groups with several targets
// get copies of the roles together with the copy of the ClusterServiceVersion.)
func (r *Reconciler) extendRights(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, group *operatorsv1.OperatorGroup) error {
	owner := client.MatchingLabels(render.OwnerOf(csv).Labels())
	roles := &rbacv1.RoleList{}
	if err := r.client.List(ctx, roles, client.InNamespace(csv.Namespace), owner); err != nil {
		return err
	}
	bindings := &rbacv1.RoleBindingList{}
	if err := r.client.List(ctx, bindings, client.InNamespace(csv.Namespace), owner); err != nil {
		return err
	}
	lifted := &rbacv1.ClusterRoleList{}
	if err := r.client.List(ctx, lifted, owner); err != nil {
		return err
	}
	liftedBindings := &rbacv1.ClusterRoleBindingList{}
	if err := r.client.List(ctx, liftedBindings, owner); err != nil {
		return err
	}
	if group == nil || !slices.Contains(group.Status.Namespaces, metav1.NamespaceAll) {
		return r.lower(ctx, roles, lifted, liftedBindings)
	}
	for i := range roles.Items {
		wanted := render.Lift(&roles.Items[i])
		have := slices.IndexFunc(lifted.Items, func(c rbacv1.ClusterRole) bool { return c.Name == wanted.Name })
		if have >= 0 && equality.Semantic.DeepEqual(lifted.Items[have].Rules, wanted.Rules) {
			continue
		}
		if _, err := r.cluster.Ensure(ctx, &wanted); err != nil {
			return err
		}
	}
	for i := range bindings.Items {
		wanted := render.LiftBinding(&bindings.Items[i])
		have := slices.IndexFunc(liftedBindings.Items, func(c rbacv1.ClusterRoleBinding) bool { return c.Name == wanted.Name })
		if have >= 0 && equality.Semantic.DeepEqual(liftedBindings.Items[have].Subjects, wanted.Subjects) {
			continue
		}
		if _, err := r.cluster.Ensure(ctx, &wanted); err != nil {
			return err
		}
	}
	return nil
}

// lower deletes the cluster-wide versions of roles.
func (r *Reconciler) lower(ctx context.Context, roles *rbacv1.RoleList, lifted *rbacv1.ClusterRoleList, bindings *rbacv1.ClusterRoleBindingList) error {
	names := sets.Set[string]{}
	for i := range roles.Items {
		names.Insert(roles.Items[i].Name)
	}
	for i := range bindings.Items {
		if b := &bindings.Items[i]; names.Has(b.RoleRef.Name) {
			if err := client.IgnoreNotFound(r.client.Delete(ctx, b)); err != nil {
				return err
			}
		}
	}
	for i := range lifted.Items {
		if c := &lifted.Items[i]; names.Has(c.Name) {
			if err := client.IgnoreNotFound(r.client.Delete(ctx, c)); err != nil {
				return err
			}
		}
	}
	return nil
}
