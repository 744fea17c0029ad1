package csv_test

import (
	"context"
	"strings"
	"testing"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
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

func (n *namespace) deployment(t testing.TB) *appsv1.Deployment {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := n.Get(t.Context(), client.ObjectKey{Namespace: n.name, Name: "op"}, d); err != nil {
		t.Fatal(err)
	}
	return d
}
