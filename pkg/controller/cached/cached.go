// Package cached says what the caches of a manager hold, so that the memory of
// the controller is proportional to what the lifecycle made, whatever else the
// cluster has.
package cached

import (
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/install/render"
)

// Objects are the cache options for the kinds that controllers read. They hold for
// everyone who reads through that manager's client:
//
//   - kinds that users also create are cached only with the label olm.managed=true;
//   - ClusterServiceVersions are cached without copies and without the fields that only
//     people read (description, icon, descriptors, links, related images). A client may
//     patch such an object, but must not Update it;
//   - CustomResourceDefinitions are cached without schemas, printer columns and the
//     annotations of others; who needs a schema reads from the API server.
func Objects() map[client.Object]cache.ByObject {
	managed := cache.ByObject{
		Label:     labels.SelectorFromSet(labels.Set{render.LabelManaged: "true"}),
		Transform: cache.TransformStripManagedFields(),
	}
	return map[client.Object]cache.ByObject{
		// Who set which field tells apart what an autoscaler may change and what nobody may.
		&appsv1.Deployment{}:                          {Label: managed.Label, Transform: keepObject},
		&corev1.ServiceAccount{}:                      managed,
		&rbacv1.Role{}:                                managed,
		&rbacv1.RoleBinding{}:                         managed,
		&rbacv1.ClusterRole{}:                         managed,
		&rbacv1.ClusterRoleBinding{}:                  managed,
		&corev1.Service{}:                             managed,
		&corev1.Secret{}:                              managed, // watched by metadata; read from the API server
		&corev1.ConfigMap{}:                           managed, // the same
		&admissionv1.ValidatingWebhookConfiguration{}: managed,
		&admissionv1.MutatingWebhookConfiguration{}:   managed,
		&v1alpha1.ClusterServiceVersion{}:             {Label: notCopied(), Transform: stripCSV},
		&apiextensionsv1.CustomResourceDefinition{}:   {Transform: stripCRD},
		&apiregistrationv1.APIService{}:               {Transform: cache.TransformStripManagedFields()},
	}
}

// keepObject leaves an object whole.
func keepObject(obj any) (any, error) { return obj, nil }

func notCopied() labels.Selector {
	requirement, err := labels.NewRequirement(render.LabelCopiedFrom, selection.DoesNotExist, nil)
	if err != nil { // the key is a constant that a test selects with
		return labels.Nothing()
	}
	return labels.NewSelector().Add(*requirement)
}

// stripCSV drops what no controller reads.
func stripCSV(obj any) (any, error) {
	csv, ok := obj.(*v1alpha1.ClusterServiceVersion)
	if !ok {
		return obj, nil
	}
	csv.ManagedFields = nil
	spec := &csv.Spec
	spec.Description, spec.Icon, spec.Links, spec.Keywords = "", nil, nil, nil
	spec.Maintainers, spec.RelatedImages = nil, nil
	for _, crds := range [][]v1alpha1.CRDDescription{spec.CustomResourceDefinitions.Owned, spec.CustomResourceDefinitions.Required} {
		for i := range crds {
			crds[i] = v1alpha1.CRDDescription{Name: crds[i].Name, Version: crds[i].Version, Kind: crds[i].Kind}
		}
	}
	for _, apis := range [][]v1alpha1.APIServiceDescription{spec.APIServiceDefinitions.Owned, spec.APIServiceDefinitions.Required} {
		for i := range apis {
			a := apis[i]
			apis[i] = v1alpha1.APIServiceDescription{
				Name: a.Name, Group: a.Group, Version: a.Version, Kind: a.Kind, DeploymentName: a.DeploymentName, ContainerPort: a.ContainerPort,
			}
		}
	}
	return csv, nil
}

// stripCRD keeps names, versions and conditions.
func stripCRD(obj any) (any, error) {
	crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return obj, nil
	}
	crd.ManagedFields = nil
	for key := range crd.Annotations {
		if !strings.HasPrefix(key, render.AlongsidePrefix) {
			delete(crd.Annotations, key)
		}
	}
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		v.Schema, v.AdditionalPrinterColumns, v.SelectableFields, v.Subresources = nil, nil, nil, nil
	}
	return crd, nil
}
