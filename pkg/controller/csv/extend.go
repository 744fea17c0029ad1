package csv

import (
	"context"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/rights"
	"chandler.dev/olm/pkg/install/render"
)

// extendRights gives the rights that csv has in its own namespace in the namespaces that
// its OperatorGroup targets: by ClusterRoles if these are all, else by copies of its
// Roles. Rights of an earlier, wider group are taken back. The cache tells what is
// missing, so that nothing is read or written when nothing is.
//
// OLM lets copies belong to the copied ClusterServiceVersion; here they have the labels
// of the original, so that rights do not depend on copies being made.
func (r *Reconciler) extendRights(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, group *operatorsv1.OperatorGroup) error {
	have, err := r.rightsObjects(ctx, csv)
	if err != nil {
		return err
	}
	var targets []string
	if group != nil {
		targets = group.Status.Namespaces
	}
	wanted := rights.Extended(csv, targets, have)
	for _, obj := range wanted {
		if have.Has(obj) {
			continue
		}
		cluster, err := r.scopes.of(group)
		if err == nil {
			_, err = cluster.Ensure(ctx, obj)
		}
		if err != nil {
			return err
		}
	}
	for _, obj := range have.Surplus(csv, wanted) {
		if err := client.IgnoreNotFound(r.client.Delete(ctx, obj)); err != nil {
			return err
		}
	}
	return nil
}

// rightsObjects returns the RBAC objects with the owner labels of csv.
func (r *Reconciler) rightsObjects(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (rights.Objects, error) {
	owner := client.MatchingLabels(render.OwnerOf(csv).Labels())
	roles, bindings := &rbacv1.RoleList{}, &rbacv1.RoleBindingList{}
	clusterRoles, clusterBindings := &rbacv1.ClusterRoleList{}, &rbacv1.ClusterRoleBindingList{}
	for _, list := range []client.ObjectList{roles, bindings, clusterRoles, clusterBindings} {
		if err := r.client.List(ctx, list, owner); err != nil {
			return nil, err
		}
	}
	var all rights.Objects
	for i := range bindings.Items {
		all = append(all, &bindings.Items[i])
	}
	for i := range clusterBindings.Items {
		all = append(all, &clusterBindings.Items[i])
	}
	for i := range roles.Items {
		all = append(all, &roles.Items[i])
	}
	for i := range clusterRoles.Items {
		all = append(all, &clusterRoles.Items[i])
	}
	return all, nil
}
