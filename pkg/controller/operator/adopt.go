package operator

import (
	"context"
	"encoding/json"
	"slices"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/install/kube"
	"chandler.dev/olm/pkg/install/render"
)

// ReconcileSubscription puts the label on a Subscription, the version that it
// installed and its plan, and takes it from plans of the past.
func (r *Reconciler) ReconcileSubscription(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	sub := &operatorsv1alpha1.Subscription{}
	if err := r.cache.Get(ctx, req.NamespacedName, sub); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if sub.Spec == nil || !sub.DeletionTimestamp.IsZero() || sub.Status.InstalledCSV == "" {
		return ctrl.Result{}, nil // what does not exist has no components
	}
	key := render.ComponentPrefix + render.ComponentName(sub.Spec.Package, sub.Namespace)
	if err := r.label(ctx, sub, key); err != nil {
		return ctrl.Result{}, err
	}
	csv := &operatorsv1alpha1.ClusterServiceVersion{}
	err := r.cache.Get(ctx, client.ObjectKey{Namespace: sub.Namespace, Name: sub.Status.InstalledCSV}, csv)
	if err == nil {
		err = r.label(ctx, csv, key)
	}
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.labelPlans(ctx, sub, key)
}

func (r *Reconciler) labelPlans(ctx context.Context, sub *operatorsv1alpha1.Subscription, key string) error {
	plans := &operatorsv1alpha1.InstallPlanList{}
	if err := r.cache.List(ctx, plans, client.InNamespace(sub.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range plans.Items {
		plan := &plans.Items[i]
		_, labelled := plan.Labels[key]
		current := sub.Status.InstallPlanRef != nil && sub.Status.InstallPlanRef.Name == plan.Name
		var err error
		switch {
		case current && !labelled:
			err = r.label(ctx, plan, key)
		case !current && labelled:
			err = r.patch(ctx, plan, map[string]any{key: nil})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ownersOf returns the versions that own an object.
func ownersOf(obj client.Object) (requests []reconcile.Request) {
	labels := obj.GetLabels()
	if labels[render.LabelOwnerKind] == operatorsv1alpha1.ClusterServiceVersionKind {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: labels[render.LabelOwnerNamespace], Name: labels[render.LabelOwner]}})
	}
	for _, ref := range obj.GetOwnerReferences() {
		if ref.Kind == operatorsv1alpha1.ClusterServiceVersionKind {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: obj.GetNamespace(), Name: ref.Name}})
		}
	}
	return requests
}

// ReconcileVersion puts the component labels of a version on what it owns.
func (r *Reconciler) ReconcileVersion(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	csv := &operatorsv1alpha1.ClusterServiceVersion{}
	if err := r.cache.Get(ctx, req.NamespacedName, csv); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	names := render.Components(csv.Labels)
	if len(names) == 0 || csv.IsCopied() || !csv.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	slices.Sort(names)
	for _, desc := range csv.Spec.CustomResourceDefinitions.Owned {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		err := r.cache.Get(ctx, client.ObjectKey{Name: desc.Name}, crd, client.UnsafeDisableDeepCopy)
		if err == nil {
			err = r.labelAll(ctx, crd, names)
		}
		if client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, err
		}
	}
	for _, k := range kinds() {
		if k.gvk == csvKind || k.gvk.Kind == "Subscription" || k.gvk.Kind == "InstallPlan" {
			continue // a Subscription says which of these belong to it
		}
		list := k.list()
		if err := r.cache.List(ctx, list, client.MatchingFields{ownerIndex: req.String()}, client.UnsafeDisableDeepCopy); err != nil {
			return ctrl.Result{}, err
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			if obj, ok := item.(client.Object); ok {
				return r.labelAll(ctx, obj, names)
			}
			return nil
		})
		if err != nil {
			return ctrl.Result{}, err
		}
	}
	return ctrl.Result{}, nil
}

// labelAll makes an object a component of the named operators.
func (r *Reconciler) labelAll(ctx context.Context, obj client.Object, names []string) error {
	missing := map[string]any{}
	for _, name := range names {
		if _, labelled := obj.GetLabels()[render.ComponentPrefix+name]; !labelled {
			missing[render.ComponentPrefix+name] = ""
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return r.patch(ctx, obj, missing)
}

func (r *Reconciler) label(ctx context.Context, obj client.Object, key string) error {
	if _, labelled := obj.GetLabels()[key]; labelled {
		return nil
	}
	return r.patch(ctx, obj, map[string]any{key: ""})
}

// patch sets labels, or takes those that are nil away, and touches nothing
// else. An object that is gone needs none.
func (r *Reconciler) patch(ctx context.Context, obj client.Object, labels map[string]any) error {
	gvk, err := apiutil.GVKForObject(obj, r.client.Scheme())
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		return err
	}
	target := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: obj.GetNamespace(), Name: obj.GetName()}}
	target.SetGroupVersionKind(gvk)
	return client.IgnoreNotFound(r.client.Patch(ctx, target, client.RawPatch(types.MergePatchType, body), client.FieldOwner(kube.FieldManager)))
}
