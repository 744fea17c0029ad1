package providedapi

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"chandler.dev/olm/pkg/install/render"
)

// Suffixes are the three levels of rights to an API, as in the cluster's default roles.
var Suffixes = []string{"admin", "edit", "view"}

var verbs = map[string][]string{
	"admin": {"*"},
	"edit":  {"create", "update", "patch", "delete"},
	"view":  {"get", "list", "watch"},
}

// Resource is a resource that an operator provides.
type Resource struct {
	schema.GroupVersionKind
	Name   string // of the CustomResourceDefinition, or as the APIService's description says
	Plural string // as in URLs
	// Owner is the CustomResourceDefinition or APIService, with which the roles go away.
	Owner metav1.OwnerReference
}

// Roles returns the ClusterRoles that give rights to a resource. They extend the
// cluster's default roles and those of the OperatorGroups that provide the API.
func Roles(r Resource) []rbacv1.ClusterRole {
	name := r.Name + "-" + r.Version + "-"
	roles := make([]rbacv1.ClusterRole, 0, len(Suffixes)+1)
	for _, suffix := range Suffixes {
		roles = append(roles, role(r, name+suffix, suffix, rbacv1.PolicyRule{
			Verbs: verbs[suffix], APIGroups: []string{r.Group}, Resources: []string{r.Plural},
		}))
	}
	if r.Owner.Kind == "CustomResourceDefinition" {
		roles = append(roles, role(r, name+"crdview", "view", rbacv1.PolicyRule{
			Verbs: []string{"get"}, APIGroups: []string{"apiextensions.k8s.io"},
			Resources: []string{"customresourcedefinitions"}, ResourceNames: []string{r.Owner.Name},
		}))
	}
	return roles
}

func role(r Resource, name, suffix string, rule rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{
		TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				"rbac.authorization.k8s.io/aggregate-to-" + suffix: "true",
				AggregationLabel(r.GroupVersionKind, suffix):       "true",
				render.LabelManaged:                                "true",
			},
			OwnerReferences: []metav1.OwnerReference{r.Owner},
		},
		Rules: []rbacv1.PolicyRule{rule},
	}
}
