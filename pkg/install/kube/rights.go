package kube

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// May asks the API server whether the user of c has a right.
func (c *Cluster) May(ctx context.Context, right authorizationv1.ResourceAttributes) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &right}}
	if err := c.client.Create(ctx, review); err != nil {
		return false, Classify(err, fmt.Sprintf("ask for the right to %s %s", right.Verb, right.Resource))
	}
	return review.Status.Allowed, nil
}
