package installplan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/admission"
	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/render"
)

// ReasonRights is the reason of the condition Installed of a plan that waits for the
// approval of somebody who has the rights that it needs.
const ReasonRights v1alpha1.InstallPlanConditionReason = "RightsMissing"

// Authority decides whether plans stay within the rights of those who asked for them.
type Authority interface {
	// Judge returns the bundles that may not be installed. It fails with failure.Blocked
	// if it cannot tell who asked.
	Judge(context.Context, admission.Case) ([]admission.Judgement, error)
	// Requesters returns for whom a plan is.
	Requesters(context.Context, *v1alpha1.InstallPlan) ([]admission.Record, error)
}

// authorize holds a plan that would do or grant what neither those who asked for it nor
// the one who approved it may do or grant.
func (r *Reconciler) authorize(ctx context.Context, s *scope) (step.Outcome, error) {
	if r.o.Authority == nil || len(s.seen.Refusals) > 0 {
		return step.Continue(), nil
	}
	c, err := r.caseOf(ctx, s)
	if err != nil {
		return step.Stop(), err
	}
	refused, err := r.o.Authority.Judge(ctx, c)
	if failure.KindOf(err) == failure.Blocked && !r.o.Advisory {
		return step.Stop(), &verdict{reason: ReasonRights, err: unjudged(err)}
	}
	if err != nil {
		return step.Stop(), err
	}
	if len(refused) == 0 {
		return step.Continue(), nil
	}
	message := admission.Message(refused)
	if r.o.Advisory {
		r.warn(s.plan, string(ReasonRights), message)
		return step.Continue(), nil
	}
	return step.Stop(), &verdict{reason: ReasonRights, err: failure.New(failure.Blocked, "%s", message)}
}

// unjudged says that nobody can tell whose rights count.
func unjudged(err error) *failure.Error {
	e, ok := errors.AsType[*failure.Error](err)
	if !ok {
		return failure.New(failure.Blocked, "%s", err.Error())
	}
	return failure.New(failure.Blocked, "%s; %s", e.Message, e.Hint)
}

// authorizeUnpacked asks again before something is restored from a ConfigMap of v0, which
// others may have changed since the plan was executed.
func (r *Reconciler) authorizeUnpacked(ctx context.Context, s *scope) (step.Outcome, error) {
	for _, st := range s.plan.Status.Plan {
		var src source
		if json.Unmarshal([]byte(st.Resource.Manifest), &src) == nil && src.isUnpacked() {
			return r.authorize(ctx, s)
		}
	}
	return step.Continue(), nil
}

// isHeld tells whether a plan waits for somebody with more rights, and not because its
// Subscription wants to be asked.
func isHeld(plan *v1alpha1.InstallPlan) bool {
	return plan.Spec.Approval == v1alpha1.ApprovalAutomatic && plan.Status.Phase == v1alpha1.InstallPlanPhaseRequiresApproval &&
		plan.Status.GetCondition(v1alpha1.InstallPlanInstalled).Reason == ReasonRights
}

// hold takes the approval of a plan back and says what is missing. An Automatic plan goes
// on by itself when those who asked for it get the rights.
func (r *Reconciler) hold(ctx context.Context, s *scope, err error) (ctrl.Result, error) {
	if s.plan.Spec.Approved {
		held := s.plan.DeepCopy()
		held.Spec.Approved = false
		if err := r.o.Client.Patch(ctx, held, client.MergeFrom(s.plan)); err != nil {
			return ctrl.Result{}, fmt.Errorf("hold: %w", client.IgnoreNotFound(err))
		}
		r.warn(s.plan, string(ReasonRights), textOf(err))
		ctrl.LoggerFrom(ctx).Info("held", "reason", textOf(err))
	}
	s.plan.Status.Phase, s.plan.Status.Message = v1alpha1.InstallPlanPhaseRequiresApproval, textOf(err)
	r.setInstalled(&s.plan.Status, corev1.ConditionFalse, ReasonRights, textOf(err))
	return ctrl.Result{RequeueAfter: blockedRetry}, nil
}

// caseOf says what every operator of the plan needs.
func (r *Reconciler) caseOf(ctx context.Context, s *scope) (admission.Case, error) {
	c := admission.Case{Plan: s.plan, Settled: func(ctx context.Context, n admission.Need) (bool, error) { return r.isSettled(ctx, s, n) }}
	if s.scoped != r.o.Cluster {
		c.Group = s.group
	}
	var names []string
	for i := range s.items {
		if !slices.Contains(names, s.items[i].operator) {
			names = append(names, s.items[i].operator)
		}
	}
	for _, name := range names {
		b, err := r.bundleOf(ctx, s, name)
		if err != nil {
			return admission.Case{}, err
		}
		c.Bundles = append(c.Bundles, b)
	}
	return c, nil
}

func (r *Reconciler) bundleOf(ctx context.Context, s *scope, name string) (admission.Bundle, error) {
	o := admission.Operator{
		Namespace: s.plan.Namespace, CatalogNamespace: r.o.CatalogNamespace, Targets: s.group.Status.Namespaces,
		CSV: &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Name: name}},
	}
	b := admission.Bundle{Name: name}
	for i := range s.items {
		it := &s.items[i]
		if it.operator != name {
			continue
		}
		if it.manifest.Kind == render.KindCSV {
			if err := json.Unmarshal(it.manifest.JSON, o.CSV); err != nil {
				return b, failure.New(failure.Invalid, "ClusterServiceVersion %q is not valid", it.manifest.Name).WithHint("correct the manifest in the bundle")
			}
			b.Catalog, b.Package = originOf(s.plan.Status.Plan[i])
			continue
		}
		o.Objects = append(o.Objects, admission.Object{
			Manifest: it.manifest, Content: it.desired, Resource: it.resource, Namespaced: it.namespaced, Item: i,
		})
	}
	var err error
	if o.Predecessor, err = r.predecessorOf(ctx, o.CSV, s.plan.Namespace); err != nil {
		return b, err
	}
	b.Needs, err = admission.Needs(o)
	return b, err
}

// originOf returns the catalog and the package of a step.
func originOf(st *v1alpha1.Step) (types.NamespacedName, string) {
	var ref install.ContentRef
	if json.Unmarshal([]byte(st.Resource.Manifest), &ref) == nil && ref.Kind == install.ContentRefKind {
		return types.NamespacedName{Namespace: ref.CatalogNamespace, Name: ref.CatalogName}, ref.Package
	}
	return types.NamespacedName{Namespace: st.Resource.CatalogSourceNamespace, Name: st.Resource.CatalogSource}, ""
}

func (r *Reconciler) predecessorOf(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, namespace string) (*v1alpha1.ClusterServiceVersion, error) {
	if csv.Spec.Replaces == "" {
		return nil, nil //nolint:nilnil // that there is none is an answer
	}
	found := &v1alpha1.ClusterServiceVersion{}
	err := r.o.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: csv.Spec.Replaces}, found)
	if err != nil || found.IsCopied() {
		return nil, client.IgnoreNotFound(err)
	}
	return found, nil
}

// isSettled tells whether an object is there and not to be changed by the plan. That it
// belongs to an operator of the namespace is enough unless it grants something.
func (r *Reconciler) isSettled(ctx context.Context, s *scope, n admission.Need) (bool, error) {
	it := &s.items[n.Item]
	if it.manifest.Kind == render.KindCRD {
		desired, err := render.CRD(it.manifest)
		if err != nil {
			return false, err
		}
		live, err := r.o.Cluster.CRD(ctx, desired.Name)
		return live != nil && !render.NeedsSpec(live, desired, s.bringer(*it)), err
	}
	key := client.ObjectKey{Name: it.desired.GetName()}
	if it.namespaced {
		key.Namespace = s.plan.Namespace
	}
	if key.Name == "" {
		return false, nil
	}
	live, err := r.o.Cluster.Get(ctx, it.desired.GroupVersionKind(), key)
	if err != nil || live == nil {
		return false, err
	}
	if !n.Granted && isOwnedIn(live, s.plan.Namespace) {
		return true, nil
	}
	return r.o.Cluster.IsAsDesired(live, it.desired)
}

// isOwnedIn tells whether an object belongs to a ClusterServiceVersion of a namespace, by
// reference or, outside of namespaces where nobody else can write it, by labels.
func isOwnedIn(live *unstructured.Unstructured, namespace string) bool {
	if live.GetNamespace() == "" {
		labels := live.GetLabels()
		return labels[render.LabelOwnerKind] == render.KindCSV && labels[render.LabelOwnerNamespace] == namespace
	}
	return live.GetNamespace() == namespace && slices.ContainsFunc(live.GetOwnerReferences(), func(o metav1.OwnerReference) bool {
		return o.Kind == render.KindCSV
	})
}

// recordRequesters notes on a Subscription that the plan makes for whom it is, so that
// later versions of the dependency are not asked for by the lifecycle itself.
func (r *Reconciler) recordRequesters(ctx context.Context, s *scope, subscription *unstructured.Unstructured) error {
	var records []admission.Record
	if r.o.Authority != nil {
		var err error
		if records, err = r.o.Authority.Requesters(ctx, s.plan); err != nil {
			return err
		}
	}
	text, err := admission.WriteRecords(records)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	annotations := subscription.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[admission.AnnotationRequestedFor] = text
	subscription.SetAnnotations(annotations)
	return nil
}
