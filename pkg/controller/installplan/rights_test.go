package installplan_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// TestRightsOfServiceAccount runs plans with an OperatorGroup whose
// ServiceAccount has few rights.
func TestRightsOfServiceAccount(t *testing.T) {
	r := start(t)
	ns := r.space(t)
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "limited", Namespace: ns}}
	g := &operatorsv1.OperatorGroup{}
	key := client.ObjectKey{Namespace: ns, Name: "g"}
	if err := errors.Join(r.Client.Create(t.Context(), sa), r.Client.Get(t.Context(), key, g)); err != nil {
		t.Fatal(err)
	}
	g.Spec.ServiceAccountName = sa.Name
	if err := r.Client.Update(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	g.Status.ServiceAccountRef = &corev1.ObjectReference{Kind: "ServiceAccount", Namespace: ns, Name: sa.Name}
	if err := r.Client.Status().Update(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	object := func(kind, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: strings.ToLower(kind) + name}
	}
	service := &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: object("Service", "-x")}
	service.Spec.Ports = []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80)}}
	settings := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: object("ConfigMap", "-x")}

	definition := handMade("definition", crdV1("limits.example.org", "v1"))
	definition.Namespace = ns
	if plan := r.run(t, definition); plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete || plan.Status.AttenuatedServiceAccountRef == nil {
		t.Errorf("a plan of definitions only: %+v", plan.Status)
	}

	plan := handMade("objects", service, settings)
	plan.Namespace = ns
	r.write(t, plan)
	before := r.writes.Load()
	testkit.Eventually(t, time.Minute, func(ctx context.Context) error {
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(plan), plan); err != nil {
			return err
		}
		for _, want := range []string{
			`cannot create resource "services" in API group "" in the namespace "` + ns + `"`,
			`cannot patch resource "configmaps" in API group "" in the namespace "` + ns + `"`,
		} {
			if !strings.Contains(plan.Status.Message, want) {
				return fmt.Errorf("message %q, want %q", plan.Status.Message, want)
			}
		}
		return nil
	})
	if plan.Status.Phase != v1alpha1.InstallPlanPhaseInstalling || r.writes.Load() != before {
		t.Errorf("phase %q after %d writes, want it to wait", plan.Status.Phase, r.writes.Load()-before)
	}

	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "limited", Namespace: ns},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"get", "create", "patch"}, APIGroups: []string{""}, Resources: []string{"services", "configmaps"}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "limited", Namespace: ns},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: ns, Name: sa.Name}},
	}
	if err := errors.Join(r.Client.Create(t.Context(), role), r.Client.Create(t.Context(), binding)); err != nil {
		t.Fatal(err)
	}
	if r.wait(t, plan).Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Errorf("with the rights: %+v", plan.Status)
	}
}
