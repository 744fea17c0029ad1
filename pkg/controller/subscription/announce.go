package subscription

import (
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
)

// maxNote is the longest text of an event that the API server takes.
const maxNote = 1000

// announce makes an event of every problem that is new.
func (r *Reconciler) announce(before, after *v1alpha1.Subscription, w verdict) {
	if r.options.Recorder == nil {
		return
	}
	for _, kind := range []v1alpha1.SubscriptionConditionType{
		v1alpha1.SubscriptionResolutionFailed, v1alpha1.SubscriptionBundleUnpackFailed, v1alpha1.SubscriptionInstallPlanFailed,
	} {
		c := after.Status.GetCondition(kind)
		if c.Status != corev1.ConditionTrue || before.Status.GetCondition(kind).Equals(c) {
			continue
		}
		text := c.Message
		if kind == v1alpha1.SubscriptionResolutionFailed && w.refusal != nil && w.refusal.text != "" {
			text = w.refusal.text
		}
		r.options.Recorder.Eventf(after, nil, corev1.EventTypeWarning, string(kind), "Resolve", "%s", text[:min(len(text), maxNote)])
	}
}
