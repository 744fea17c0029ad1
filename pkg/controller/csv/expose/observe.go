package expose

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/phase"
	"chandler.dev/olm/pkg/controller/csv/serving"
	"chandler.dev/olm/pkg/install/render"
)

// Observe judges what the API server calls, and notes it in o.
func (r *Exposer) Observe(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s State, o *phase.Observation) error {
	if err := serving.ValidateWebhooks(csv); err != nil {
		o.Webhooks = phase.Verdict{Reason: v1alpha1.CSVReasonInvalidWebhookDescription, Message: err.Error()}
	}
	for _, e := range s.endpoints {
		switch problem := s.problem[e.Deployment]; problem {
		case serving.Fine:
		case serving.Expiring:
			o.Serving.Rotate = true
		default:
			o.Serving.Broken = fmt.Sprintf("certificate in secret %q %s", e.Secret(), problem)
		}
	}
	broken := o.Serving.Broken != ""
	if err := r.observeAdoption(ctx, csv, o); err != nil || len(s.endpoints) == 0 || broken {
		return err
	}
	var err error
	if o.Serving.Off, err = r.whatIsOff(ctx, csv, s); err != nil || o.Serving.Off != "" {
		return err
	}
	o.Serving.Unavailable, err = r.whatDoesNotAnswer(ctx, csv)
	return err
}

// observeAdoption finds owned APIServices that belong to somebody else.
func (r *Exposer) observeAdoption(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, o *phase.Observation) error {
	for _, desc := range csv.GetOwnedAPIServiceDescriptions() {
		api := &apiregistrationv1.APIService{}
		err := r.Client.Get(ctx, client.ObjectKey{Name: desc.GetName()}, api)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if !serving.Adoptable(csv, api, r.retiring(ctx)) {
			o.Serving.Broken, o.Serving.Unadoptable = desc.GetName()+" is unadoptable", true
			o.Ownership = phase.Verdict{Reason: v1alpha1.CSVReasonOwnerConflict, Message: "unable to adopt APIService"}
		}
	}
	return nil
}

// retiring tells of a ClusterServiceVersion whether it is on its way out.
func (r *Exposer) retiring(ctx context.Context) func(namespace, name string) bool {
	return func(namespace, name string) bool {
		other := &v1alpha1.ClusterServiceVersion{}
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, other)
		return apierrors.IsNotFound(err) || err == nil && phase.Retires(other.Status.Phase)
	}
}

// whatDoesNotAnswer says which owned API is registered but not available.
func (r *Exposer) whatDoesNotAnswer(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (string, error) {
	for _, desc := range csv.GetOwnedAPIServiceDescriptions() {
		api := &apiregistrationv1.APIService{}
		if err := r.Client.Get(ctx, client.ObjectKey{Name: desc.GetName()}, api); err != nil {
			return "", err
		}
		if !serving.Available(api) {
			return "apiServices not installed", nil
		}
	}
	return "", nil
}

// whatIsOff says which of the objects that let the API server call the pods is missing
// or differs; empty if none does. It asks the cache.
func (r *Exposer) whatIsOff(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s State) (string, error) {
	for _, off := range []func(context.Context, *v1alpha1.ClusterServiceVersion, State) (string, error){
		r.offSupport, r.offWebhooks, r.offAPIServices,
	} {
		if text, err := off(ctx, csv, s); text != "" || err != nil {
			return text, err
		}
	}
	return "", nil
}

func (r *Exposer) offSupport(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s State) (string, error) {
	for _, e := range s.endpoints {
		for _, obj := range serving.Support(csv, e) {
			kind := obj.GetObjectKind().GroupVersionKind().Kind
			switch same, err := r.hasSupport(ctx, s, obj); {
			case err != nil:
				return "", err
			case !same:
				return fmt.Sprintf("%s %q not installed", kind, obj.GetName()), nil
			}
		}
	}
	return "", nil
}

// hasSupport tells whether an object exists and is as wanted.
func (r *Exposer) hasSupport(ctx context.Context, s State, wanted client.Object) (bool, error) {
	have, ok := wanted.DeepCopyObject().(client.Object)
	if !ok {
		return false, fmt.Errorf("%T is no object", wanted)
	}
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(wanted), have); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	if service, ok := have.(*corev1.Service); ok && !serving.Leads(service, wanted) {
		return false, nil // a selector that has more than it should
	}
	return s.isAsWanted(have, wanted)
}

// isAsWanted compares an object from a cache, which may lack its kind and field
// managers, with what is wanted of it.
func (s State) isAsWanted(have, wanted client.Object) (bool, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(have)
	if err != nil {
		return false, err
	}
	live := &unstructured.Unstructured{Object: content}
	live.SetGroupVersionKind(wanted.GetObjectKind().GroupVersionKind())
	return s.Cluster.IsAsDesired(live, wanted)
}

func (r *Exposer) offWebhooks(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s State) (string, error) {
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

func (r *Exposer) offAPIServices(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s State) (string, error) {
	for _, desc := range csv.GetOwnedAPIServiceDescriptions() {
		have := &apiregistrationv1.APIService{}
		if err := client.IgnoreNotFound(r.Client.Get(ctx, client.ObjectKey{Name: desc.GetName()}, have)); err != nil {
			return "", err
		}
		if !serving.SameAPIService(serving.APIService(csv, desc, s.usable[desc.DeploymentName].CA), have) {
			return "apiServices not installed", nil
		}
	}
	return "", nil
}

func (r *Exposer) offWebhook(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, d *v1alpha1.WebhookDescription, s State, have serving.Configurations) (string, error) {
	ca := s.usable[d.DeploymentName].CA
	if d.Type != v1alpha1.ConversionWebhook {
		wanted, err := serving.Webhook(csv, d, s.selector, ca)
		if err != nil {
			return "", err
		}
		if !have.Has(wanted) {
			return "webhooks not installed", nil
		}
		found := have.For(wanted)
		wanted.SetName(found.GetName())
		if same, err := s.isAsWanted(found, wanted); !same || err != nil {
			return "webhooks not installed", err
		}
		return "", nil
	}
	for _, name := range d.ConversionCRDs {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := r.Client.Get(ctx, client.ObjectKey{Name: name}, crd); err != nil {
			return "conversionWebhook not ready", client.IgnoreNotFound(err)
		}
		if !serving.SameConversion(serving.Conversion(csv, d, ca), crd.Spec.Conversion) {
			return "conversionWebhook not ready", nil
		}
	}
	return "", nil
}

// webhooksOf returns the webhook configurations of csv, from the cache.
func (r *Exposer) webhooksOf(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (serving.Configurations, error) {
	if len(csv.Spec.WebhookDefinitions) == 0 && !hadWebhooks(csv) {
		return nil, nil
	}
	owner := client.MatchingLabels(render.OwnerOf(csv).Labels())
	validating := &admissionv1.ValidatingWebhookConfigurationList{}
	if err := r.Client.List(ctx, validating, owner); err != nil {
		return nil, err
	}
	mutating := &admissionv1.MutatingWebhookConfigurationList{}
	if err := r.Client.List(ctx, mutating, owner); err != nil {
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
