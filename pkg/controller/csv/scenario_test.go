package csv_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// deploys gives a version Deployments of these names.
func deploys(names ...string) func(*v1alpha1.ClusterServiceVersion) {
	return func(v *v1alpha1.ClusterServiceVersion) {
		v.Spec.InstallStrategy.StrategySpec.DeploymentSpecs = nil
		for _, name := range names {
			labels := map[string]string{"app": name}
			v.Spec.InstallStrategy.StrategySpec.DeploymentSpecs = append(v.Spec.InstallStrategy.StrategySpec.DeploymentSpecs, v1alpha1.StrategyDeploymentSpec{
				Name: name, Spec: appsv1.DeploymentSpec{
					Selector: &metav1.LabelSelector{MatchLabels: labels},
					Template: corev1.PodTemplateSpec{
						ObjectMeta: metav1.ObjectMeta{Labels: labels},
						Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: name + ":" + v.Name}}},
					},
				},
			})
		}
	}
}

// deployments returns the names of the Deployments, sorted.
func (w *fakeWorld) deployments() []string {
	w.t.Helper()
	list := &appsv1.DeploymentList{}
	if err := w.List(w.t.Context(), list); err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, d := range list.Items {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return names
}

// run plays the Deployment controller for all Deployments.
func (w *fakeWorld) run() {
	w.t.Helper()
	list := &appsv1.DeploymentList{}
	if err := w.List(w.t.Context(), list); err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		d := &list.Items[i]
		d.Status = appsv1.DeploymentStatus{
			ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1,
			Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}},
		}
		if err := w.Status().Update(w.t.Context(), d); err != nil {
			w.t.Fatal(err)
		}
	}
}

// settle reconciles all that exist of some versions until nothing is written any more.
func (w *fakeWorld) settle(names ...string) {
	w.t.Helper()
	for range 20 {
		before := len(w.writes)
		for _, name := range names {
			if w.get(&v1alpha1.ClusterServiceVersion{}, name) {
				w.mustReconcile(name)
			}
		}
		if len(w.writes) == before {
			return
		}
		w.run()
	}
	w.t.Fatalf("still written to: %v", w.writes[len(w.writes)-5:])
}

func (w *fakeWorld) add(v *v1alpha1.ClusterServiceVersion, replaces string) {
	w.t.Helper()
	v.Spec.Replaces = replaces
	if err := w.Create(w.t.Context(), v); err != nil {
		w.t.Fatal(err)
	}
}

// TestUpgradeToAnotherDeployment is V23: the new Deployment is made, the old one goes
// with the version that it belongs to.
func TestUpgradeToAnotherDeployment(t *testing.T) {
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", deploys("old")))
	w.settle("v1")
	w.want("v1", "Succeeded/InstallSucceeded")
	w.add(fakeCSV("v2", deploys("new")), "v1")
	w.settle("v1", "v2")
	w.want("v1", "gone")
	w.want("v2", "Succeeded/InstallSucceeded")
	old := &appsv1.Deployment{}
	if w.get(old, "old") && (len(old.OwnerReferences) != 1 || old.OwnerReferences[0].Name != "v1") {
		t.Errorf("the old Deployment belongs to %v, so that it stays when v1 is gone", old.OwnerReferences)
	}
	if !w.get(&appsv1.Deployment{}, "new") {
		t.Error("the new Deployment does not exist")
	}
}

// TestOnlyTheLastOfAChainRemains is V24.
func TestOnlyTheLastOfAChainRemains(t *testing.T) {
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", plain))
	w.settle("v1")
	w.add(fakeCSV("v2", plain), "v1")
	w.add(fakeCSV("v3", plain), "v2")
	w.add(fakeCSV("v4", plain), "v3")
	w.settle("v1", "v2", "v3", "v4")
	for name, state := range map[string]string{"v1": "gone", "v2": "gone", "v3": "gone", "v4": "Succeeded/InstallSucceeded"} {
		w.want(name, state)
	}
}

// TestEditsInPlace are V25, V27 and V28: an edited strategy reaches the Deployments.
func TestEditsInPlace(t *testing.T) {
	tests := map[string]struct {
		edit func(*v1alpha1.StrategyDetailsDeployment)
		want []string // Deployments, with image and replicas where they were edited
	}{
		"another number of replicas, with another template": {
			func(s *v1alpha1.StrategyDetailsDeployment) {
				s.DeploymentSpecs[0].Spec.Replicas = new(int32(3))
				s.DeploymentSpecs[0].Spec.Template.Spec.Containers[0].Image = "hotfix"
			},
			[]string{"a hotfix 3", "b b:v1"},
		},
		"another container": {
			func(s *v1alpha1.StrategyDetailsDeployment) {
				s.DeploymentSpecs[1].Spec.Template.Spec.Containers[0] = corev1.Container{Name: "other", Image: "hotfix"}
			},
			[]string{"a a:v1", "b hotfix"},
		},
		"another name": {
			func(s *v1alpha1.StrategyDetailsDeployment) { s.DeploymentSpecs[1].Name = "c" },
			[]string{"a a:v1", "c b:v1"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", deploys("a", "b")))
			w.settle("v1")
			w.want("v1", "Succeeded/InstallSucceeded")
			before := &appsv1.Deployment{}
			w.get(before, "a")
			current := &v1alpha1.ClusterServiceVersion{}
			w.get(current, "v1")
			tt.edit(&current.Spec.InstallStrategy.StrategySpec)
			if err := w.Update(t.Context(), current); err != nil {
				t.Fatal(err)
			}
			w.settle("v1")
			w.want("v1", "Succeeded/InstallSucceeded")
			var got []string
			for _, name := range w.deployments() {
				d := &appsv1.Deployment{}
				w.get(d, name)
				text := name + " " + d.Spec.Template.Spec.Containers[0].Image
				if d.Spec.Replicas != nil && *d.Spec.Replicas == 3 {
					text += " 3"
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Deployments (-want +got)\n%s", diff)
			}
		})
	}
}

// TestEventsOfRequirements is V29.
func TestEventsOfRequirements(t *testing.T) {
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", ownsGhosts))
	w.mustReconcile("v1")
	if err := w.Create(t.Context(), ghosts()); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile("v1")
	all := strings.Join(w.drain(), "\n")
	unmet, met := strings.Index(all, "RequirementsNotMet"), strings.Index(all, "AllRequirementsMet")
	if unmet < 0 || met < unmet {
		t.Errorf("events are\n%s\nwant RequirementsNotMet and then AllRequirementsMet", all)
	}
}
