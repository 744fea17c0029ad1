package installplan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/preflight"
	"chandler.dev/olm/pkg/install/render"
)

// keptCRDs is the largest number of steps of a plan that keeps what it read
// until it writes; a larger one reads again, so that it stays small.
const keptCRDs = 64

// crdChange is a CustomResourceDefinition as it was read and checked, nil if
// there was none, and as a plan wants it.
type crdChange struct {
	live, desired *apiextensionsv1.CustomResourceDefinition
}

func (s *scope) keep(i int, live, desired *apiextensionsv1.CustomResourceDefinition) {
	if len(s.items) <= keptCRDs {
		s.items[i].change = &crdChange{live: live, desired: desired}
	}
}

// observeCRD looks at a CustomResourceDefinition, checks what changing it
// would do to existing objects, and says whether it has to be written.
func (r *Reconciler) observeCRD(ctx context.Context, s *scope, i int) error {
	it := &s.items[i]
	it.digest = digestOf(it.manifest.JSON)
	if settled, err := r.observeSettled(ctx, s, i); settled || err != nil {
		return err
	}
	desired, err := render.CRD(it.manifest)
	if err != nil {
		refusal, err := asFailure(err)
		s.refuse(i, refusal)
		return err
	}
	if refusal := preflight.NewCRD(desired); refusal != nil {
		s.refuse(i, refusal)
		return nil
	}
	live, err := r.o.Cluster.CRD(ctx, desired.Name)
	if err != nil {
		return err
	}
	if live == nil {
		refusal, err := r.checkNew(ctx, it.manifest, desired)
		s.refuse(i, refusal)
		if refusal == nil && err == nil {
			s.keep(i, nil, desired)
			s.record(i, install.Absent, metav1.Time{})
		}
		return err
	}
	by := s.bringer(*it)
	it.needsSpec = render.NeedsSpec(live, desired, by)
	refusal, err := r.checkChange(ctx, s, i, live, desired)
	if refusal != nil || err != nil {
		s.refuse(i, refusal)
		return err
	}
	state := install.Different
	if !it.needsSpec {
		r.settled.put(&live.ObjectMeta, it.digest)
		state = stateOf(live, render.RecordCRD(&live.ObjectMeta, &desired.ObjectMeta, by))
	} else {
		s.keep(i, live, desired)
	}
	s.record(i, state, live.CreationTimestamp)
	return nil
}

// checkNew refuses a CustomResourceDefinition that the API server would not
// create. What was converted has requirements to meet that its author did not
// know, so the API server is asked about it.
func (r *Reconciler) checkNew(ctx context.Context, m render.Manifest, desired *apiextensionsv1.CustomResourceDefinition) (*failure.Error, error) {
	if refusal := preflight.CreateCRD(m, desired); refusal != nil || !m.IsBetaCRD() {
		return refusal, nil
	}
	err := r.o.Cluster.TryCRD(ctx, desired)
	if failure.KindOf(err) == failure.Invalid {
		return preflight.RejectedCRD(m, err), nil
	}
	return nil, err
}

// observeSettled looks at a CustomResourceDefinition of which is known that
// its spec needs no change. That spares reading its schemas, here and in the
// API server, for every plan and every pass.
func (r *Reconciler) observeSettled(ctx context.Context, s *scope, i int) (bool, error) {
	it := &s.items[i]
	if !r.settled.knows(it.manifest.Name, it.digest) {
		return false, nil
	}
	key := client.ObjectKey{Name: it.manifest.Name}
	live, err := r.o.Cluster.GetMetadata(ctx, it.manifest.GroupVersionKind(), key)
	if err != nil || live == nil || !r.settled.has(&live.ObjectMeta, it.digest) {
		return false, err
	}
	head, err := render.HeadOf(it.manifest)
	if err != nil {
		return false, err
	}
	change := render.RecordCRD(&live.ObjectMeta, &head.Metadata, s.bringer(*it))
	cached := &apiextensionsv1.CustomResourceDefinition{}
	if err := r.o.Client.Get(ctx, key, cached, client.UnsafeDisableDeepCopy); client.IgnoreNotFound(err) != nil {
		return false, err
	}
	s.record(i, stateOf(cached, change), live.CreationTimestamp)
	return true, nil
}

func (s *scope) refuse(i int, refusal *failure.Error) {
	if refusal != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen.Refusals = append(s.seen.Refusals, refusal)
		s.seen.States[i] = install.Different
	}
}

// checkChange refuses changes that lose data or break somebody.
func (r *Reconciler) checkChange(ctx context.Context, s *scope, i int, live, desired *apiextensionsv1.CustomResourceDefinition) (*failure.Error, error) {
	by := s.bringer(s.items[i])
	if render.KeepsNewer(live, by) {
		return preflight.NewerCRD(live, desired, live.Annotations[render.AnnotationBroughtBy]), nil
	}
	if !s.items[i].needsSpec {
		return nil, nil
	}
	if refusal := preflight.ChangedCRD(live, desired); refusal != nil {
		return refusal, nil
	}
	if refusal, err := r.checkMigration(ctx, s, live, desired); refusal != nil || err != nil {
		return refusal, err
	}
	checks, err := preflight.ResourceChecks(live, desired)
	if err != nil {
		return nil, err
	}
	var refusal *failure.Error
	for _, check := range checks {
		if refusal, err = r.checkObjects(ctx, check.GVK, check.Object); refusal != nil || err != nil {
			s.awaits(check.GVK)
			break
		}
	}
	if (refusal != nil || err != nil) && isConverted(desired, by) {
		r.warn(s.plan, "CRDValidation", fmt.Sprintf("objects of %q are not known to fit its new schema; its webhook has to convert them", live.Name))
		return nil, nil
	}
	return refusal, err
}

// isConverted tells whether a webhook converts the objects, so that the schema
// is not the last word about them.
func isConverted(crd *apiextensionsv1.CustomResourceDefinition, by render.Bringer) bool {
	return by.Converts || crd.Spec.Conversion != nil && crd.Spec.Conversion.Strategy == apiextensionsv1.WebhookConverter
}

func stateOf(live *apiextensionsv1.CustomResourceDefinition, change render.CRDChange) install.State {
	switch {
	case !change.IsNothing():
		return install.Different
	case !isEstablished(live):
		return install.Waiting
	default:
		return install.Ready
	}
}

func isEstablished(crd *apiextensionsv1.CustomResourceDefinition) bool {
	found := 0
	for _, c := range crd.Status.Conditions {
		if (c.Type == apiextensionsv1.Established || c.Type == apiextensionsv1.NamesAccepted) && c.Status == apiextensionsv1.ConditionTrue {
			found++
		}
	}
	return found == 2
}

// applyCRD writes a CustomResourceDefinition with the rights of the lifecycle:
// an OperatorGroup's ServiceAccount needs none for it. It looks again under
// the lock, because another plan may just have brought the same.
func (r *Reconciler) applyCRD(ctx context.Context, s *scope, i int) error {
	it := &s.items[i]
	defer r.o.Cluster.LockCRD(it.manifest.Name)()
	if settled, err := r.observeSettled(ctx, s, i); err != nil {
		return err
	} else if settled {
		return r.recordCRD(ctx, s, i)
	}
	if change := it.change; change != nil {
		it.change = nil
		err := r.replaceCRD(ctx, s, i, *change)
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return r.writeCRD(ctx, s, i)
}

// writeCRD reads a CustomResourceDefinition and makes of it what the plan says.
func (r *Reconciler) writeCRD(ctx context.Context, s *scope, i int) error {
	it := &s.items[i]
	desired, err := render.CRD(it.manifest)
	if err != nil {
		return err
	}
	live, err := r.o.Cluster.CRD(ctx, desired.Name)
	if err != nil {
		return err
	}
	it.needsSpec = render.NeedsSpec(live, desired, s.bringer(*it))
	if live == nil {
		return r.replaceCRD(ctx, s, i, crdChange{desired: desired})
	}
	if refusal, err := r.checkChange(ctx, s, i, live, desired); err != nil || refusal != nil {
		s.refuse(i, refusal)
		return err
	}
	if !it.needsSpec {
		r.settled.put(&live.ObjectMeta, it.digest)
		return r.recordCRD(ctx, s, i)
	}
	return r.replaceCRD(ctx, s, i, crdChange{live: live, desired: desired})
}

func anyOperator(string) bool { return true }

func (r *Reconciler) createCRD(ctx context.Context, s *scope, i int, crd *apiextensionsv1.CustomResourceDefinition) error {
	if err := r.o.Cluster.CreateCRD(ctx, crd); err != nil {
		return s.rejected(i, err)
	}
	r.wrote(s, i, crd)
	return nil
}

// replaceCRD writes the change of a CustomResourceDefinition that was checked.
func (r *Reconciler) replaceCRD(ctx context.Context, s *scope, i int, change crdChange) error {
	by := s.bringer(s.items[i])
	if change.live == nil {
		return r.createCRD(ctx, s, i, render.ReplaceCRD(nil, change.desired, by, anyOperator))
	}
	live, err := r.migrate(ctx, change.live, change.desired, by)
	if err != nil {
		return err
	}
	var unknown error
	crd := render.ReplaceCRD(live, change.desired, by, func(name string) bool {
		alive, err := s.alive.ask(name, func() (bool, error) { return r.isAlive(ctx, name) })
		if err != nil {
			unknown = err
		}
		return alive
	})
	if unknown != nil {
		return unknown
	}
	if err := r.o.Cluster.UpdateCRD(ctx, crd); err != nil {
		return s.rejected(i, err)
	}
	r.wrote(s, i, crd)
	return nil
}

// wrote notes the API server's reply to a write.
func (r *Reconciler) wrote(s *scope, i int, crd *apiextensionsv1.CustomResourceDefinition) {
	r.settled.put(&crd.ObjectMeta, s.items[i].digest)
	s.wrote(i)
	state := install.Ready
	if !isEstablished(crd) {
		state = install.Waiting
	}
	s.record(i, state, crd.CreationTimestamp)
}

// recordCRD adds what a CustomResourceDefinition with the right spec lacks.
func (r *Reconciler) recordCRD(ctx context.Context, s *scope, i int) error {
	it := &s.items[i]
	head, err := render.HeadOf(it.manifest)
	if err != nil {
		return err
	}
	live, err := r.o.Cluster.GetMetadata(ctx, it.manifest.GroupVersionKind(), client.ObjectKey{Name: it.manifest.Name})
	if err != nil {
		return err
	}
	if live == nil {
		return failure.New(failure.Waiting, "CustomResourceDefinition %q was just deleted", it.manifest.Name)
	}
	change := render.RecordCRD(&live.ObjectMeta, &head.Metadata, s.bringer(*it))
	if !change.IsNothing() {
		if err := r.o.Cluster.AnnotateCRD(ctx, live.Name, change.Labels, change.Annotations); err != nil {
			return err
		}
	}
	// Whether it is served is seen when the plan looks again.
	s.seen.States[i] = install.Unknown
	return nil
}

// await stops a plan early that can only go on when the API server serves more
// of its CustomResourceDefinitions. That one of them is gone is found later.
func (r *Reconciler) await(ctx context.Context, s *scope) (step.Outcome, error) {
	for _, st := range s.plan.Status.Plan {
		if st.Status != v1alpha1.StepStatusWaitingForAPI {
			continue
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		err := r.o.Client.Get(ctx, client.ObjectKey{Name: st.Resource.Name}, crd, client.UnsafeDisableDeepCopy)
		switch {
		case apierrors.IsNotFound(err):
			return step.Continue(), nil
		case err != nil:
			return step.Stop(), err
		case !isEstablished(crd):
			return step.Stop(), nil
		}
	}
	return step.Continue(), nil
}

// isAlive tells whether a ClusterServiceVersion, named "<namespace>/<name>",
// exists and is not a copy, or a plan is about to make it. The plan is asked
// first: when it is over, its operator exists.
func (r *Reconciler) isAlive(ctx context.Context, name string) (bool, error) {
	namespace, csv, ok := strings.Cut(name, "/")
	if !ok {
		return false, nil
	}
	plans := &v1alpha1.InstallPlanList{}
	if err := r.o.Client.List(ctx, plans, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return false, err
	}
	for i := range plans.Items {
		if !isOver(&plans.Items[i]) && slices.Contains(plans.Items[i].Spec.ClusterServiceVersionNames, csv) {
			return true, nil
		}
	}
	m, err := r.o.Cluster.GetMetadata(ctx, v1alpha1.SchemeGroupVersion.WithKind(render.KindCSV), client.ObjectKey{Namespace: namespace, Name: csv})
	if err != nil || m == nil {
		return false, err
	}
	_, copied := m.Labels[render.LabelCopiedFrom]
	return !copied, nil
}
