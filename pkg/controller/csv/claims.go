package csv

import (
	"context"
	"fmt"
	"sync"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/phase"
	"chandler.dev/olm/pkg/controller/providedapi"
	"chandler.dev/olm/pkg/failure"
)

// claims lets one OperatorGroup after the other claim APIs, so that of two groups
// which want the same API at the same moment one wins.
type claims struct {
	client client.Client
	live   client.Reader
	mu     sync.Mutex
}

// claim compares the APIs of csv with the claims of all groups and adds them to those of
// its own group if they are free.
func (c *claims) claim(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, group *operatorsv1.OperatorGroup) (phase.Verdict, error) {
	provided, err := providedapi.Of(csv)
	if failure.KindOf(err) == failure.Invalid || provided.Len() == 0 {
		return phase.Verdict{}, nil // checkStrategy reports a name without a group
	}
	groups := &operatorsv1.OperatorGroupList{}
	if err := c.client.List(ctx, groups, client.UnsafeDisableDeepCopy); err != nil {
		return phase.Verdict{}, err
	}
	if providedapi.Decide(provided, claimed(group), providedapi.Others(group, groups.Items)) == providedapi.Held {
		return phase.Verdict{}, nil
	}
	return c.settle(ctx, provided, group)
}

// settle decides again from what the API server has and writes the outcome.
func (c *claims) settle(ctx context.Context, provided providedapi.Set, cached *operatorsv1.OperatorGroup) (phase.Verdict, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	groups := &operatorsv1.OperatorGroupList{}
	if err := c.live.List(ctx, groups); err != nil {
		return phase.Verdict{}, err
	}
	group := find(groups.Items, cached)
	if group == nil {
		return phase.Verdict{}, errStale
	}
	own, others := claimed(group), providedapi.Others(group, groups.Items)
	switch decision := providedapi.Decide(provided, own, others); {
	case decision == providedapi.Held:
		return phase.Verdict{}, nil
	case decision == providedapi.Conflict:
		return conflict(provided.Intersection(others)), nil
	case group.Spec.StaticProvidedAPIs:
		return phase.Verdict{
			Reason:  v1alpha1.CSVReasonCannotModifyStaticOperatorGroupProvidedAPIs,
			Message: "static provided api operatorgroup cannot be modified by these apis: " + providedapi.Format(provided.Difference(own)),
		}, nil
	case decision == providedapi.Remove:
		return conflict(provided.Intersection(others)), c.write(ctx, group, own.Difference(provided))
	default:
		return phase.Verdict{}, c.write(ctx, group, own.Union(provided))
	}
}

func conflict(contested providedapi.Set) phase.Verdict {
	return phase.Verdict{
		Reason:  v1alpha1.CSVReasonInterOperatorGroupOwnerConflict,
		Message: fmt.Sprintf("intersecting operatorgroups provide the same apis: %s", providedapi.Format(contested)),
	}
}

func (c *claims) write(ctx context.Context, group *operatorsv1.OperatorGroup, apis providedapi.Set) error {
	before := group.DeepCopy()
	if group.Annotations == nil {
		group.Annotations = map[string]string{}
	}
	group.Annotations[providedapi.Annotation] = providedapi.Format(apis)
	return c.client.Patch(ctx, group, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

func claimed(group *operatorsv1.OperatorGroup) providedapi.Set {
	return providedapi.Parse(group.Annotations[providedapi.Annotation])
}

func find(groups []operatorsv1.OperatorGroup, like *operatorsv1.OperatorGroup) *operatorsv1.OperatorGroup {
	for i := range groups {
		if groups[i].Namespace == like.Namespace && groups[i].Name == like.Name {
			return &groups[i]
		}
	}
	return nil
}
