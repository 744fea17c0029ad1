package subscription

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/catalogsource"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/resolver"
)

// errStale says that the cache is behind what this process wrote.
var errStale = errors.New("the cache is behind this process")

// observe looks at a namespace. What it opened is closed by done, which is
// never nil.
func (r *Reconciler) observe(ctx context.Context, namespace string) (v *view, done func(), err error) {
	v = &view{namespace: namespace, kubeVersion: r.options.KubeVersion()}
	done = func() {
		for _, c := range v.catalogs {
			if c.snapshot != nil {
				c.snapshot.Close()
			}
		}
	}
	if err := r.observeObjects(ctx, v); err != nil || len(v.subscriptions) == 0 {
		return v, done, err
	}
	for _, sub := range v.subscriptions {
		if err := r.findPlan(ctx, v, sub); err != nil {
			return v, done, err
		}
	}
	slices.SortFunc(v.plans, comparePlans)
	for _, ns := range v.catalogNamespaces(r.options.GlobalNamespace) {
		if err := r.observeCatalogs(ctx, v, ns); err != nil {
			return v, done, err
		}
	}
	slices.SortFunc(v.catalogs, func(a, b catalog) int {
		return cmp.Or(cmp.Compare(a.ref.Namespace, b.ref.Namespace), cmp.Compare(a.ref.Name, b.ref.Name))
	})
	return v, done, nil
}

// observeObjects reads the objects of a namespace; nothing but the
// Subscriptions if there are none.
func (r *Reconciler) observeObjects(ctx context.Context, v *view) error {
	if err := v.readSubscriptions(ctx, r.options.Client); err != nil || len(v.subscriptions) == 0 {
		return err
	}
	if slices.ContainsFunc(v.subscriptions, r.written.isAhead) {
		return errStale
	}
	return v.readOthers(ctx, r.options.Client)
}

// findPlan makes sure that a plan that a Subscription waits for is really gone
// if the cache does not have it: making another one would install twice.
func (r *Reconciler) findPlan(ctx context.Context, v *view, sub *v1alpha1.Subscription) error {
	ref := sub.Status.InstallPlanRef
	if ref == nil || sub.Status.State != v1alpha1.SubscriptionStateUpgradePending || v.plan(ref.Name) != nil {
		return nil
	}
	plan := &v1alpha1.InstallPlan{}
	err := r.options.Live.Get(ctx, client.ObjectKey{Namespace: v.namespace, Name: ref.Name}, plan)
	if err == nil {
		v.plans = append(v.plans, plan)
	}
	return client.IgnoreNotFound(err)
}

// observeCatalogs adds the catalogs of a namespace with their snapshots.
func (r *Reconciler) observeCatalogs(ctx context.Context, v *view, namespace string) error {
	list := catalogsource.NewList()
	if err := r.options.Cached.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i := range list.Items {
		cs, err := catalogsource.Decode(&list.Items[i])
		if err != nil {
			continue // its own controller says so
		}
		c := catalogOfSource(cs)
		snapshot, err := r.options.Snapshots.Open(ctx, types.NamespacedName{Namespace: cs.Namespace, Name: cs.Name})
		switch {
		case err == nil:
			c.snapshot = snapshot
		case failure.KindOf(err) != failure.NotFound:
			return fmt.Errorf("catalog %s: %w", cs.Name, err)
		}
		v.catalogs = append(v.catalogs, c)
	}
	return nil
}

// catalogOfObject returns nil for what cannot be read.
func catalogOfObject(obj client.Object) *catalog {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	cs, err := catalogsource.Decode(u)
	if err != nil {
		return nil
	}
	c := catalogOfSource(cs)
	return &c
}

// catalogOfSource reads the health of a catalog from its status.
func catalogOfSource(cs *v1alpha1.CatalogSource) catalog {
	c := catalog{
		ref: resolver.CatalogRef{Namespace: cs.Namespace, Name: cs.Name}, uid: cs.UID, priority: cs.Spec.Priority,
		settled: cs.Status.Reason != "" || cs.Status.GRPCConnectionState != nil,
		refused: cs.Status.Reason == v1alpha1.CatalogSourceSpecInvalidError,
		healthy: cs.Status.Reason == "" || cs.Status.Reason == v1alpha1.CatalogSourceIntervalInvalidError,
	}
	if !c.healthy {
		c.problem = cs.Status.Message
	}
	return c
}
