package csv_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv"
	"chandler.dev/olm/pkg/install/render"
)

func TestInstall(t *testing.T) {
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", ownsGhosts), ghosts())
	w.mustReconcile("v1")
	w.want("v1", "Installing/InstallSucceeded")

	d := &appsv1.Deployment{}
	if !w.get(d, "op") {
		t.Fatal("no Deployment")
	}
	if diff := cmp.Diff(map[string]string{"olm.owner": "v1", "olm.owner.namespace": "ns", "olm.owner.kind": "ClusterServiceVersion", "olm.managed": "true"}, without(d.Labels, render.LabelDeploymentHash)); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	wantAnnotations := map[string]string{"olm.operatorGroup": "g", "olm.operatorNamespace": "ns", "olm.targetNamespaces": "ns"}
	if diff := cmp.Diff(wantAnnotations, d.Spec.Template.Annotations); diff != "" {
		t.Errorf("pod annotations (-want +got):\n%s", diff)
	}

	w.makeReady()
	w.mustReconcile("v1")
	w.want("v1", "Succeeded/InstallSucceeded")
	got := &v1alpha1.ClusterServiceVersion{}
	w.get(got, "v1")
	wantPhases := []string{"Pending/RequirementsUnknown", "InstallReady/AllRequirementsMet", "Installing/InstallSucceeded", "Succeeded/InstallSucceeded"}
	if diff := cmp.Diff(wantPhases, phases(got)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if !slices.Contains(got.Finalizers, csv.Finalizer) {
		t.Errorf("finalizers = %v, want %s", got.Finalizers, csv.Finalizer)
	}
	wantEvents := []string{
		"Normal RequirementsUnknown requirements not yet checked", "Normal AllRequirementsMet all requirements found, attempting install",
		"Normal InstallSucceeded waiting for install components to report healthy", "Normal InstallSucceeded install strategy completed with no errors",
	}
	if diff := cmp.Diff(wantEvents, w.drain()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	og := &operatorsv1.OperatorGroup{}
	w.get(og, "g")
	if got := og.Annotations["olm.providedAPIs"]; got != "Ghost.v1.ghouls.example.com" {
		t.Errorf("olm.providedAPIs = %q", got)
	}
	for _, name := range []string{"admin", "edit", "view", "crdview"} {
		role := &rbacv1.ClusterRole{}
		if err := w.Get(t.Context(), client.ObjectKey{Name: "ghosts.ghouls.example.com-v1-" + name}, role); err != nil {
			t.Error(err)
		}
	}
}

func TestSteadyStateWritesNothing(t *testing.T) {
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", withWebhook), ghosts())
	w.mustReconcile("v1")
	w.makeReady()
	w.mustReconcile("v1", "v1")
	w.want("v1", "Succeeded/InstallSucceeded")
	w.writes = nil
	w.mustReconcile("v1", "v1", "v1")
	if len(w.writes) > 0 {
		t.Errorf("writes = %v, want none", w.writes)
	}
}

func TestRefusals(t *testing.T) {
	multi := group("g", "ns", "other")
	conflicting := group("other", "ns")
	conflicting.Namespace = "elsewhere"
	conflicting.Annotations = map[string]string{"olm.providedAPIs": "Ghost.v1.ghouls.example.com"}
	static := group("g", "ns")
	static.Spec.StaticProvidedAPIs = true
	tests := map[string]struct {
		objects []client.Object
		want    string
		message string
	}{
		"no OperatorGroup": {nil, "Failed/NoOperatorGroup", `csv in namespace with no operatorgroups: create one OperatorGroup in namespace "ns"`},
		"two OperatorGroups": {
			[]client.Object{group("a", "ns"), group("b", "ns")},
			"Failed/TooManyOperatorGroups",
			`csv created in namespace with multiple operatorgroups, can't pick one automatically: keep one of "a", "b" and delete the others`,
		},
		"a group that selects nothing": {
			[]client.Object{group("g")}, "Failed/NoTargetNamespaces", "no targetNamespaces are matched operatorgroups namespace selection",
		},
		"an install mode that is not supported": {
			[]client.Object{group("g", "other")},
			"Failed/UnsupportedOperatorGroup",
			"SingleNamespace InstallModeType not supported, cannot configure to watch one namespace",
		},
		"a supported one":    {[]client.Object{multi, ghosts()}, "Installing/InstallSucceeded", "waiting for install components to report healthy"},
		"a missing CRD":      {[]client.Object{group("g", "ns")}, "Pending/RequirementsNotMet", "one or more requirements couldn't be found"},
		"an API of another":  {[]client.Object{group("g", "ns"), conflicting, ghosts()}, "Failed/InterOperatorGroupOwnerConflict", "intersecting operatorgroups provide the same apis: Ghost.v1.ghouls.example.com"},
		"a static group":     {[]client.Object{static, ghosts()}, "Failed/CannotModifyStaticOperatorGroupProvidedAPIs", "static provided api operatorgroup cannot be modified by these apis: Ghost.v1.ghouls.example.com"},
		"a group not yet up": {[]client.Object{&operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "g"}}}, "/", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newFakeWorld(t, append(tt.objects, fakeCSV("v1", ownsGhosts))...)
			w.mustReconcile("v1")
			got := &v1alpha1.ClusterServiceVersion{}
			w.get(got, "v1")
			if state := w.state("v1"); state != tt.want || got.Status.Message != tt.message {
				t.Errorf("%s %q\nwant %s %q", state, got.Status.Message, tt.want, tt.message)
			}
			if installed := w.get(&appsv1.Deployment{}, "op"); installed != strings.HasPrefix(tt.want, "Installing") {
				t.Errorf("Deployment exists: %v", installed)
			}
			w.writes = nil
			w.mustReconcile("v1")
			if len(w.writes) > 0 && !strings.HasPrefix(tt.want, "Installing") {
				t.Errorf("a second look writes %v", w.writes)
			}
		})
	}
}

func TestRecoversWhenTheGroupIsFine(t *testing.T) {
	w := newFakeWorld(t, group("a", "ns"), group("b", "ns"), fakeCSV("v1", plain))
	w.mustReconcile("v1")
	w.want("v1", "Failed/TooManyOperatorGroups")
	if err := w.Delete(t.Context(), group("b")); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile("v1")
	w.want("v1", "Installing/InstallSucceeded")
}

func TestRequirementAppears(t *testing.T) {
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", ownsGhosts))
	result, err := w.reconcile("v1")
	if err != nil || result.RequeueAfter == 0 {
		t.Errorf("reconcile with an unmet requirement = %v, %v, want to look again", result, err)
	}
	w.want("v1", "Pending/RequirementsNotMet")
	if err := w.Create(t.Context(), ghosts()); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile("v1")
	w.want("v1", "Installing/InstallSucceeded")
	got := &v1alpha1.ClusterServiceVersion{}
	w.get(got, "v1")
	if len(got.Status.RequirementStatus) != 1 || got.Status.RequirementStatus[0].Status != v1alpha1.RequirementStatusReasonPresent {
		t.Errorf("requirementStatus = %+v, want one Present", got.Status.RequirementStatus)
	}
}

func TestFailedInstallIsReportedAndTriedAgain(t *testing.T) {
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", plain))
	w.refuse = func(obj client.Object) error {
		if obj.GetName() == "op" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, "op", nil)
		}
		return nil
	}
	if result, err := w.reconcile("v1"); err != nil || result.RequeueAfter == 0 {
		t.Errorf("reconcile = %v, %v, want to try again", result, err)
	}
	w.want("v1", "Failed/InstallComponentFailedNoRetry")
	w.writes = nil
	if result, err := w.reconcile("v1"); err != nil || result.RequeueAfter == 0 {
		t.Errorf("reconcile = %v, %v, want to try again", result, err)
	}
	if diff := cmp.Diff([]string{"apply op"}, w.writes); diff != "" {
		t.Errorf("writes of a second failure (-want +got):\n%s", diff)
	}
	w.refuse = nil
	w.mustReconcile("v1")
	w.want("v1", "Installing/InstallSucceeded")
}

func TestSubscriptionConfigReachesThePods(t *testing.T) {
	sub := &v1alpha1.Subscription{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"},
		Spec:       &v1alpha1.SubscriptionSpec{Config: &v1alpha1.SubscriptionConfig{Env: []corev1.EnvVar{{Name: "LEVEL", Value: "debug"}}}},
		Status:     v1alpha1.SubscriptionStatus{CurrentCSV: "v1"},
	}
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", plain), sub)
	w.mustReconcile("v1")
	w.makeReady()
	w.mustReconcile("v1")
	w.want("v1", "Succeeded/InstallSucceeded")
	env := func() []corev1.EnvVar {
		d := &appsv1.Deployment{}
		w.get(d, "op")
		return d.Spec.Template.Spec.Containers[0].Env
	}
	want := []corev1.EnvVar{{Name: "LEVEL", Value: "debug"}, {Name: "OPERATOR_CONDITION_NAME", Value: "v1"}}
	if diff := cmp.Diff(want, env()); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	current := &v1alpha1.Subscription{}
	w.get(current, "s")
	current.Spec.Config = nil
	if err := w.Update(t.Context(), current); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile("v1")
	if diff := cmp.Diff(want[1:], env()); diff != "" {
		t.Errorf("env after the config was removed (-want +got):\n%s", diff)
	}
}

func TestInstallsWithTheRightsOfTheGroup(t *testing.T) {
	og := group("g", "ns")
	og.Spec.ServiceAccountName = "installer"
	w := newFakeWorld(t, og, fakeCSV("v1", plain))
	w.mustReconcile("v1")
	w.want("v1", "Failed/InstallComponentFailedNoRetry")
	current := &operatorsv1.OperatorGroup{}
	w.get(current, "g")
	current.Status.ServiceAccountRef = &corev1.ObjectReference{Namespace: "ns", Name: "installer"}
	if err := w.Status().Update(t.Context(), current); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile("v1")
	w.want("v1", "Installing/InstallSucceeded")
	if diff := cmp.Diff([]types.NamespacedName{{Namespace: "ns", Name: "installer"}}, w.actedAs); diff != "" {
		t.Errorf("acted as (-want +got):\n%s", diff)
	}
}
