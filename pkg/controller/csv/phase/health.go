package phase

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"chandler.dev/olm/pkg/install/render"
)

// progressDeadlineExceeded is the reason of the condition Progressing of a Deployment
// that has given up.
const progressDeadlineExceeded = "ProgressDeadlineExceeded"

// Inspect compares the Deployments that a ClusterServiceVersion wants with those that
// exist and belong to it, and returns the state of the first that is not healthy. One
// that merely progresses gives way to one that is worse. annotations are those of the
// ClusterServiceVersion, which its pods must carry.
func Inspect(want, have []appsv1.Deployment, annotations map[string]string) Install {
	found := map[string]*appsv1.Deployment{}
	for i := range have {
		found[have[i].Name] = &have[i]
	}
	result := Install{Health: Healthy}
	for i := range want {
		state := inspect(&want[i], found[want[i].Name], annotations)
		switch {
		case state.Health == Healthy, state.Health == Progressing && result.Health == Progressing:
		case state.Health == Progressing:
			result = state
		default:
			return state
		}
	}
	return result
}

func inspect(want, have *appsv1.Deployment, annotations map[string]string) Install {
	if have == nil {
		return Install{Health: Missing, Message: "missing deployment with name=" + want.Name}
	}
	if text := outdated(want, have, annotations); text != "" {
		return Install{Health: Outdated, Message: text}
	}
	waiting := fmt.Sprintf("waiting for deployment %s to become ready: ", want.Name)
	if have.Generation > have.Status.ObservedGeneration {
		return Install{Health: Progressing, Message: waiting + fmt.Sprintf("waiting for spec update of deployment %q to be observed...", want.Name)}
	}
	if c := condition(have, appsv1.DeploymentProgressing); c != nil && c.Reason == progressDeadlineExceeded {
		return Install{Health: Expired, Message: fmt.Sprintf("deployment %s not ready before timeout: deployment %q exceeded its progress deadline", want.Name, want.Name)}
	}
	available := condition(have, appsv1.DeploymentAvailable)
	outdatedReplicas := have.Status.Replicas - have.Status.UpdatedReplicas
	switch {
	case available == nil:
		return Install{Health: Unavailable, Message: waiting + fmt.Sprintf("deployment %q not available: missing condition %q", want.Name, appsv1.DeploymentAvailable)}
	case available.Status != corev1.ConditionTrue:
		return Install{Health: Unavailable, Message: waiting + fmt.Sprintf("deployment %q not available: %s", want.Name, available.Message)}
	case outdatedReplicas > 0:
		return Install{Health: Progressing, Message: waiting + fmt.Sprintf("deployment %q waiting for %d outdated replica(s) to be terminated", want.Name, outdatedReplicas)}
	case have.Status.UpdatedReplicas > 0 && have.Status.AvailableReplicas == 0:
		// With maxUnavailable equal to the replicas, Available says nothing about pods.
		return Install{Health: Progressing, Message: waiting + fmt.Sprintf("deployment %q has no ready pod yet", want.Name)}
	default:
		return Install{Health: Healthy}
	}
}

// outdated says how have differs from want, empty if it does not.
func outdated(want, have *appsv1.Deployment, annotations map[string]string) string {
	switch oldHash, newHash := have.Labels[render.LabelDeploymentHash], want.Labels[render.LabelDeploymentHash]; {
	case oldHash == "":
		return fmt.Sprintf("deployment %s doesn't have a spec hash, update it", want.Name)
	case oldHash != newHash:
		return fmt.Sprintf("deployment changed old hash=%s, new hash=%s", oldHash, newHash)
	}
	if len(annotations) > 0 && len(have.Spec.Template.Annotations) == 0 {
		return "no annotations found on deployment"
	}
	for key, value := range annotations {
		switch got, ok := have.Spec.Template.Annotations[key]; {
		case !ok:
			return "annotations on deployment does not contain expected key: " + key
		case got != value:
			return fmt.Sprintf("unexpected annotation on deployment. Expected %s:%s, found %s:%s", key, value, key, got)
		}
	}
	return ""
}

func condition(d *appsv1.Deployment, kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range d.Status.Conditions {
		if d.Status.Conditions[i].Type == kind {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}
