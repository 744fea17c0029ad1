package csv

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"chandler.dev/olm/pkg/controller/csv/phase"
	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/install/render"
)

// membership is what the OperatorGroups of the namespace mean for a ClusterServiceVersion.
type membership struct {
	group   *operatorsv1.OperatorGroup // the only one; nil if there is none or more
	verdict phase.Verdict
}

func (m membership) failForward() bool {
	return m.group != nil && m.group.UpgradeStrategy() == operatorsv1.UpgradeStrategyUnsafeFailForward
}

// join makes the ClusterServiceVersion a member of the OperatorGroup of its namespace:
// finalizer, annotations, and the claim of its APIs.
func (r *Reconciler) join(ctx context.Context, s *scope) (step.Outcome, error) {
	groups := &operatorsv1.OperatorGroupList{}
	if err := r.client.List(ctx, groups, client.InNamespace(s.csv.Namespace)); err != nil {
		return step.Stop(), err
	}
	s.group = memberOf(s.csv, groups.Items)
	if group := s.group.group; group != nil && group.Status.LastUpdated.IsZero() {
		return step.Stop(), nil // the watch of OperatorGroups reports when it has targets
	}
	if err := r.annotate(ctx, s.csv, s.group.group); err != nil {
		return step.Stop(), err
	}
	if s.group.verdict.Bad() || s.group.group == nil {
		return step.Continue(), nil
	}
	var err error
	s.group.verdict, err = r.claims.claim(ctx, s.csv, s.group.group)
	return step.Continue(), err
}

// memberOf decides whether csv can run under the OperatorGroups of its namespace.
func memberOf(csv *v1alpha1.ClusterServiceVersion, groups []operatorsv1.OperatorGroup) membership {
	switch len(groups) {
	case 0:
		return membership{verdict: phase.Verdict{Reason: v1alpha1.CSVReasonNoOperatorGroup, Message: fmt.Sprintf(
			"csv in namespace with no operatorgroups: create one OperatorGroup in namespace %q", csv.Namespace)}}
	case 1:
		group := &groups[0]
		return membership{group: group, verdict: supports(csv, group)}
	default:
		names := make([]string, len(groups))
		for i := range groups {
			names[i] = fmt.Sprintf("%q", groups[i].Name)
		}
		slices.Sort(names)
		return membership{verdict: phase.Verdict{Reason: v1alpha1.CSVReasonTooManyOperatorGroups, Message: fmt.Sprintf(
			"csv created in namespace with multiple operatorgroups, can't pick one automatically: keep one of %s and delete the others", strings.Join(names, ", "))}}
	}
}

// supports compares the targets of the group with the install modes of csv.
func supports(csv *v1alpha1.ClusterServiceVersion, group *operatorsv1.OperatorGroup) phase.Verdict {
	if len(group.Status.Namespaces) == 0 {
		return phase.Verdict{
			Reason:  v1alpha1.CSVReasonNoTargetNamespaces,
			Message: "no targetNamespaces are matched operatorgroups namespace selection",
		}
	}
	modes, err := v1alpha1.NewInstallModeSet(csv.Spec.InstallModes)
	if err != nil {
		return phase.Verdict{Reason: v1alpha1.CSVReasonInvalidInstallModes, Message: err.Error()}
	}
	if err := modes.Supports(csv.Namespace, strings.Split(group.BuildTargetNamespaces(), ",")); err != nil {
		return phase.Verdict{Reason: v1alpha1.CSVReasonUnsupportedOperatorGroup, Message: err.Error()}
	}
	return phase.Verdict{}
}

// annotate records the group on csv, from where pods learn their target namespaces, and
// adds the finalizer. Without a group the annotations of the last one stay.
func (r *Reconciler) annotate(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, group *operatorsv1.OperatorGroup) error {
	annotations := maps.Clone(csv.Annotations)
	if group != nil {
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[render.AnnotationOperatorGroup] = group.Name
		annotations[render.AnnotationOperatorNamespace] = group.Namespace
		if group.Status.Namespaces != nil {
			annotations[render.AnnotationTargetNamespaces] = group.BuildTargetNamespaces()
		}
	}
	before := csv.DeepCopy()
	if added := controllerutil.AddFinalizer(csv, Finalizer); !added && maps.Equal(annotations, csv.Annotations) {
		return nil
	}
	csv.Annotations = annotations
	// The finalizers of an object are one list: the patch must not drop what others add.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	// The reply would replace what the cache has left out and the status of this pass.
	reply := &v1alpha1.ClusterServiceVersion{ObjectMeta: *csv.ObjectMeta.DeepCopy()}
	body, err := patch.Data(csv)
	if err != nil {
		return err
	}
	if err := r.client.Patch(ctx, reply, client.RawPatch(patch.Type(), body)); err != nil {
		return err
	}
	csv.ObjectMeta = metav1.ObjectMeta{}
	reply.ObjectMeta.DeepCopyInto(&csv.ObjectMeta)
	r.memory.note(reply)
	return nil
}
