package csv

import (
	"context"
	"maps"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/providedapi"
	"chandler.dev/olm/pkg/install/kube"
)

// rolesAtOnce is how many ClusterRoles of one ClusterServiceVersion are written
// at the same time.
const rolesAtOnce = 8

// openAPIs gives the holders of the cluster's default roles their rights to the APIs of
// a Succeeded ClusterServiceVersion.
func (r *Reconciler) openAPIs(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) error {
	resources, err := r.resourcesOf(ctx, csv)
	if err != nil {
		return err
	}
	// All at once: the cluster's own controllers then aggregate them once and
	// not again and again.
	var roles errgroup.Group
	roles.SetLimit(rolesAtOnce)
	for _, resource := range resources {
		for _, wanted := range providedapi.Roles(resource) {
			roles.Go(func() error { return r.ensureRole(ctx, &wanted) })
		}
	}
	return roles.Wait()
}

// ensureRole makes a ClusterRole be as wanted. One that the cache does not have is
// created without asking first.
func (r *Reconciler) ensureRole(ctx context.Context, wanted *rbacv1.ClusterRole) error {
	have := &rbacv1.ClusterRole{}
	err := r.client.Get(ctx, client.ObjectKeyFromObject(wanted), have)
	if err == nil && sameRole(wanted, have) {
		return nil
	}
	if apierrors.IsNotFound(err) {
		err = r.client.Create(ctx, wanted.DeepCopy(), client.FieldOwner(kube.FieldManager))
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
	} else if err != nil {
		return err
	}
	_, err = r.scopes.full.Ensure(ctx, wanted)
	return err
}

// resourcesOf returns the APIs of csv that exist.
func (r *Reconciler) resourcesOf(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) ([]providedapi.Resource, error) {
	var resources []providedapi.Resource
	for _, desc := range csv.Spec.CustomResourceDefinitions.Owned {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		err := r.client.Get(ctx, client.ObjectKey{Name: desc.Name}, crd)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		resources = append(resources, providedapi.Resource{
			GroupVersionKind: schema.GroupVersionKind{Group: crd.Spec.Group, Version: desc.Version, Kind: desc.Kind},
			Name:             crd.Name, Plural: crd.Spec.Names.Plural,
			Owner: ownerReference(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"), crd),
		})
	}
	for _, desc := range csv.GetOwnedAPIServiceDescriptions() {
		api := &apiregistrationv1.APIService{}
		err := r.client.Get(ctx, client.ObjectKey{Name: desc.GetName()}, api)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		resources = append(resources, providedapi.Resource{
			GroupVersionKind: schema.GroupVersionKind{Group: desc.Group, Version: desc.Version, Kind: desc.Kind},
			Name:             desc.Name, Plural: desc.Name,
			Owner: ownerReference(apiregistrationv1.SchemeGroupVersion.WithKind("APIService"), api),
		})
	}
	return resources, nil
}

func ownerReference(gvk schema.GroupVersionKind, obj client.Object) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Name: obj.GetName(), UID: obj.GetUID(),
		Controller: new(false), BlockOwnerDeletion: new(false),
	}
}

func sameRole(wanted, have *rbacv1.ClusterRole) bool {
	labels := maps.Clone(have.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, wanted.Labels)
	return equality.Semantic.DeepEqual(wanted.Rules, have.Rules) && maps.Equal(labels, have.Labels)
}
