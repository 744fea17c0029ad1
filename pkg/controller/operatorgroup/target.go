package operatorgroup

import (
	"context"
	"slices"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/render"
)

const (
	// conditionInvalidTargets is ours: OLM only logs a target that cannot be.
	conditionInvalidTargets = "InvalidTargetNamespaces"
	reasonInvalidTargets    = "InvalidTarget"
	// labelOwner is the field manager of the label on a ServiceAccount that is not ours.
	labelOwner = client.FieldOwner("operator-lifecycle-manager")
)

// selects tells whether the group chooses namespaces by their labels.
func selects(group *operatorsv1.OperatorGroup) bool {
	s := group.Spec.Selector
	return len(group.Spec.TargetNamespaces) == 0 && s != nil && len(s.MatchLabels)+len(s.MatchExpressions) > 0
}

// targets returns the namespaces that the group selects, sorted; one empty name means all.
func targets(group *operatorsv1.OperatorGroup, namespaces []metav1.PartialObjectMetadata) ([]string, error) {
	if named := group.Spec.TargetNamespaces; len(named) > 0 {
		if slices.Contains(named, metav1.NamespaceAll) {
			return nil, failure.New(failure.Invalid, "TargetNamespaces cannot contain NamespaceAll: %v", named).
				WithHint("leave spec.targetNamespaces and spec.selector out to select all namespaces")
		}
		return slices.Sorted(slices.Values(named)), nil
	}
	if !selects(group) {
		return []string{metav1.NamespaceAll}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(group.Spec.Selector)
	if err != nil {
		return nil, failure.New(failure.Invalid, "spec.selector cannot be used: %v", err)
	}
	var selected []string
	for i := range namespaces {
		if selector.Matches(labels.Set(namespaces[i].Labels)) {
			selected = append(selected, namespaces[i].Name)
		}
	}
	slices.Sort(selected)
	return selected, nil
}

// count says on every group of a namespace that it is not the only one.
func (r *Reconciler) count(ctx context.Context, s *scope) (step.Outcome, error) {
	groups := &operatorsv1.OperatorGroupList{}
	if err := r.client.List(ctx, groups, client.InNamespace(s.group.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return step.Stop(), err
	}
	if len(groups.Items) <= 1 {
		meta.RemoveStatusCondition(&s.group.Status.Conditions, operatorsv1.MutlipleOperatorGroupCondition)
		return step.Continue(), nil
	}
	r.condition(s.group, operatorsv1.MutlipleOperatorGroupCondition, operatorsv1.MultipleOperatorGroupsReason,
		"Multiple OperatorGroup found in the same namespace")
	return step.Continue(), nil
}

// target records the namespaces that the group selects.
func (r *Reconciler) target(ctx context.Context, s *scope) (step.Outcome, error) {
	namespaces := &metav1.PartialObjectMetadataList{}
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if selects(s.group) {
		if err := r.client.List(ctx, namespaces, client.UnsafeDisableDeepCopy); err != nil {
			return step.Stop(), err
		}
	}
	selected, err := targets(s.group, namespaces.Items)
	if err != nil {
		s.failure = err
		r.condition(s.group, conditionInvalidTargets, reasonInvalidTargets, err.Error())
		return step.Continue(), nil
	}
	meta.RemoveStatusCondition(&s.group.Status.Conditions, conditionInvalidTargets)
	// Other writers order the set as they like; only a different set is a change.
	if !slices.Equal(slices.Sorted(slices.Values(s.group.Status.Namespaces)), selected) {
		s.group.Status.Namespaces = selected
	}
	return step.Continue(), nil
}

// findServiceAccount records the ServiceAccount with whose rights the group installs.
func (r *Reconciler) findServiceAccount(ctx context.Context, s *scope) (step.Outcome, error) {
	group := s.group
	if !group.IsServiceAccountSpecified() {
		group.Status.ServiceAccountRef = nil
		meta.RemoveStatusCondition(&group.Status.Conditions, operatorsv1.OperatorGroupServiceAccountCondition)
		return step.Continue(), nil
	}
	account := &corev1.ServiceAccount{}
	key := client.ObjectKey{Namespace: group.Namespace, Name: group.Spec.ServiceAccountName}
	err := r.client.Get(ctx, key, account)
	if apierrors.IsNotFound(err) {
		err = r.adopt(ctx, key, account)
	}
	if apierrors.IsNotFound(err) {
		group.Status.ServiceAccountRef = nil
		r.condition(group, operatorsv1.OperatorGroupServiceAccountCondition, operatorsv1.OperatorGroupServiceAccountReason,
			"ServiceAccount "+key.Name+" not found")
		s.failure = failure.New(failure.Waiting, "ServiceAccount %q of OperatorGroup %q does not exist", key.Name, group.Name)
		return step.Continue(), nil
	}
	if err != nil {
		return step.Stop(), err
	}
	meta.RemoveStatusCondition(&group.Status.Conditions, operatorsv1.OperatorGroupServiceAccountCondition)
	group.Status.ServiceAccountRef = &corev1.ObjectReference{
		APIVersion: "v1", Kind: "ServiceAccount", Namespace: account.Namespace, Name: account.Name, UID: account.UID,
	}
	return step.Continue(), nil
}

// adopt labels a ServiceAccount that a person made, so that its deletion is noticed.
func (r *Reconciler) adopt(ctx context.Context, key client.ObjectKey, account *corev1.ServiceAccount) error {
	if err := r.live.Get(ctx, key, account); err != nil {
		return err
	}
	labelled := &unstructured.Unstructured{}
	labelled.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ServiceAccount"))
	labelled.SetNamespace(key.Namespace)
	labelled.SetName(key.Name)
	labelled.SetLabels(map[string]string{render.LabelManaged: "true"})
	return r.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(labelled), labelOwner, client.ForceOwnership)
}

func (r *Reconciler) condition(group *operatorsv1.OperatorGroup, kind, reason, message string) {
	meta.SetStatusCondition(&group.Status.Conditions, metav1.Condition{
		Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(r.clock.Now()),
	})
}
