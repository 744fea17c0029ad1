package installplan

import (
	"context"
	"errors"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/preflight"
	"chandler.dev/olm/pkg/install/render"
)

// checkMigration refuses if objects are stored in a version that goes away and
// would not be the same in the one that stays.
func (r *Reconciler) checkMigration(ctx context.Context, s *scope, live, desired *apiextensionsv1.CustomResourceDefinition) (*failure.Error, error) {
	lost := preflight.LostVersions(live, desired)
	if len(lost) == 0 {
		return nil, nil
	}
	m, err := preflight.MigrationOf(live, desired, lost)
	if refusal, ok := errors.AsType[*failure.Error](err); ok {
		return refusal, nil
	}
	if err != nil {
		return nil, err
	}
	refusal, err := r.checkObjects(ctx, m.GVK, m.Object)
	if refusal != nil {
		s.awaits(m.GVK)
	}
	return refusal, err
}

// migrate makes the API server forget the versions that desired no longer has:
// it stores all objects again in the version that desired names, while the old
// ones can still be read. Each of its steps is found again by looking at the
// CustomResourceDefinition, so that it may end at any time. It returns the
// CustomResourceDefinition as it is then.
func (r *Reconciler) migrate(ctx context.Context, live, desired *apiextensionsv1.CustomResourceDefinition, by render.Bringer) (*apiextensionsv1.CustomResourceDefinition, error) {
	if live == nil || render.KeepsNewer(live, by) {
		return live, nil
	}
	lost := preflight.LostVersions(live, desired)
	if len(lost) == 0 {
		return live, nil
	}
	if bridge := render.BridgeCRD(live, desired, lost, by); bridge != nil {
		if err := r.o.Cluster.UpdateCRD(ctx, bridge); err != nil {
			return nil, err
		}
		live = bridge
	}
	gvk := schema.GroupVersionKind{Group: live.Spec.Group, Version: storageVersion(live), Kind: live.Spec.Names.Kind}
	stores, err := r.o.Cluster.ShowsColumn(ctx, gvk, live.Spec.Names.Plural, render.BridgeColumn)
	if err != nil {
		return nil, err
	}
	if !stores {
		return nil, failure.New(failure.Waiting, "the cluster does not yet store objects of %q in version %s", live.Name, gvk.Version)
	}
	if err := r.o.Cluster.StoreAgain(ctx, gvk); err != nil {
		return nil, err
	}
	if err := r.o.Cluster.ForgetVersions(ctx, live, lost); err != nil {
		return nil, err
	}
	ctrl.LoggerFrom(ctx).Info("stored all objects in another version", "crd", live.Name, "version", gvk.Version, "forgotten", lost)
	return live, nil
}

func storageVersion(crd *apiextensionsv1.CustomResourceDefinition) string {
	for _, v := range crd.Spec.Versions {
		if v.Storage {
			return v.Name
		}
	}
	return ""
}
