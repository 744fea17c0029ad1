package csv_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/install/render"
)

func TestUpgrade(t *testing.T) {
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", ownsGhosts), ghosts())
	w.mustReconcile("v1")
	w.makeReady()
	w.mustReconcile("v1")
	w.want("v1", "Succeeded/InstallSucceeded")

	next := fakeCSV("v2", ownsGhosts)
	next.Spec.Replaces = "v1"
	if err := w.Create(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile("v2")
	w.want("v2", "Pending/RequirementsUnknown")
	w.mustReconcile("v1")
	w.want("v1", "Replacing/BeingReplaced")
	w.mustReconcile("v2")
	w.want("v2", "Installing/InstallSucceeded")
	w.mustReconcile("v1")
	w.want("v1", "Replacing/BeingReplaced")
	d := &appsv1.Deployment{}
	w.get(d, "op")
	if d.Labels[render.LabelOwner] != "v2" || d.Spec.Template.Spec.Containers[0].Image != "op:v2" {
		t.Errorf("Deployment of %s with image %s, want v2", d.Labels[render.LabelOwner], d.Spec.Template.Spec.Containers[0].Image)
	}
	w.makeReady()
	w.mustReconcile("v2")
	w.want("v2", "Succeeded/InstallSucceeded")
	w.mustReconcile("v1") // deletes
	w.mustReconcile("v1") // cleans up
	w.want("v1", "gone")
	w.mustReconcile("v2")
	w.want("v2", "Succeeded/InstallSucceeded")
}

func TestUpgradeWaitsForTheOperator(t *testing.T) {
	condition := &operatorsv2.OperatorCondition{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "v1", Generation: 2}}
	condition.Status.Conditions = []metav1.Condition{{Type: "Upgradeable", Status: metav1.ConditionFalse, Message: "a backup is running", ObservedGeneration: 2}}
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", plain), condition)
	w.mustReconcile("v1")
	w.makeReady()
	w.mustReconcile("v1")
	next := fakeCSV("v2", plain)
	next.Spec.Replaces = "v1"
	if err := w.Create(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile("v1", "v2")
	w.want("v2", "Pending/OperatorConditionNotUpgradeable")
	got := &v1alpha1.ClusterServiceVersion{}
	w.get(got, "v2")
	if want := "operator is not upgradeable: the operator is not upgradeable: a backup is running"; got.Status.Message != want {
		t.Errorf("message %q, want %q", got.Status.Message, want)
	}
	condition.Spec.Overrides = []metav1.Condition{{Type: "Upgradeable", Status: metav1.ConditionTrue}}
	current := &operatorsv2.OperatorCondition{}
	w.get(current, "v1")
	current.Spec.Overrides = condition.Spec.Overrides
	if err := w.Update(t.Context(), current); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile("v2")
	w.want("v2", "Installing/InstallSucceeded")
}

func TestDeletionCleansUp(t *testing.T) {
	v1 := fakeCSV("v1", withWebhook)
	owned := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "mine", Labels: render.OwnerOf(v1).ManagedLabels()}}
	foreign := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "other"}}
	w := newFakeWorld(t, group("g", "ns"), v1, ghosts(), owned, foreign)
	w.mustReconcile("v1")
	w.makeReady()
	w.mustReconcile("v1", "v1")
	current := &v1alpha1.ClusterServiceVersion{}
	w.get(current, "v1")
	if err := w.Delete(t.Context(), current); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile("v1")
	w.want("v1", "gone")
	if err := w.Get(t.Context(), client.ObjectKey{Name: "mine"}, &rbacv1.ClusterRole{}); !apierrors.IsNotFound(err) {
		t.Errorf("ClusterRole of the version: %v, want not found", err)
	}
	if err := w.Get(t.Context(), client.ObjectKey{Name: "other"}, &rbacv1.ClusterRole{}); err != nil {
		t.Errorf("ClusterRole of somebody else: %v", err)
	}
	list := &admissionv1.ValidatingWebhookConfigurationList{}
	if err := w.List(t.Context(), list); err != nil || len(list.Items) != 0 {
		t.Errorf("%d webhook configurations left, %v", len(list.Items), err)
	}
}

func TestRightsFollowTheGroup(t *testing.T) {
	v1 := fakeCSV("v1", plain)
	rules := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r", Labels: render.OwnerOf(v1).ManagedLabels()}, Rules: rules}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r", Labels: render.OwnerOf(v1).ManagedLabels()},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "r"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "ns", Name: "sa"}},
	}
	w := newFakeWorld(t, group("g", ""), v1, role, binding)
	w.mustReconcile("v1")
	lifted := &rbacv1.ClusterRole{}
	if err := w.Get(t.Context(), client.ObjectKey{Name: "r"}, lifted); err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(rules), rbacv1.PolicyRule{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"namespaces"}})
	if diff := cmp.Diff(want, lifted.Rules); diff != "" {
		t.Errorf("lifted rules (-want +got):\n%s", diff)
	}
	og := &operatorsv1.OperatorGroup{}
	w.get(og, "g")
	og.Status.Namespaces = []string{"ns", "other"}
	if err := w.Status().Update(t.Context(), og); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile("v1")
	if err := w.Get(t.Context(), client.ObjectKey{Name: "r"}, lifted); !apierrors.IsNotFound(err) {
		t.Errorf("lifted role after the group narrowed: %v, want not found", err)
	}
	copied := &rbacv1.RoleBinding{}
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: "other", Name: "r"}, copied); err != nil {
		t.Fatal(err)
	}
	if copied.Labels[render.LabelCopiedFrom] != "ns" || copied.Subjects[0].Namespace != "ns" || len(copied.OwnerReferences) != 0 {
		t.Errorf("copied binding = %+v", copied)
	}
}
