// Package authority asks a cluster whose rights count for an InstallPlan, and whether
// they suffice.
package authority

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/admission"
	"chandler.dev/olm/pkg/controller/admission/policy"
	"chandler.dev/olm/pkg/failure"
)

// Probe asks the API server to make objects with a false record, without making them, and returns the record that it puts in its place: that of the user of c, in the
// epoch that is in force. It fails with failure.Blocked if nothing is put in its place.
func Probe(ctx context.Context, c client.Client, namespace string) (admission.Record, error) {
	forged, err := json.Marshal(admission.Record{Username: "nobody", Epoch: "none"})
	if err != nil {
		return admission.Record{}, err
	}
	meta := metav1.ObjectMeta{
		Namespace: namespace, GenerateName: "admission-probe-",
		Annotations: map[string]string{admission.AnnotationRequester: string(forged)},
	}
	var self admission.Record
	for _, obj := range []client.Object{ // one of each version: the API server learns about them one by one
		&operatorsv1.OperatorGroup{ObjectMeta: *meta.DeepCopy()},
		&v1alpha1.Subscription{
			ObjectMeta: meta,
			Spec:       &v1alpha1.SubscriptionSpec{Package: "probe", CatalogSource: "probe", CatalogSourceNamespace: namespace},
		},
	} {
		if err := c.Create(ctx, obj, client.DryRunAll); err != nil {
			return admission.Record{}, err
		}
		text := obj.GetAnnotations()[admission.AnnotationRequester]
		if text == string(forged) || json.Unmarshal([]byte(text), &self) != nil || self.Epoch == "" {
			return admission.Record{}, failure.New(failure.Blocked, "the API server does not record who asks for something").
				WithHint("run `olm setup`, which installs the policies that do")
		}
	}
	return self, nil
}

// probeLifetime is how long it is believed that the policies are in force.
const probeLifetime = time.Minute

// inForce returns the epoch of the policies, which must all be bound.
func (j *Judge) inForce(ctx context.Context, namespace string) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.epoch != "" && j.clock.Since(j.probed) < probeLifetime {
		return j.epoch, nil
	}
	self, err := Probe(ctx, j.client, namespace)
	if err != nil {
		return "", err
	}
	bound := &metav1.PartialObjectMetadataList{}
	bound.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicyBindingList"))
	if err := j.client.List(ctx, bound, client.MatchingLabels{admission.LabelPolicy: "true"}); err != nil {
		return "", err
	}
	for _, name := range policy.Guards() {
		if !slices.ContainsFunc(bound.Items, func(m metav1.PartialObjectMetadata) bool { return m.Name == name }) {
			return "", failure.New(failure.Blocked, "admission policy %q is not in force", name).WithHint("run `olm setup`, which installs it")
		}
	}
	j.epoch, j.probed = self.Epoch, j.clock.Now()
	return j.epoch, nil
}
