package installplan

import (
	"context"
	"errors"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/kube"
	"chandler.dev/olm/pkg/install/preflight"
	"chandler.dev/olm/pkg/install/render"
)

// checkRights names every right that the OperatorGroup's ServiceAccount lacks
// for the plan. CustomResourceDefinitions are not among them: the lifecycle
// writes them itself. Whether it may grant what a role grants is left to the
// API server.
func (r *Reconciler) checkRights(ctx context.Context, s *scope) error {
	if s.scoped == r.o.Cluster {
		return nil
	}
	var missing []string
	for _, right := range neededRights(s) {
		allowed, err := mayAll(ctx, s.scoped, right)
		if err != nil {
			return err
		}
		if !allowed {
			missing = append(missing, preflight.DescribeRight(right.ResourceAttributes))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	user := s.plan.Status.AttenuatedServiceAccountRef
	e := failure.New(failure.Blocked, "service account %q lacks rights for this plan", user.Namespace+"/"+user.Name).
		WithHint("grant them, or name another service account in the OperatorGroup")
	e.Err = errors.New(strings.Join(missing, "; "))
	return e
}

// right is what the objects of one kind need.
type right struct {
	authorizationv1.ResourceAttributes

	names []string
}

// neededRights returns the rights that writing the plan needs, each once.
func neededRights(s *scope) []right {
	var rights []right
	for _, it := range s.items {
		if it.manifest.Kind == render.KindCRD || it.resource == "" {
			continue
		}
		namespace := s.plan.Namespace
		if !it.namespaced {
			namespace = ""
		}
		verbs := []string{"get", "create", "patch"}
		if it.manifest.Kind == render.KindCSV || it.manifest.Kind == render.KindSubscription {
			verbs = []string{"get", "create"}
		}
		for _, verb := range verbs {
			want := authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: verb, Group: it.manifest.Group, Version: it.manifest.Version, Resource: it.resource,
			}
			i := slices.IndexFunc(rights, func(r right) bool { return r.ResourceAttributes == want })
			if i < 0 {
				i = len(rights)
				rights = append(rights, right{ResourceAttributes: want})
			}
			rights[i].names = append(rights[i].names, it.manifest.Name)
		}
	}
	return rights
}

// mayAll asks for a right on all objects of a kind, and if there is none on
// each by its name.
func mayAll(ctx context.Context, cluster *kube.Cluster, r right) (bool, error) {
	allowed, err := cluster.May(ctx, r.ResourceAttributes)
	if allowed || err != nil || r.Verb == "create" {
		return allowed, err
	}
	for _, name := range r.names {
		named := r.ResourceAttributes
		named.Name = name
		if allowed, err := cluster.May(ctx, named); !allowed || err != nil {
			return false, err
		}
	}
	return true, nil
}
