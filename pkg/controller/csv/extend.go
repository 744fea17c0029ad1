package csv

import (
	"context"
	"maps"
	"slices"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	wanted := extendedRights(csv, targets, have)
	for _, obj := range wanted {
		if have.has(obj) {
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
	for _, obj := range have.surplus(csv, wanted) {
		if err := client.IgnoreNotFound(r.client.Delete(ctx, obj)); err != nil {
			return err
		}
	}
	return nil
}

// rightsObjects are all RBAC objects with the owner labels of one ClusterServiceVersion.
type rightsObjects []client.Object

func (r *Reconciler) rightsObjects(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (rightsObjects, error) {
	owner := client.MatchingLabels(render.OwnerOf(csv).Labels())
	roles, bindings := &rbacv1.RoleList{}, &rbacv1.RoleBindingList{}
	clusterRoles, clusterBindings := &rbacv1.ClusterRoleList{}, &rbacv1.ClusterRoleBindingList{}
	for _, list := range []client.ObjectList{roles, bindings, clusterRoles, clusterBindings} {
		if err := r.client.List(ctx, list, owner); err != nil {
			return nil, err
		}
	}
	var all rightsObjects
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

// extendedRights returns what gives the Roles of csv in the targets of its group.
func extendedRights(csv *v1alpha1.ClusterServiceVersion, targets []string, have rightsObjects) []client.Object {
	var wanted []client.Object
	for _, obj := range have {
		if obj.GetNamespace() != csv.Namespace {
			continue
		}
		if slices.Contains(targets, metav1.NamespaceAll) {
			switch obj := obj.(type) {
			case *rbacv1.Role:
				lifted := render.Lift(obj)
				wanted = append(wanted, &lifted)
			case *rbacv1.RoleBinding:
				if obj.RoleRef.Kind == "Role" {
					lifted := render.LiftBinding(obj)
					wanted = append(wanted, &lifted)
				}
			}
			continue
		}
		for _, namespace := range targets {
			if namespace == csv.Namespace {
				continue
			}
			if copied := copyTo(csv, obj, namespace); copied != nil {
				wanted = append(wanted, copied)
			}
		}
	}
	return wanted
}

// copyTo returns a Role or RoleBinding of csv for another namespace.
func copyTo(csv *v1alpha1.ClusterServiceVersion, obj client.Object, namespace string) client.Object {
	there := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: csv.Name}}
	var copied client.Object
	switch obj := obj.(type) {
	case *rbacv1.Role:
		c := render.CopyRole(obj, there)
		copied = &c
	case *rbacv1.RoleBinding:
		c := render.CopyRoleBinding(obj, there)
		copied = &c
	default:
		return nil
	}
	copied.SetOwnerReferences(nil)
	labels := copied.GetLabels()
	maps.Copy(labels, render.OwnerOf(csv).ManagedLabels())
	copied.SetLabels(labels)
	return copied
}

func (have rightsObjects) find(like client.Object) client.Object {
	for _, obj := range have {
		if obj.GetName() == like.GetName() && obj.GetNamespace() == like.GetNamespace() && kindOf(obj) == kindOf(like) {
			return obj
		}
	}
	return nil
}

// has tells whether wanted exists and grants the same to the same.
func (have rightsObjects) has(wanted client.Object) bool {
	found := have.find(wanted)
	if found == nil {
		return false
	}
	return equality.Semantic.DeepEqual(grants(found), grants(wanted))
}

// surplus returns the extended rights that are not wanted. What the bundle itself asked
// for is not extended: Roles in the namespace of csv, and ClusterRoles that no Role has
// the name of.
func (have rightsObjects) surplus(csv *v1alpha1.ClusterServiceVersion, wanted rightsObjects) []client.Object {
	var surplus []client.Object
	for _, obj := range have {
		if obj.GetNamespace() == csv.Namespace || wanted.find(obj) != nil {
			continue
		}
		if obj.GetNamespace() != "" {
			if _, copied := obj.GetLabels()[render.LabelCopiedFrom]; copied {
				surplus = append(surplus, obj)
			}
			continue
		}
		lifted := slices.ContainsFunc(have, func(role client.Object) bool {
			return role.GetNamespace() == csv.Namespace && role.GetName() == obj.GetName()
		})
		if lifted {
			surplus = append(surplus, obj)
		}
	}
	return surplus
}

func kindOf(obj client.Object) string {
	switch obj.(type) {
	case *rbacv1.Role:
		return "Role"
	case *rbacv1.RoleBinding:
		return "RoleBinding"
	case *rbacv1.ClusterRole:
		return "ClusterRole"
	default:
		return "ClusterRoleBinding"
	}
}

// grants is the part of an RBAC object that matters.
func grants(obj client.Object) any {
	switch obj := obj.(type) {
	case *rbacv1.Role:
		return obj.Rules
	case *rbacv1.ClusterRole:
		return obj.Rules
	case *rbacv1.RoleBinding:
		return []any{obj.RoleRef, obj.Subjects}
	case *rbacv1.ClusterRoleBinding:
		return []any{obj.RoleRef, obj.Subjects}
	default:
		return nil
	}
}
