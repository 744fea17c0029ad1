package operatorgroup

import (
	"context"
	"maps"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/providedapi"
	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/install/render"
)

const maxNameLength = 253

// clusterRoles returns the three ClusterRoles that collect the rights to the APIs of the group.
func clusterRoles(group *operatorsv1.OperatorGroup) []rbacv1.ClusterRole {
	claimed := providedapi.Sorted(providedapi.Parse(group.Annotations[providedapi.Annotation]))
	owner := render.Owner{Kind: kind, Namespace: group.Namespace, Name: group.Name}
	roles := make([]rbacv1.ClusterRole, 0, len(providedapi.Suffixes))
	for _, suffix := range providedapi.Suffixes {
		role := rbacv1.ClusterRole{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
			ObjectMeta: metav1.ObjectMeta{Name: roleName(group, suffix), Labels: owner.ManagedLabels()},
		}
		for _, gvk := range claimed {
			if role.AggregationRule == nil {
				role.AggregationRule = &rbacv1.AggregationRule{}
			}
			role.AggregationRule.ClusterRoleSelectors = append(role.AggregationRule.ClusterRoleSelectors,
				metav1.LabelSelector{MatchLabels: map[string]string{providedapi.AggregationLabel(gvk, suffix): "true"}})
		}
		roles = append(roles, role)
	}
	return roles
}

func roleName(group *operatorsv1.OperatorGroup, suffix string) string {
	const prefix = "olm.og."
	tail := "." + suffix + "-" + render.H224(group.Namespace+"/"+group.Name+"/"+suffix)
	return prefix + group.Name[:min(len(group.Name), maxNameLength-len(prefix)-len(tail))] + tail
}

// aggregate keeps the ClusterRoles of the group as they must be. Their rules belong to
// the API server's aggregation.
func (r *Reconciler) aggregate(ctx context.Context, s *scope) (step.Outcome, error) {
	for _, wanted := range clusterRoles(s.group) {
		have := &rbacv1.ClusterRole{}
		err := r.client.Get(ctx, client.ObjectKeyFromObject(&wanted), have)
		if apierrors.IsNotFound(err) {
			err = r.client.Create(ctx, &wanted)
			if apierrors.IsAlreadyExists(err) {
				continue // the cache is about to deliver it
			}
			if err != nil {
				return step.Stop(), err
			}
			continue
		}
		if err != nil {
			return step.Stop(), err
		}
		labels := maps.Clone(have.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, wanted.Labels)
		if equality.Semantic.DeepEqual(have.AggregationRule, wanted.AggregationRule) && maps.Equal(labels, have.Labels) {
			continue
		}
		before := have.DeepCopy()
		have.AggregationRule, have.Labels = wanted.AggregationRule, labels
		if err := r.client.Patch(ctx, have, client.MergeFrom(before)); err != nil {
			return step.Stop(), client.IgnoreNotFound(err)
		}
	}
	return step.Continue(), nil
}

// forget deletes the ClusterRoles of a group that no longer exists.
func (r *Reconciler) forget(ctx context.Context, req ctrl.Request) error {
	owner := render.Owner{Kind: kind, Namespace: req.Namespace, Name: req.Name}
	roles := &rbacv1.ClusterRoleList{}
	if err := r.client.List(ctx, roles, client.MatchingLabels(owner.Labels())); err != nil {
		return err
	}
	for i := range roles.Items {
		if err := client.IgnoreNotFound(r.client.Delete(ctx, &roles.Items[i])); err != nil {
			return err
		}
	}
	return nil
}

// prune takes back the claims of APIs that no member provides any longer.
func (r *Reconciler) prune(ctx context.Context, s *scope) (step.Outcome, error) {
	annotation, exists := s.group.Annotations[providedapi.Annotation]
	if !exists || s.group.Spec.StaticProvidedAPIs {
		return step.Continue(), nil
	}
	csvs := &v1alpha1.ClusterServiceVersionList{}
	if err := r.client.List(ctx, csvs, client.InNamespace(s.group.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return step.Stop(), err
	}
	claimed := providedapi.Parse(annotation)
	kept, settled := stillProvided(claimed, csvs.Items)
	if !settled || providedapi.Format(kept) == annotation {
		return step.Continue(), nil
	}
	before := s.group.DeepCopy()
	s.group.Annotations[providedapi.Annotation] = providedapi.Format(kept)
	// Claims are added by others at the same time; theirs must not get lost.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	return step.Continue(), client.IgnoreNotFound(r.client.Patch(ctx, s.group, patch))
}

// stillProvided returns the claimed APIs that csvs provide. It is not settled while one
// of them has yet to claim its own.
func stillProvided(claimed providedapi.Set, csvs []v1alpha1.ClusterServiceVersion) (kept providedapi.Set, settled bool) {
	kept = providedapi.Set{}
	for i := range csvs {
		csv := &csvs[i]
		if csv.IsCopied() {
			continue
		}
		provided, err := providedapi.Of(csv)
		if err != nil || csv.Status.Reason == v1alpha1.CSVReasonInterOperatorGroupOwnerConflict {
			continue
		}
		waiting := csv.Status.Phase == v1alpha1.CSVPhaseNone || csv.Status.Phase == v1alpha1.CSVPhasePending
		if waiting && !claimed.IsSuperset(provided) {
			return nil, false
		}
		kept = kept.Union(provided.Intersection(claimed))
	}
	return kept, true
}
