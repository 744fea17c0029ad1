package subscription

import (
	"cmp"
	"context"
	"slices"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// readSubscriptions fills in the Subscriptions that count.
func (v *view) readSubscriptions(ctx context.Context, reader client.Reader) error {
	var subs v1alpha1.SubscriptionList
	if err := reader.List(ctx, &subs, client.InNamespace(v.namespace), client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range subs.Items {
		if sub := &subs.Items[i]; sub.DeletionTimestamp == nil && sub.Spec != nil {
			v.subscriptions = append(v.subscriptions, sub)
		}
	}
	slices.SortFunc(v.subscriptions, compareSubscriptions)
	return nil
}

func compareSubscriptions(a, b *v1alpha1.Subscription) int { return cmp.Compare(a.Name, b.Name) }

// readOthers fills in what else the namespace has.
func (v *view) readOthers(ctx context.Context, reader client.Reader) error {
	var (
		csvs   v1alpha1.ClusterServiceVersionList
		plans  v1alpha1.InstallPlanList
		groups operatorsv1.OperatorGroupList
	)
	for _, list := range []client.ObjectList{&csvs, &plans, &groups} {
		if err := reader.List(ctx, list, client.InNamespace(v.namespace), client.UnsafeDisableDeepCopy); err != nil {
			return err
		}
	}
	for i := range csvs.Items {
		if !csvs.Items[i].IsCopied() {
			v.csvs = append(v.csvs, &csvs.Items[i])
		}
	}
	v.plans, v.groups = pointers(plans.Items), pointers(groups.Items)
	slices.SortFunc(v.csvs, func(a, b *v1alpha1.ClusterServiceVersion) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(v.groups, func(a, b *operatorsv1.OperatorGroup) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

func pointers[T any](items []T) []*T {
	all := make([]*T, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}
