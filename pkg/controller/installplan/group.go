package installplan

import (
	"context"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
)

// checkGroup finds the ServiceAccount whose rights limit the plan.
func (r *Reconciler) checkGroup(ctx context.Context, s *scope) (step.Outcome, error) {
	groups := &operatorsv1.OperatorGroupList{}
	if err := r.o.Client.List(ctx, groups, client.InNamespace(s.plan.Namespace)); err != nil {
		return step.Stop(), err
	}
	group, err := managingGroup(groups.Items)
	if err != nil {
		return step.Stop(), err
	}
	ref, err := serviceAccountOf(group)
	if err != nil {
		return step.Stop(), err
	}
	s.group = group
	s.scoped = r.o.Cluster
	if ref == nil {
		return step.Continue(), nil
	}
	if !equality.Semantic.DeepEqual(s.plan.Status.AttenuatedServiceAccountRef, ref) {
		s.plan.Status.AttenuatedServiceAccountRef = ref
	}
	s.scoped, err = r.as(types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name})
	return step.Continue(), err
}

// managingGroup returns the one OperatorGroup that manages the namespace.
func managingGroup(groups []operatorsv1.OperatorGroup) (*operatorsv1.OperatorGroup, error) {
	var managing []*operatorsv1.OperatorGroup
	for i := range groups {
		if len(groups[i].Status.Namespaces) > 0 {
			managing = append(managing, &groups[i])
		}
	}
	switch {
	case len(managing) == 0:
		return nil, ungrouped(failure.New(failure.Blocked, "no operator group found that is managing this namespace").
			WithHint("create an OperatorGroup in the namespace"))
	case len(managing) > 1:
		return nil, ungrouped(failure.New(failure.Blocked, "more than one operator group(s) are managing this namespace count=%d", len(managing)).
			WithHint("delete all but one OperatorGroup of the namespace"))
	}
	return managing[0], nil
}

// serviceAccountOf returns the ServiceAccount of a group, nil if it names none.
func serviceAccountOf(group *operatorsv1.OperatorGroup) (*corev1.ObjectReference, error) {
	if group.Spec.ServiceAccountName == "" {
		return nil, nil //nolint:nilnil // no limit is an answer
	}
	if group.Status.ServiceAccountRef == nil {
		return nil, ungrouped(failure.New(failure.Blocked, "please make sure the service account exists. sa=%s operatorgroup=%s/%s",
			group.Spec.ServiceAccountName, group.Namespace, group.Name))
	}
	return group.Status.ServiceAccountRef, nil
}

// approve stops a plan that a person has to allow.
func (r *Reconciler) approve(_ context.Context, s *scope) (step.Outcome, error) {
	status := &s.plan.Status
	switch status.Phase {
	case v1alpha1.InstallPlanPhaseInstalling:
		return step.Continue(), nil
	case v1alpha1.InstallPlanPhaseRequiresApproval:
		if !s.plan.Spec.Approved && !isHeld(s.plan) {
			return step.Stop(), nil
		}
		status.Phase, status.Message = v1alpha1.InstallPlanPhaseInstalling, ""
		return step.Continue(), nil
	default:
		return step.Stop(), nil
	}
}

func ungrouped(err *failure.Error) error {
	return &verdict{reason: v1alpha1.InstallPlanReasonInstallCheckFailed, err: err}
}
