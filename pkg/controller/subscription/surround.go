package subscription

import (
	"context"
	"fmt"
	"slices"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/subscription/inventory"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
)

// surround adds to a problem which of the APIs in it the cluster has from
// elsewhere, and which belong to operators of other namespaces.
func (v *view) surround(ctx context.Context, p *resolver.Problem, f footprint, i *inventory.Inventory, reader client.Reader) error {
	concern := inventory.Concern{Group: v.group(), Required: f.required, Brought: f.brought}
	for _, csv := range v.csvs {
		concern.Installed = append(concern.Installed, apisOf(csv)...)
	}
	var errs error
	p.Cluster.APIs, p.Cluster.Taken = i.Around(concern, func(group types.NamespacedName, api registry.GVK) string {
		owner, err := ownerOf(ctx, reader, group, api)
		if err != nil {
			errs = err
		}
		return owner
	})
	return errs
}

// group is the one OperatorGroup of a namespace; nil if there is none.
func (v *view) group() *operatorsv1.OperatorGroup {
	if len(v.groups) != 1 {
		return nil
	}
	return v.groups[0]
}

// apisOf returns the APIs that an operator provides.
func apisOf(csv *v1alpha1.ClusterServiceVersion) (apis []registry.GVK) {
	for _, crd := range csv.Spec.CustomResourceDefinitions.Owned {
		apis = append(apis, registry.GVK{Group: groupOf(crd.Name), Version: crd.Version, Kind: crd.Kind})
	}
	for _, api := range csv.Spec.APIServiceDefinitions.Owned {
		apis = append(apis, registry.GVK{Group: api.Group, Version: api.Version, Kind: api.Kind})
	}
	return apis
}

// ownerOf names the operator that made an OperatorGroup list an API, or the
// group if none does that the reader may see.
func ownerOf(ctx context.Context, reader client.Reader, group types.NamespacedName, api registry.GVK) (string, error) {
	var csvs v1alpha1.ClusterServiceVersionList
	err := reader.List(ctx, &csvs, client.InNamespace(group.Namespace), client.UnsafeDisableDeepCopy)
	if err != nil && !apierrors.IsForbidden(err) {
		return "", err
	}
	var names []string
	for i := range csvs.Items {
		if csv := &csvs.Items[i]; !csv.IsCopied() && slices.Contains(apisOf(csv), api) {
			names = append(names, csv.Name)
		}
	}
	if len(names) == 0 {
		return fmt.Sprintf("operator group %s in namespace %s", group.Name, group.Namespace), nil
	}
	return fmt.Sprintf("operator %s in namespace %s", slices.Min(names), group.Namespace), nil
}
