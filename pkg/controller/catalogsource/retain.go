package catalogsource

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"

	"chandler.dev/olm/pkg/install"
)

// prune removes old content that no plan refers to, after content changed.
func (r *Reconciler) prune(ctx context.Context) error {
	r.mu.Lock()
	unpruned := r.unpruned
	r.unpruned = false
	r.mu.Unlock()
	if !unpruned {
		return nil
	}
	var plans v1alpha1.InstallPlanList
	err := r.options.Client.List(ctx, &plans)
	if err == nil {
		err = r.options.Snapshots.Prune(needed(plans.Items))
	}
	if err != nil {
		r.mu.Lock()
		r.unpruned = true
		r.mu.Unlock()
		return fmt.Errorf("prune snapshots: %w", err)
	}
	return nil
}

// needed returns the content that plans which are not finished refer to.
func needed(plans []v1alpha1.InstallPlan) (refs []install.ContentRef) {
	for _, plan := range plans {
		if plan.Status.Phase == v1alpha1.InstallPlanPhaseComplete {
			continue
		}
		for _, step := range plan.Status.Plan {
			var ref install.ContentRef
			if json.Unmarshal([]byte(step.Resource.Manifest), &ref) == nil && ref.Kind == install.ContentRefKind {
				refs = append(refs, ref)
			}
		}
	}
	return refs
}
