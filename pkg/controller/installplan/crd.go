package installplan

import (
	"context"
	"fmt"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/preflight"
	"chandler.dev/olm/pkg/install/render"
)

// observeCRD looks at a CustomResourceDefinition, checks what changing it
// would do to existing objects, and says whether it has to be written.
func (r *Reconciler) observeCRD(ctx context.Context, s *scope, i int) error {
	desired, err := render.CRD(s.items[i].manifest)
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
		s.record(i, install.Absent, desired.CreationTimestamp)
		return nil
	}
	by := s.bringer(s.items[i])
	change := render.ChangeCRD(live, desired, by, anyOperator)
	refusal, err := r.checkChange(ctx, s, live, desired, by)
	if refusal != nil || err != nil {
		s.refuse(i, refusal)
		return err
	}
	s.record(i, stateOf(live, change), live.CreationTimestamp)
	return nil
}

func (s *scope) refuse(i int, refusal *failure.Error) {
	if refusal != nil {
		s.seen.Refusals = append(s.seen.Refusals, refusal)
		s.seen.States[i] = install.Different
	}
}

func anyOperator(string) bool { return true }

// checkChange refuses changes that lose data or break somebody.
func (r *Reconciler) checkChange(ctx context.Context, s *scope, live, desired *apiextensionsv1.CustomResourceDefinition, by render.Bringer) (*failure.Error, error) {
	if render.KeepsNewer(live, by) {
		return preflight.NewerCRD(live, desired, live.Annotations[render.AnnotationBroughtBy]), nil
	}
	if !render.ChangeCRD(live, desired, by, anyOperator).Spec {
		return nil, nil
	}
	if refusal := preflight.ChangedCRD(live, desired); refusal != nil {
		return refusal, nil
	}
	if refusal, err := r.checkMigration(ctx, live, desired); refusal != nil || err != nil {
		return refusal, err
	}
	checks, err := preflight.ResourceChecks(live, desired)
	if err != nil {
		return nil, err
	}
	var refusal *failure.Error
	for _, check := range checks {
		if refusal, err = r.checkObjects(ctx, check.GVK, check.Object); refusal != nil || err != nil {
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
	desired, err := render.CRD(s.items[i].manifest)
	if err != nil {
		return err
	}
	defer r.o.Cluster.LockCRD(desired.Name)()
	live, err := r.o.Cluster.CRD(ctx, desired.Name)
	if err != nil {
		return err
	}
	by := s.bringer(s.items[i])
	if refusal, err := r.recheck(ctx, s, live, desired, by); err != nil || refusal != nil {
		s.refuse(i, refusal)
		return err
	}
	var unknown error
	if live, err = r.migrate(ctx, live, desired, by); err != nil {
		return err
	}
	change := render.ChangeCRD(live, desired, by, func(name string) bool {
		alive, err := r.isAlive(ctx, name)
		if err != nil {
			unknown = err
		}
		return alive
	})
	result := change.Write
	switch {
	case unknown != nil:
		return unknown
	case change.Spec && live == nil:
		err = r.o.Cluster.CreateCRD(ctx, change.Write)
	case change.Spec:
		err = r.o.Cluster.UpdateCRD(ctx, change.Write)
	case !change.IsNothing():
		result = live
		err = r.o.Cluster.AnnotateCRD(ctx, live.Name, change.Labels, change.Annotations)
	default:
		result = live
	}
	if err != nil {
		return err
	}
	state := install.Ready
	if !isEstablished(result) {
		state = install.Waiting
	}
	s.record(i, state, result.CreationTimestamp)
	return nil
}

func (r *Reconciler) recheck(ctx context.Context, s *scope, live, desired *apiextensionsv1.CustomResourceDefinition, by render.Bringer) (*failure.Error, error) {
	if live == nil {
		return nil, nil
	}
	return r.checkChange(ctx, s, live, desired, by)
}

// isAlive tells whether a ClusterServiceVersion, named "<namespace>/<name>",
// exists and is not a copy.
func (r *Reconciler) isAlive(ctx context.Context, name string) (bool, error) {
	namespace, csv, ok := strings.Cut(name, "/")
	if !ok {
		return false, nil
	}
	m, err := r.o.Cluster.GetMetadata(ctx, v1alpha1.SchemeGroupVersion.WithKind(render.KindCSV), client.ObjectKey{Namespace: namespace, Name: csv})
	if err != nil || m == nil {
		return false, err
	}
	_, copied := m.Labels[render.LabelCopiedFrom]
	return !copied, nil
}
