package serving

import (
	"maps"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Configurations are webhook configurations of one ClusterServiceVersion, by name.
type Configurations []client.Object

// For returns the configuration for the description that wanted is for; nil if there is
// none.
func (c Configurations) For(wanted client.Object) client.Object {
	for _, have := range c {
		if sameKind(have, wanted) && have.GetLabels()[LabelDescription] == wanted.GetLabels()[LabelDescription] {
			return have
		}
	}
	return nil
}

// Has tells whether one of c is for the same description as wanted, calls the same pods
// and sees the same namespaces.
func (c Configurations) Has(wanted client.Object) bool {
	found := c.For(wanted)
	if found == nil || found.GetLabels()[LabelDescriptionHash] != wanted.GetLabels()[LabelDescriptionHash] {
		return false
	}
	switch wanted := wanted.(type) {
	case *admissionv1.ValidatingWebhookConfiguration:
		have, ok := found.(*admissionv1.ValidatingWebhookConfiguration)
		return ok && len(have.Webhooks) == 1 && sameWebhook(
			&wanted.Webhooks[0].ClientConfig, &have.Webhooks[0].ClientConfig) &&
			equality.Semantic.DeepEqual(wanted.Webhooks[0].NamespaceSelector, have.Webhooks[0].NamespaceSelector)
	case *admissionv1.MutatingWebhookConfiguration:
		have, ok := found.(*admissionv1.MutatingWebhookConfiguration)
		return ok && len(have.Webhooks) == 1 && sameWebhook(
			&wanted.Webhooks[0].ClientConfig, &have.Webhooks[0].ClientConfig) &&
			equality.Semantic.DeepEqual(wanted.Webhooks[0].NamespaceSelector, have.Webhooks[0].NamespaceSelector)
	default:
		return false
	}
}

// Undescribed returns the configurations that csv has no description for, or a second
// one for the same description.
func (c Configurations) Undescribed(csv *v1alpha1.ClusterServiceVersion) []client.Object {
	seen := map[string]bool{}
	var stale []client.Object
	for _, have := range c {
		name := have.GetLabels()[LabelDescription]
		described := slices.ContainsFunc(csv.Spec.WebhookDefinitions, func(w v1alpha1.WebhookDescription) bool {
			return w.GenerateName == name && typeOf(have) == w.Type
		})
		if !described || seen[name] {
			stale = append(stale, have)
		}
		seen[name] = true
	}
	return stale
}

func typeOf(obj client.Object) v1alpha1.WebhookAdmissionType {
	if _, ok := obj.(*admissionv1.ValidatingWebhookConfiguration); ok {
		return v1alpha1.ValidatingAdmissionWebhook
	}
	return v1alpha1.MutatingAdmissionWebhook
}

func sameKind(a, b client.Object) bool { return typeOf(a) == typeOf(b) }

// sameWebhook compares what the label with the hash of the description does not cover.
func sameWebhook(wanted, have *admissionv1.WebhookClientConfig) bool {
	return string(wanted.CABundle) == string(have.CABundle) && have.Service != nil &&
		wanted.Service.Namespace == have.Service.Namespace && wanted.Service.Name == have.Service.Name
}

// SameConversion tells whether a CRD has the conversion stanza that is wanted.
func SameConversion(wanted, have *apiextensionsv1.CustomResourceConversion) bool {
	return equality.Semantic.DeepEqual(wanted, have)
}

// SameAPIService tells whether an APIService is as wanted; labels of others do not count.
func SameAPIService(wanted, have *apiregistrationv1.APIService) bool {
	labels := maps.Clone(have.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, wanted.Labels)
	return equality.Semantic.DeepEqual(wanted.Spec, have.Spec) && maps.Equal(labels, have.Labels)
}
