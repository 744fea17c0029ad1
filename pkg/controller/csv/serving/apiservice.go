package serving

import (
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"chandler.dev/olm/pkg/install/render"
)

const (
	groupPriorityMinimum = 2000
	versionPriority      = 15
)

// APIService returns the registration of an API that csv owns.
func APIService(csv *v1alpha1.ClusterServiceVersion, desc v1alpha1.APIServiceDescription, ca []byte) *apiregistrationv1.APIService {
	port := desc.ContainerPort
	if port == 0 {
		port = defaultPort
	}
	return &apiregistrationv1.APIService{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiregistrationv1.SchemeGroupVersion.String(), Kind: "APIService"},
		ObjectMeta: metav1.ObjectMeta{Name: desc.GetName(), Labels: render.OwnerOf(csv).ManagedLabels()},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: desc.Group, Version: desc.Version,
			GroupPriorityMinimum: groupPriorityMinimum, VersionPriority: versionPriority,
			CABundle: ca,
			Service:  &apiregistrationv1.ServiceReference{Namespace: csv.Namespace, Name: serviceName(desc.DeploymentName), Port: &port},
		},
	}
}

// Adoptable tells whether csv may take over an existing APIService: its own, that of the
// version it replaces, or that of a version on its way out, which retiring tells.
func Adoptable(csv *v1alpha1.ClusterServiceVersion, api *apiregistrationv1.APIService, retiring func(namespace, name string) bool) bool {
	owner := api.Labels
	if owner[render.LabelOwnerKind] != v1alpha1.ClusterServiceVersionKind || owner[render.LabelOwner] == "" {
		return false
	}
	namespace, name := owner[render.LabelOwnerNamespace], owner[render.LabelOwner]
	if namespace == csv.Namespace && (name == csv.Name || name == csv.Spec.Replaces) {
		return true
	}
	return retiring(namespace, name)
}

// Available tells whether the API server reaches what serves an APIService.
func Available(api *apiregistrationv1.APIService) bool {
	for _, c := range api.Status.Conditions {
		if c.Type == apiregistrationv1.Available {
			return c.Status == apiregistrationv1.ConditionTrue
		}
	}
	return false
}
