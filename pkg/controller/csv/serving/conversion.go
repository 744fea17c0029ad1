package serving

import (
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/ptr"

	"chandler.dev/olm/pkg/failure"
)

// ConversionCRDs returns the names of the CRDs that csv converts, sorted.
func ConversionCRDs(csv *v1alpha1.ClusterServiceVersion) []string {
	var names []string
	for i := range csv.Spec.WebhookDefinitions {
		if w := &csv.Spec.WebhookDefinitions[i]; w.Type == v1alpha1.ConversionWebhook {
			names = append(names, w.ConversionCRDs...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ValidateConversions finds conversion webhooks that cannot be carried out. A CRD has one
// converter for the whole cluster, so its operator must be installed once. Invalid.
func ValidateConversions(csv *v1alpha1.ClusterServiceVersion) error {
	for i := range csv.Spec.WebhookDefinitions {
		w := &csv.Spec.WebhookDefinitions[i]
		if w.Type != v1alpha1.ConversionWebhook {
			continue
		}
		if !onlyAllNamespaces(csv) {
			return failure.New(failure.Invalid, "unable to manage conversion webhook: CSVs with conversion webhooks must support only AllNamespaces")
		}
		if len(w.ConversionCRDs) == 0 {
			return failure.New(failure.Invalid, "unable to manager conversion webhook: conversion webhook must have at least one CRD specified")
		}
		for _, name := range w.ConversionCRDs {
			if !csv.OwnsCRD(name) {
				return failure.New(failure.Invalid, "csv %s does not own CRD %s", csv.Name, name)
			}
		}
	}
	return nil
}

func onlyAllNamespaces(csv *v1alpha1.ClusterServiceVersion) bool {
	all := false
	for _, mode := range csv.Spec.InstallModes {
		if mode.Supported && mode.Type != v1alpha1.InstallModeTypeAllNamespaces {
			return false
		}
		all = all || mode.Supported
	}
	return all
}

// Conversion returns the stanza for the CRDs of a conversion webhook.
func Conversion(csv *v1alpha1.ClusterServiceVersion, w *v1alpha1.WebhookDescription, ca []byte) *apiextensionsv1.CustomResourceConversion {
	port := w.ContainerPort
	if port == 0 {
		port = defaultPort
	}
	return &apiextensionsv1.CustomResourceConversion{
		Strategy: apiextensionsv1.WebhookConverter,
		Webhook: &apiextensionsv1.WebhookConversion{
			ConversionReviewVersions: w.AdmissionReviewVersions,
			ClientConfig: &apiextensionsv1.WebhookClientConfig{
				CABundle: ca,
				Service: &apiextensionsv1.ServiceReference{
					Namespace: csv.Namespace, Name: serviceName(w.DeploymentName),
					Path: new(ptr.Deref(w.WebhookPath, "/")), Port: &port,
				},
			},
		},
	}
}

// ConvertsHere tells whether the stanza of a CRD leads to a Service of csv.
func ConvertsHere(csv *v1alpha1.ClusterServiceVersion, c *apiextensionsv1.CustomResourceConversion) bool {
	if c == nil || c.Webhook == nil || c.Webhook.ClientConfig == nil || c.Webhook.ClientConfig.Service == nil {
		return false
	}
	service := c.Webhook.ClientConfig.Service
	return service.Namespace == csv.Namespace && slices.ContainsFunc(csv.Spec.WebhookDefinitions, func(w v1alpha1.WebhookDescription) bool {
		return serviceName(w.DeploymentName) == service.Name
	})
}
