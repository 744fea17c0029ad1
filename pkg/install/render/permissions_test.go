package render_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"chandler.dev/olm/pkg/install/render"
)

func operator(permissions, clusterPermissions []v1alpha1.StrategyDeploymentPermissions) *v1alpha1.ClusterServiceVersion {
	csv := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Name: "my-operator.v1.0.0", Namespace: "my-ns", UID: "u1"}}
	csv.Spec.InstallStrategy.StrategySpec.Permissions = permissions
	csv.Spec.InstallStrategy.StrategySpec.ClusterPermissions = clusterPermissions
	return csv
}

func readPods(serviceAccount string) v1alpha1.StrategyDeploymentPermissions {
	return v1alpha1.StrategyDeploymentPermissions{
		ServiceAccountName: serviceAccount,
		Rules:              []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}},
	}
}

const (
	roleName        = "my-operator.v1.0.0-my-sa-6f4iWxDSrtxECwbsGTQ6HMgcUj2oUnNBYVmShT"
	clusterRoleName = "my-operator.v1.0.0-9uj5QsDHxUD2Xn5Tt1zWlHeh1IFYOZDqv2rDkt"
	readPodsHash    = "11rrkxEvVvfh9HkCh7cyssbBqZFy9B7koZklln"
)

func TestPermissionsOf(t *testing.T) {
	perm := []v1alpha1.StrategyDeploymentPermissions{readPods("my-sa"), readPods("my-sa"), readPods("default")}
	got, err := render.PermissionsOf(operator(perm, perm[:1]))
	if err != nil {
		t.Fatal(err)
	}

	names := func(p render.Permissions) map[string][]string {
		out := map[string][]string{}
		for _, o := range p.ServiceAccounts {
			out["sa"] = append(out["sa"], o.Namespace+"/"+o.Name)
		}
		for _, o := range p.Roles {
			out["role"] = append(out["role"], o.Namespace+"/"+o.Name)
		}
		for _, o := range p.RoleBindings {
			out["binding"] = append(out["binding"], o.Namespace+"/"+o.Name)
		}
		for _, o := range p.ClusterRoles {
			out["cluster role"] = append(out["cluster role"], o.Namespace+"/"+o.Name)
		}
		for _, o := range p.ClusterRoleBindings {
			out["cluster binding"] = append(out["cluster binding"], o.Namespace+"/"+o.Name)
		}
		return out
	}
	defaultRole := got.Roles[1].Name
	want := map[string][]string{
		"sa":              {"my-ns/my-sa"},
		"role":            {"my-ns/" + roleName, "my-ns/" + defaultRole},
		"binding":         {"my-ns/" + roleName, "my-ns/" + defaultRole},
		"cluster role":    {"/" + clusterRoleName},
		"cluster binding": {"/" + clusterRoleName},
	}
	if diff := cmp.Diff(want, names(got)); diff != "" {
		t.Errorf("PermissionsOf() names (-want +got)\n%s", diff)
	}

	owner := metav1.OwnerReference{
		APIVersion: "operators.coreos.com/v1alpha1", Kind: "ClusterServiceVersion", Name: "my-operator.v1.0.0", UID: "u1",
		Controller: new(false), BlockOwnerDeletion: new(false),
	}
	wantRole := rbacv1.Role{
		TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"},
		ObjectMeta: metav1.ObjectMeta{
			Name: roleName, Namespace: "my-ns", OwnerReferences: []metav1.OwnerReference{owner},
			Labels: map[string]string{
				"olm.managed": "true", "olm.owner": "my-operator.v1.0.0", "olm.owner.namespace": "my-ns",
				"olm.owner.kind": "ClusterServiceVersion", "olm.permissions.hash": readPodsHash,
			},
		},
		Rules: perm[0].Rules,
	}
	if diff := cmp.Diff(wantRole, got.Roles[0]); diff != "" {
		t.Errorf("PermissionsOf() role (-want +got)\n%s", diff)
	}
	if got.ClusterRoles[0].Labels["olm.permissions.hash"] != readPodsHash || got.ClusterRoles[0].OwnerReferences != nil {
		t.Errorf("PermissionsOf() cluster role = %+v", got.ClusterRoles[0].ObjectMeta)
	}
	wantSubject := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "my-sa", Namespace: "my-ns"}}
	if diff := cmp.Diff(wantSubject, got.ClusterRoleBindings[0].Subjects); diff != "" {
		t.Errorf("PermissionsOf() subject (-want +got)\n%s", diff)
	}
}

func TestLift(t *testing.T) {
	p, err := render.PermissionsOf(operator([]v1alpha1.StrategyDeploymentPermissions{readPods("my-sa")}, nil))
	if err != nil {
		t.Fatal(err)
	}
	role, binding := render.Lift(&p.Roles[0]), render.LiftBinding(&p.RoleBindings[0])
	wantRules := []rbacv1.PolicyRule{
		{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}},
		{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"namespaces"}},
	}
	if diff := cmp.Diff(wantRules, role.Rules); diff != "" {
		t.Errorf("Lift() (-want +got)\n%s", diff)
	}
	if len(p.Roles[0].Rules) != 1 {
		t.Error("Lift() changed the role that it was given")
	}
	if diff := cmp.Diff(p.Roles[0].Labels, role.Labels); diff != "" {
		t.Errorf("Lift() labels (-want +got)\n%s", diff)
	}
	wantRef := rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: roleName}
	if diff := cmp.Diff(wantRef, binding.RoleRef); diff != "" {
		t.Errorf("LiftBinding() (-want +got)\n%s", diff)
	}
}

func TestCopyRole(t *testing.T) {
	p, err := render.PermissionsOf(operator([]v1alpha1.StrategyDeploymentPermissions{readPods("my-sa")}, nil))
	if err != nil {
		t.Fatal(err)
	}
	copied := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Name: "my-operator.v1.0.0", Namespace: "target", UID: "u2"}}
	role, binding := render.CopyRole(&p.Roles[0], copied), render.CopyRoleBinding(&p.RoleBindings[0], copied)
	wantLabels := map[string]string{
		"olm.managed": "true", "olm.owner": "my-operator.v1.0.0", "olm.owner.namespace": "target", "olm.copiedFrom": "my-ns",
		"olm.owner.kind": "ClusterServiceVersion", "olm.permissions.hash": readPodsHash,
	}
	if diff := cmp.Diff(wantLabels, role.Labels); diff != "" {
		t.Errorf("CopyRole() labels (-want +got)\n%s", diff)
	}
	if role.Name != roleName || role.Namespace != "target" || role.OwnerReferences[0].UID != "u2" {
		t.Errorf("CopyRole() = %+v", role.ObjectMeta)
	}
	if binding.Subjects[0].Namespace != "my-ns" {
		t.Errorf("CopyRoleBinding() subject in %q, want the operator's namespace", binding.Subjects[0].Namespace)
	}
}
