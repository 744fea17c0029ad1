package csv

import (
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"

	"chandler.dev/olm/pkg/controller/csv/phase"
)

const (
	// component is the source of events, the same as in OLM.
	component = "operator-lifecycle-manager"
	// transition is the action of events: a ClusterServiceVersion entered a phase.
	transition = "Transition"
)

// announce tells that csv entered a phase.
func (r *Reconciler) announce(csv *v1alpha1.ClusterServiceVersion, d phase.Decision) {
	kind := corev1.EventTypeNormal
	if d.Phase == v1alpha1.CSVPhaseFailed {
		kind = corev1.EventTypeWarning
	}
	r.recorder.Eventf(csv, nil, kind, string(d.Reason), transition, "%s", d.Message)
}
