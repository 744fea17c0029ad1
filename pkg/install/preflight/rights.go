package preflight

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// DescribeRight says that a right is missing, as the API server does when it
// refuses a request.
func DescribeRight(r authorizationv1.ResourceAttributes) string {
	where := "at the cluster scope"
	if r.Namespace != "" {
		where = fmt.Sprintf("in the namespace %q", r.Namespace)
	}
	return fmt.Sprintf("cannot %s resource %q in API group %q %s", r.Verb, r.Resource, r.Group, where)
}
