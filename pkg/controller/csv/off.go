package csv

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/serving"
	"chandler.dev/olm/pkg/install/render"
)

// whatIsOff says which of the objects that let the API server call the pods is missing
// or differs; empty if none does. It asks the cache.
func (r *Reconciler) whatIsOff(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s served) (string, error) {
	for _, off := range []func(context.Context, *v1alpha1.ClusterServiceVersion, served) (string, error){
		r.offSupport, r.offWebhooks, r.offAPIServices,
	} {
		if text, err := off(ctx, csv, s); text != "" || err != nil {
			return text, err
		}
	}
	return "", nil
}

func (r *Reconciler) offSupport(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s served) (string, error) {
	for _, e := range s.endpoints {
		for _, obj := range serving.Support(csv, e) {
			kind := obj.GetObjectKind().GroupVersionKind().Kind
			switch same, err := r.hasSupport(ctx, obj); {
			case err != nil:
				return "", err
			case !same:
				return fmt.Sprintf("%s %q not installed", kind, obj.GetName()), nil
			}
		}
	}
	return "", nil
}

// hasSupport tells whether an object exists, and if it is a Service, leads where it must.
func (r *Reconciler) hasSupport(ctx context.Context, wanted client.Object) (bool, error) {
	have, ok := wanted.DeepCopyObject().(client.Object)
	if !ok {
		return false, fmt.Errorf("%T is no object", wanted)
	}
	err := r.client.Get(ctx, client.ObjectKeyFromObject(wanted), have)
	if err != nil {
		return false, client.IgnoreNotFound(err)
	}
	if service, ok := have.(*corev1.Service); ok {
		return serving.Leads(service, wanted), nil
	}
	return true, nil
}

func (r *Reconciler) offWebhooks(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s served) (string, error) {
	have, err := r.webhooksOf(ctx, csv)
	if err != nil {
		return "", err
	}
	for i := range csv.Spec.WebhookDefinitions {
		text, err := r.offWebhook(ctx, csv, &csv.Spec.WebhookDefinitions[i], s, have)
		if text != "" || err != nil {
			return text, err
		}
	}
	if len(have.Undescribed(csv)) > 0 {
		return "webhooks not installed", nil
	}
	return "", nil
}

func (r *Reconciler) offAPIServices(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s served) (string, error) {
	for _, desc := range csv.GetOwnedAPIServiceDescriptions() {
		have := &apiregistrationv1.APIService{}
		if err := client.IgnoreNotFound(r.client.Get(ctx, client.ObjectKey{Name: desc.GetName()}, have)); err != nil {
			return "", err
		}
		if !serving.SameAPIService(serving.APIService(csv, desc, s.usable[desc.DeploymentName].CA), have) {
			return "apiServices not installed", nil
		}
	}
	return "", nil
}

func (r *Reconciler) offWebhook(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, d *v1alpha1.WebhookDescription, s served, have serving.Configurations) (string, error) {
	ca := s.usable[d.DeploymentName].CA
	if d.Type != v1alpha1.ConversionWebhook {
		wanted, err := serving.Webhook(csv, d, s.selector, ca)
		if err != nil || !have.Has(wanted) {
			return "webhooks not installed", err
		}
		return "", nil
	}
	for _, name := range d.ConversionCRDs {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := r.client.Get(ctx, client.ObjectKey{Name: name}, crd); err != nil {
			return "conversionWebhook not ready", client.IgnoreNotFound(err)
		}
		if !serving.SameConversion(serving.Conversion(csv, d, ca), crd.Spec.Conversion) {
			return "conversionWebhook not ready", nil
		}
	}
	return "", nil
}

// webhooksOf returns the webhook configurations of csv, from the cache.
func (r *Reconciler) webhooksOf(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (serving.Configurations, error) {
	if len(csv.Spec.WebhookDefinitions) == 0 && !hadWebhooks(csv) {
		return nil, nil
	}
	owner := client.MatchingLabels(render.OwnerOf(csv).Labels())
	validating := &admissionv1.ValidatingWebhookConfigurationList{}
	if err := r.client.List(ctx, validating, owner); err != nil {
		return nil, err
	}
	mutating := &admissionv1.MutatingWebhookConfigurationList{}
	if err := r.client.List(ctx, mutating, owner); err != nil {
		return nil, err
	}
	var all serving.Configurations
	for i := range validating.Items {
		all = append(all, &validating.Items[i])
	}
	for i := range mutating.Items {
		all = append(all, &mutating.Items[i])
	}
	slices.SortFunc(all, func(a, b client.Object) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all, nil
}

// hadWebhooks tells whether csv once served something.
func hadWebhooks(csv *v1alpha1.ClusterServiceVersion) bool { return csv.Status.CertsLastUpdated != nil }
