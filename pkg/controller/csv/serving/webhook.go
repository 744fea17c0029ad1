package serving

import (
	"fmt"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/render"
)

const (
	// LabelDescription names, on a webhook configuration, the description that it is for.
	LabelDescription = "olm.webhook-description-generate-name"
	// LabelDescriptionHash is the hash of that description.
	LabelDescriptionHash = "olm.webhook-description-hash"

	suffixLength = 10
)

// ValidateWebhooks finds webhook descriptions that would put the cluster or the
// lifecycle itself at risk, or cannot be told apart. The failure is Invalid.
func ValidateWebhooks(csv *v1alpha1.ClusterServiceVersion) error {
	names := map[string]bool{}
	for i := range csv.Spec.WebhookDefinitions {
		w := &csv.Spec.WebhookDefinitions[i]
		if names[w.GenerateName] {
			return failure.New(failure.Invalid, "CSV contains repeated WebhookDescription name")
		}
		names[w.GenerateName] = true
		for _, rule := range w.Rules {
			if text := forbidden(rule); text != "" {
				return failure.New(failure.Invalid, "%s", text)
			}
		}
	}
	return nil
}

func forbidden(rule admissionv1.RuleWithOperations) string {
	for _, group := range rule.APIGroups {
		switch group {
		case "*":
			return "webhook rules cannot include all groups"
		case v1alpha1.GroupName:
			return "webhook rules cannot include the OLM group"
		case admissionv1.GroupName:
			for _, resource := range []string{"*", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "mutatingwebhookconfigurations", "validatingwebhookconfigurations"} {
				if slices.Contains(rule.Resources, resource) {
					return "webhook rules cannot include MutatingWebhookConfiguration or ValidatingWebhookConfiguration resources"
				}
			}
		}
	}
	return ""
}

// Webhook returns the configuration object for a description of type Validating or
// Mutating. Its name follows from csv and description, so that it is never made twice.
func Webhook(csv *v1alpha1.ClusterServiceVersion, w *v1alpha1.WebhookDescription, selector *metav1.LabelSelector, ca []byte) (client.Object, error) {
	hash, err := render.Hash(w)
	if err != nil {
		return nil, err
	}
	meta := metav1.ObjectMeta{Labels: render.OwnerOf(csv).ManagedLabels()}
	meta.Labels[LabelDescription], meta.Labels[LabelDescriptionHash] = w.GenerateName, hash
	meta.Name = w.GenerateName + "-" + toLower(render.H224(csv.Namespace + "/" + csv.Name + "/" + w.GenerateName)[:suffixLength])
	if selector == nil {
		selector = &metav1.LabelSelector{}
	}
	apiVersion := admissionv1.SchemeGroupVersion.String()
	switch w.Type {
	case v1alpha1.ValidatingAdmissionWebhook:
		return &admissionv1.ValidatingWebhookConfiguration{
			TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "ValidatingWebhookConfiguration"}, ObjectMeta: meta,
			Webhooks: []admissionv1.ValidatingWebhook{w.GetValidatingWebhook(csv.Namespace, selector, ca)},
		}, nil
	case v1alpha1.MutatingAdmissionWebhook:
		return &admissionv1.MutatingWebhookConfiguration{
			TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "MutatingWebhookConfiguration"}, ObjectMeta: meta,
			Webhooks: []admissionv1.MutatingWebhook{w.GetMutatingWebhook(csv.Namespace, selector, ca)},
		}, nil
	default:
		return nil, fmt.Errorf("no configuration object for a webhook of type %q", w.Type)
	}
}

// toLower makes base62 fit for an object name.
func toLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
