package authority

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"chandler.dev/olm/pkg/controller/admission"
)

const accountPrefix = "system:serviceaccount:"

// account returns a ServiceAccount as the API server knows it as a user.
func account(namespace, name string) admission.Record {
	return admission.Record{
		Username: accountPrefix + namespace + ":" + name,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
}

// isBound tells whether one of the subjects is the user.
func isBound(who admission.Record, subjects []rbacv1.Subject) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case rbacv1.UserKind:
			return s.Name == who.Username
		case rbacv1.GroupKind:
			return slices.Contains(who.Groups, s.Name)
		case rbacv1.ServiceAccountKind:
			namespace, name, ok := strings.Cut(strings.TrimPrefix(who.Username, accountPrefix), ":")
			return ok && strings.HasPrefix(who.Username, accountPrefix) && s.Namespace == namespace && s.Name == name
		default:
			return false
		}
	})
}
