package installplan

import (
	"context"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/preflight"
	"chandler.dev/olm/pkg/install/render"
)

// preflight looks at every object of the plan before any is written: its kind,
// its API, its manifest and, for CustomResourceDefinitions, the objects that
// exist. What will never work is a refusal; an API that may still come is an
// error.
func (r *Reconciler) preflight(ctx context.Context, s *scope) (step.Outcome, error) {
	brought := broughtAPIs(s)
	var unserved error
	for i := range s.items {
		refusal, err := r.check(ctx, s, i, brought)
		if err != nil {
			return step.Stop(), err
		}
		switch {
		case refusal == nil:
		case refusal.Kind == failure.NotFound:
			unserved = refusal
		default:
			s.seen.Refusals = append(s.seen.Refusals, refusal)
		}
	}
	s.seen.States = make([]install.State, len(s.items))
	switch {
	case len(s.seen.Refusals) > 0:
		return step.Continue(), nil
	case unserved != nil:
		return step.Stop(), unserved
	}
	return step.Continue(), r.checkRights(ctx, s)
}

// broughtAPIs returns the kinds that the plan's own CustomResourceDefinitions
// define, and whether they are namespaced.
func broughtAPIs(s *scope) map[schema.GroupVersionKind]bool {
	brought := map[schema.GroupVersionKind]bool{}
	for _, it := range s.items {
		if it.manifest.Kind != render.KindCRD {
			continue
		}
		head, err := render.HeadOf(it.manifest)
		if err != nil {
			continue // the check of the step says so
		}
		for _, v := range head.Spec.Versions {
			brought[schema.GroupVersionKind{Group: head.Spec.Group, Version: v.Name, Kind: head.Spec.Names.Kind}] = head.Spec.Scope == "Namespaced"
		}
	}
	return brought
}

func (r *Reconciler) check(ctx context.Context, s *scope, i int, brought map[schema.GroupVersionKind]bool) (*failure.Error, error) {
	it := &s.items[i]
	if refusal := preflight.Kind(it.manifest); refusal != nil {
		s.plan.Status.Plan[i].Status = v1alpha1.StepStatusUnsupportedResource
		return refusal, nil
	}
	if it.manifest.IsBetaCRD() && !r.o.ConvertDefinitions {
		return preflight.BetaCRD(it.manifest), nil
	}
	service, err := r.serviceOf(it, brought)
	if err != nil {
		return nil, err
	}
	if refusal := preflight.API(it.manifest, service); refusal != nil {
		return refusal, nil
	}
	if it.manifest.Kind == render.KindCRD {
		return nil, nil
	}
	it.desired, err = it.manifest.Object()
	if err != nil {
		return asFailure(err)
	}
	if it.manifest.Kind == render.KindSecret {
		return nil, r.copySecret(ctx, it)
	}
	return nil, nil
}

// serviceOf looks up the API of an item and whether it is namespaced.
func (r *Reconciler) serviceOf(it *item, brought map[schema.GroupVersionKind]bool) (preflight.Service, error) {
	gvk := it.manifest.GroupVersionKind()
	if namespaced, ok := brought[gvk]; ok {
		it.namespaced = namespaced
		return preflight.Served, nil
	}
	api, err := r.o.Cluster.API(gvk)
	if err == nil {
		it.namespaced, it.resource = api.Namespaced, api.Resource
		return preflight.Served, nil
	}
	if failure.KindOf(err) != failure.NotFound {
		return preflight.Unserved, err
	}
	other, err := r.o.Cluster.HasOtherVersion(gvk.GroupKind())
	if other {
		return preflight.OtherVersion, err
	}
	return preflight.Unserved, err
}

func asFailure(err error) (*failure.Error, error) {
	if failure.KindOf(err) != failure.Invalid {
		return nil, err
	}
	return failure.New(failure.Invalid, "%s", err.Error()).WithHint("correct the manifest in the bundle"), nil
}

// copySecret turns a step of kind Secret, which names a Secret of the catalog
// namespace, into its copy.
func (r *Reconciler) copySecret(ctx context.Context, it *item) error {
	key := client.ObjectKey{Namespace: r.o.CatalogNamespace, Name: it.manifest.Name}
	from, err := r.o.Cluster.Get(ctx, corev1.SchemeGroupVersion.WithKind(render.KindSecret), key)
	if err != nil {
		return err
	}
	if from == nil {
		return failure.New(failure.NotFound, "secret %s does not exist - the plan copies it from namespace %q", key.Name, key.Namespace).
			WithHint("create it there")
	}
	copied := &unstructured.Unstructured{Object: map[string]any{"type": from.Object["type"], "data": from.Object["data"]}}
	copied.SetGroupVersionKind(from.GroupVersionKind())
	copied.SetName(key.Name)
	it.desired = copied
	return nil
}

// checkObjects refuses if check refuses one of the objects of a kind.
func (r *Reconciler) checkObjects(ctx context.Context, gvk schema.GroupVersionKind, check func(*unstructured.Unstructured) *failure.Error) (*failure.Error, error) {
	var refusal *failure.Error
	err := r.o.Cluster.EachResource(ctx, gvk, func(u *unstructured.Unstructured) error {
		if refusal = check(u); refusal != nil {
			return refusal
		}
		return nil
	})
	if refusal != nil {
		return refusal, nil
	}
	return nil, err
}
