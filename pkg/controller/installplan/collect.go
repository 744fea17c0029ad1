package installplan

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// keptPlans is how many plans of the same Subscriptions are kept.
const keptPlans = 5

// Surplus returns the plans that have been over for so long that nobody needs
// them: for each set of Subscriptions all but the newest five, lowest
// generation first. A plan that is not over is never among them, nor the
// newest of its Subscriptions.
func Surplus(plans []v1alpha1.InstallPlan) []v1alpha1.InstallPlan {
	groups := map[string][]v1alpha1.InstallPlan{}
	for _, plan := range plans {
		owners := make([]string, 0, len(plan.OwnerReferences))
		for _, ref := range plan.OwnerReferences {
			owners = append(owners, string(ref.UID))
		}
		key := strings.Join(owners, " ")
		groups[key] = append(groups[key], plan)
	}
	var surplus []v1alpha1.InstallPlan
	for _, group := range groups {
		slices.SortFunc(group, compareAge)
		for i := range max(0, len(group)-keptPlans) {
			if isOver(&group[i]) {
				surplus = append(surplus, group[i])
			}
		}
	}
	slices.SortFunc(surplus, compareAge)
	return surplus
}

func compareAge(a, b v1alpha1.InstallPlan) int {
	return cmp.Or(
		cmp.Compare(a.Spec.Generation, b.Spec.Generation),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.Name, b.Name),
	)
}

// collect deletes old plans of a namespace in which one has just ended.
func (r *Reconciler) collect(ctx context.Context, ended *v1alpha1.InstallPlan) {
	plans := &v1alpha1.InstallPlanList{}
	if err := r.o.Client.List(ctx, plans, client.InNamespace(ended.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list plans to delete old ones")
		return
	}
	for _, plan := range Surplus(plans.Items) {
		old := &v1alpha1.InstallPlan{}
		old.Name, old.Namespace, old.UID = plan.Name, plan.Namespace, plan.UID
		if err := r.o.Client.Delete(ctx, old, client.Preconditions{UID: &old.UID}); client.IgnoreNotFound(err) != nil {
			ctrl.LoggerFrom(ctx).Error(err, "cannot delete an old plan", "old", plan.Name)
			return
		}
		ctrl.LoggerFrom(ctx).Info("deleted an old plan", "old", plan.Name)
	}
}
