package csv_test

import (
	"context"
	"strings"
	"testing"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// TestRightsOfTheGroupOnCluster lets a real API server refuse what the ServiceAccount of
// the OperatorGroup may not do, and heals what somebody breaks afterwards.
func TestRightsOfTheGroupOnCluster(t *testing.T) {
	env := testkit.Cluster(t)
	startControllers(t, env.Config)
	n := &namespace{Client: env.Client, name: env.Namespace(t, "rights")}
	n.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: n.name, Name: "installer"}})
	n.create(t, &operatorsv1.OperatorGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: n.name, Name: "group"},
		Spec:       operatorsv1.OperatorGroupSpec{TargetNamespaces: []string{n.name}, ServiceAccountName: "installer"},
	})
	v := fakeCSV("v1", plain)
	v.Namespace, v.UID = n.name, ""
	n.create(t, v)
	got := n.waitFor(t, "v1", v1alpha1.CSVPhaseFailed)
	if got.Status.Reason != v1alpha1.CSVReasonComponentFailedNoRetry || !strings.Contains(got.Status.Message, "forbidden") {
		t.Fatalf("%s %q, want InstallComponentFailedNoRetry that says what is forbidden", got.Status.Reason, got.Status.Message)
	}
	n.create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: n.name, Name: "installer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: n.name, Name: "installer"}},
	})
	n.waitFor(t, "v1", v1alpha1.CSVPhaseSucceeded)

	first := n.deployment(t)
	if err := n.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		d := &appsv1.Deployment{}
		err := n.Get(ctx, client.ObjectKeyFromObject(first), d)
		return err == nil && d.UID != first.UID, nil
	})
	if err != nil {
		t.Fatal("the deleted Deployment was not made again")
	}
	n.waitFor(t, "v1", v1alpha1.CSVPhaseSucceeded)
}

// TestDriftOnCluster edits a Deployment as people do. What the lifecycle gave comes back,
// what others added or scaled stays.
func TestDriftOnCluster(t *testing.T) {
	env := testkit.Cluster(t)
	startControllers(t, env.Config)
	n := &namespace{Client: env.Client, name: env.Namespace(t, "drift")}
	n.create(t, &operatorsv1.OperatorGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: n.name, Name: "group"}, Spec: operatorsv1.OperatorGroupSpec{TargetNamespaces: []string{n.name}},
	})
	v := fakeCSV("v1", func(v *v1alpha1.ClusterServiceVersion) {
		v.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0].Spec.Replicas = new(int32(1))
	})
	v.Namespace, v.UID = n.name, ""
	n.create(t, v)
	n.waitFor(t, "v1", v1alpha1.CSVPhaseSucceeded)

	edited := n.deployment(t)
	edited.Spec.Template.Spec.Containers[0].Image = "somebody/else:1"
	edited.Spec.Template.Spec.Containers = append(edited.Spec.Template.Spec.Containers, corev1.Container{Name: "sidecar", Image: "sidecar:1"})
	edited.Labels["mine"] = "1"
	if err := n.Update(t.Context(), edited); err != nil {
		t.Fatal(err)
	}
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 2}}
	if err := n.SubResource("scale").Update(t.Context(), n.deployment(t), client.WithSubResourceBody(scale)); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		d := n.deployment(t)
		return d.Spec.Template.Spec.Containers[0].Image == "op:v1" && d.Status.AvailableReplicas == 2, nil
	})
	d := n.deployment(t)
	if err != nil || d.Labels["mine"] != "1" || len(d.Spec.Template.Spec.Containers) != 2 {
		t.Errorf("labels %v, containers %+v, %d ready; want the image back and the rest as it was edited", d.Labels, d.Spec.Template.Spec.Containers, d.Status.AvailableReplicas)
	}
	if got := n.waitFor(t, "v1", v1alpha1.CSVPhaseSucceeded); len(got.Status.Conditions) > 4 {
		t.Errorf("history %v, want no detour through Failed", phases(got))
	}
}

func (n *namespace) deployment(t testing.TB) *appsv1.Deployment {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := n.Get(t.Context(), client.ObjectKey{Namespace: n.name, Name: "op"}, d); err != nil {
		t.Fatal(err)
	}
	return d
}
