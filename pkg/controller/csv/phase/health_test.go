package phase_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"chandler.dev/olm/pkg/controller/csv/phase"
	"chandler.dev/olm/pkg/install/render"
)

func deployment(name string, change func(*appsv1.Deployment)) appsv1.Deployment {
	d := appsv1.Deployment{}
	d.Name, d.Generation, d.Labels = name, 2, map[string]string{render.LabelDeploymentHash: "h"}
	d.Spec.Template.Annotations = map[string]string{"a": "1", "more": "x"}
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: 2, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}, {Type: appsv1.DeploymentProgressing}},
	}
	change(&d)
	return d
}

func TestInspect(t *testing.T) {
	const waits = "waiting for deployment d to become ready: "
	tests := map[string]struct {
		change func(*appsv1.Deployment)
		want   phase.Install
	}{
		"healthy": {func(*appsv1.Deployment) {}, phase.Install{Health: phase.Healthy}},
		"scaled to nothing on purpose": {
			func(d *appsv1.Deployment) {
				d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.AvailableReplicas = 0, 0, 0
			}, phase.Install{Health: phase.Healthy},
		},
		"not yet observed": {
			func(d *appsv1.Deployment) { d.Status.ObservedGeneration = 1 },
			phase.Install{Health: phase.Progressing, Message: waits + `waiting for spec update of deployment "d" to be observed...`},
		},
		"old replicas": {
			func(d *appsv1.Deployment) { d.Status.Replicas = 3 },
			phase.Install{Health: phase.Progressing, Message: waits + `deployment "d" waiting for 2 outdated replica(s) to be terminated`},
		},
		"available by its own rules, but no pod is ready": {
			func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 0 },
			phase.Install{Health: phase.Progressing, Message: waits + `deployment "d" has no ready pod yet`},
		},
		"not available": {
			func(d *appsv1.Deployment) {
				d.Status.Conditions[0].Status, d.Status.Conditions[0].Message = corev1.ConditionFalse, "too few"
			},
			phase.Install{Health: phase.Unavailable, Message: waits + `deployment "d" not available: too few`},
		},
		"no condition": {
			func(d *appsv1.Deployment) { d.Status.Conditions = nil },
			phase.Install{Health: phase.Unavailable, Message: waits + `deployment "d" not available: missing condition "Available"`},
		},
		"gave up": {
			func(d *appsv1.Deployment) { d.Status.Conditions[1].Reason = "ProgressDeadlineExceeded" },
			phase.Install{Health: phase.Expired, Message: `deployment d not ready before timeout: deployment "d" exceeded its progress deadline`},
		},
		"without a hash": {
			func(d *appsv1.Deployment) { d.Labels = nil }, phase.Install{Health: phase.Outdated, Message: "deployment d doesn't have a spec hash, update it"},
		},
		"of another spec, though not available": {
			func(d *appsv1.Deployment) { d.Labels[render.LabelDeploymentHash], d.Status.Conditions = "old", nil },
			phase.Install{Health: phase.Outdated, Message: "deployment changed old hash=old, new hash=h"},
		},
		"no annotations": {
			func(d *appsv1.Deployment) { d.Spec.Template.Annotations = nil }, phase.Install{Health: phase.Outdated, Message: "no annotations found on deployment"},
		},
		"an annotation is missing": {
			func(d *appsv1.Deployment) { delete(d.Spec.Template.Annotations, "a") },
			phase.Install{Health: phase.Outdated, Message: "annotations on deployment does not contain expected key: a"},
		},
		"an annotation differs": {
			func(d *appsv1.Deployment) { d.Spec.Template.Annotations["a"] = "2" },
			phase.Install{Health: phase.Outdated, Message: "unexpected annotation on deployment. Expected a:1, found a:2"},
		},
		"another name": {
			func(d *appsv1.Deployment) { d.Name = "e" }, phase.Install{Health: phase.Missing, Message: "missing deployment with name=d"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wanted := []appsv1.Deployment{deployment("d", func(*appsv1.Deployment) {})}
			got := phase.Inspect(wanted, []appsv1.Deployment{deployment("d", tt.change)}, map[string]string{"a": "1"})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Inspect() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInspectPrefersWhatIsWorse(t *testing.T) {
	wanted := []appsv1.Deployment{deployment("a", func(*appsv1.Deployment) {}), deployment("b", func(*appsv1.Deployment) {})}
	rolling := deployment("a", func(d *appsv1.Deployment) { d.Status.Replicas = 2 })
	if got := phase.Inspect(wanted, []appsv1.Deployment{rolling}, nil); got.Health != phase.Missing {
		t.Errorf("Inspect() = %+v, want the missing one", got)
	}
	if got := phase.Inspect(wanted, []appsv1.Deployment{rolling, wanted[1]}, nil); got.Health != phase.Progressing {
		t.Errorf("Inspect() = %+v, want the progressing one", got)
	}
}

func TestPath(t *testing.T) {
	tests := map[string]struct {
		in   phase.Observation
		want []want
	}{
		"from nothing to its Deployments": {
			phase.Observation{Install: missing},
			[]want{{pending, "RequirementsUnknown", ""}, {installReady, "AllRequirementsMet", ""}, {installing, "InstallSucceeded", phase.Apply}},
		},
		"a lost Deployment": {
			phase.Observation{Phase: succeeded, Reason: "InstallSucceeded", Install: missing},
			[]want{
				{failed, "ComponentUnhealthy", ""},
				{pending, "NeedsReinstall", ""},
				{installReady, "AllRequirementsMet", ""},
				{installing, "InstallSucceeded", phase.Apply},
			},
		},
		"at rest": {
			phase.Observation{Phase: succeeded, Reason: "InstallSucceeded", Install: healthy}, []want{{succeeded, "InstallSucceeded", ""}},
		},
		"a retired version": {
			phase.Observation{Phase: succeeded, Successor: phase.Relative{Name: "v2", Phase: v1alpha1.CSVPhaseSucceeded}, Superseded: true},
			[]want{{replacing, "BeingReplaced", ""}, {deleting, "Replaced", ""}, {deleting, "Replaced", phase.Delete}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []want
			for _, d := range phase.Path(tt.in) {
				got = append(got, want{d.Phase, d.Reason, d.Do})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Path() (-want +got):\n%s", diff)
			}
		})
	}
}
