// Package rights is about the RBAC objects of one ClusterServiceVersion: what gives its
// rights in the namespaces that its OperatorGroup targets, what of that exists, and whom
// a binding concerns. It is pure; the controller csv reads and writes.
package rights

import (
	"maps"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/install/render"
)

// Objects are RBAC objects with the owner labels of one ClusterServiceVersion.
type Objects []client.Object

// Extended returns what gives the Roles of csv in the targets of its group.
func Extended(csv *v1alpha1.ClusterServiceVersion, targets []string, have Objects) []client.Object {
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

func (have Objects) find(like client.Object) client.Object {
	for _, obj := range have {
		if obj.GetName() == like.GetName() && obj.GetNamespace() == like.GetNamespace() && kindOf(obj) == kindOf(like) {
			return obj
		}
	}
	return nil
}

// Has tells whether wanted exists and grants the same to the same.
func (have Objects) Has(wanted client.Object) bool {
	found := have.find(wanted)
	if found == nil {
		return false
	}
	return equality.Semantic.DeepEqual(grants(found), grants(wanted))
}

// Surplus returns the extended rights that are not wanted. What the bundle itself asked
// for is not extended: Roles in the namespace of csv, and ClusterRoles that no Role has
// the name of.
func (have Objects) Surplus(csv *v1alpha1.ClusterServiceVersion, wanted Objects) []client.Object {
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

// Foreign tells whether obj has an owner reference to a ClusterServiceVersion other than uid.
func Foreign(obj metav1.Object, uid types.UID) bool {
	owned := false
	for _, owner := range obj.GetOwnerReferences() {
		if owner.Kind != v1alpha1.ClusterServiceVersionKind {
			continue
		}
		if owner.UID == uid {
			return false
		}
		owned = true
	}
	return owned
}

// Concerns tells whether one of the subjects is the ServiceAccount. Groups do not count:
// who is a member of one is not for a ClusterServiceVersion to rely on.
func Concerns(subjects []rbacv1.Subject, namespace, account, bindingNamespace string) bool {
	for _, s := range subjects {
		in := s.Namespace
		if in == "" {
			in = bindingNamespace
		}
		if s.Kind == rbacv1.ServiceAccountKind && s.Name == account && in == namespace {
			return true
		}
		if s.Kind == rbacv1.UserKind && s.Name == "system:serviceaccount:"+namespace+":"+account {
			return true
		}
	}
	return false
}
