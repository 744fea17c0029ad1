package render

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// defaultServiceAccount exists in every namespace and is never made.
const defaultServiceAccount = "default"

const (
	kindRole        = "Role"
	kindClusterRole = "ClusterRole"
)

// Permissions are the objects that give an operator its rights.
type Permissions struct {
	ServiceAccounts     []corev1.ServiceAccount
	Roles               []rbacv1.Role
	RoleBindings        []rbacv1.RoleBinding
	ClusterRoles        []rbacv1.ClusterRole
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
}

// permissionKey is what the name of a role is computed from. The order of its
// fields is part of the name.
type permissionKey struct {
	Name       string                                 `json:"name,omitempty"`
	Namespace  string                                 `json:"namespace,omitempty"`
	Permission v1alpha1.StrategyDeploymentPermissions `json:"permission"`
}

// PermissionsOf returns the ServiceAccounts, roles and bindings that csv asks
// for, for its own namespace and name, each once and in the order of the
// manifest. Namespaced objects refer to csv as their owner with the UID that
// csv has, cluster-scoped ones by labels.
func PermissionsOf(csv *v1alpha1.ClusterServiceVersion) (Permissions, error) {
	var p Permissions
	seen := map[string]bool{}
	strategy := csv.Spec.InstallStrategy.StrategySpec
	for i, perm := range strategy.Permissions {
		p.addServiceAccount(csv, perm.ServiceAccountName)
		if err := p.addRole(csv, perm, seen); err != nil {
			return Permissions{}, fmt.Errorf("permissions[%d]: %w", i, err)
		}
	}
	for i, perm := range strategy.ClusterPermissions {
		p.addServiceAccount(csv, perm.ServiceAccountName)
		if err := p.addClusterRole(csv, perm, seen); err != nil {
			return Permissions{}, fmt.Errorf("clusterPermissions[%d]: %w", i, err)
		}
	}
	return p, nil
}

func (p *Permissions) addServiceAccount(csv *v1alpha1.ClusterServiceVersion, name string) {
	if name == "" || name == defaultServiceAccount {
		return
	}
	for _, sa := range p.ServiceAccounts {
		if sa.Name == name {
			return
		}
	}
	p.ServiceAccounts = append(p.ServiceAccounts, corev1.ServiceAccount{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: csv.Namespace,
			Labels:          Inherit(map[string]string{LabelManaged: "true"}, csv.Labels),
			OwnerReferences: []metav1.OwnerReference{OwnerReference(csv)},
		},
	})
}

func (p *Permissions) addRole(csv *v1alpha1.ClusterServiceVersion, perm v1alpha1.StrategyDeploymentPermissions, seen map[string]bool) error {
	name, err := GeneratedName(csv.Name+"-"+perm.ServiceAccountName, permissionKey{Name: csv.Name, Permission: perm})
	if err != nil || seen[name] {
		return err
	}
	seen[name] = true
	meta := metav1.ObjectMeta{
		Name: name, Namespace: csv.Namespace,
		Labels:          OwnerOf(csv).ManagedLabels(),
		OwnerReferences: []metav1.OwnerReference{OwnerReference(csv)},
	}
	role := rbacv1.Role{TypeMeta: rbacType(kindRole), ObjectMeta: *meta.DeepCopy(), Rules: perm.Rules}
	binding := rbacv1.RoleBinding{
		TypeMeta: rbacType("RoleBinding"), ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kindRole, Name: name},
		Subjects: subjects(csv.Namespace, perm.ServiceAccountName),
	}
	if role.Labels[LabelPermissions], err = rulesHash(perm.Rules); err != nil {
		return err
	}
	if binding.Labels[LabelPermissions], err = bindingHash(binding.RoleRef, binding.Subjects); err != nil {
		return err
	}
	p.Roles = append(p.Roles, role)
	p.RoleBindings = append(p.RoleBindings, binding)
	return nil
}

func (p *Permissions) addClusterRole(csv *v1alpha1.ClusterServiceVersion, perm v1alpha1.StrategyDeploymentPermissions, seen map[string]bool) error {
	name, err := GeneratedName(csv.Name, permissionKey{Name: csv.Name, Namespace: csv.Namespace, Permission: perm})
	if err != nil || seen[name] {
		return err
	}
	seen[name] = true
	meta := metav1.ObjectMeta{Name: name, Labels: OwnerOf(csv).ManagedLabels()}
	role := rbacv1.ClusterRole{TypeMeta: rbacType(kindClusterRole), ObjectMeta: *meta.DeepCopy(), Rules: perm.Rules}
	binding := rbacv1.ClusterRoleBinding{
		TypeMeta: rbacType("ClusterRoleBinding"), ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kindClusterRole, Name: name},
		Subjects: subjects(csv.Namespace, perm.ServiceAccountName),
	}
	if role.Labels[LabelPermissions], err = rulesHash(perm.Rules); err != nil {
		return err
	}
	if binding.Labels[LabelPermissions], err = bindingHash(binding.RoleRef, binding.Subjects); err != nil {
		return err
	}
	p.ClusterRoles = append(p.ClusterRoles, role)
	p.ClusterRoleBindings = append(p.ClusterRoleBindings, binding)
	return nil
}

func rbacType(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
}

func subjects(namespace, serviceAccount string) []rbacv1.Subject {
	return []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: serviceAccount, Namespace: namespace}}
}

func rulesHash(rules []rbacv1.PolicyRule) (string, error) {
	b, err := json.Marshal(rules)
	if err != nil {
		return "", fmt.Errorf("hash rules: %w", err)
	}
	return H224(string(b)), nil
}

func bindingHash(ref rbacv1.RoleRef, subjects []rbacv1.Subject) (string, error) {
	b, err := json.Marshal(struct { //nolint:musttag // the capitals are part of the hash
		RoleRef  rbacv1.RoleRef
		Subjects []rbacv1.Subject
	}{ref, subjects})
	if err != nil {
		return "", fmt.Errorf("hash binding: %w", err)
	}
	return H224(string(b)), nil
}

// Lift returns the ClusterRole that gives the rights of role in all
// namespaces, and the right to see them. role belongs to a
// ClusterServiceVersion whose OperatorGroup selects all namespaces.
func Lift(role *rbacv1.Role) rbacv1.ClusterRole {
	rules := make([]rbacv1.PolicyRule, 0, len(role.Rules)+1)
	for i := range role.Rules {
		rules = append(rules, *role.Rules[i].DeepCopy())
	}
	rules = append(rules, rbacv1.PolicyRule{
		Verbs: []string{"get", "list", "watch"}, APIGroups: []string{corev1.GroupName}, Resources: []string{"namespaces"},
	})
	return rbacv1.ClusterRole{
		TypeMeta:   rbacType(kindClusterRole),
		ObjectMeta: metav1.ObjectMeta{Name: role.Name, Labels: maps.Clone(role.Labels)},
		Rules:      rules,
	}
}

// LiftBinding returns the ClusterRoleBinding that belongs to the lifted role of binding.
func LiftBinding(binding *rbacv1.RoleBinding) rbacv1.ClusterRoleBinding {
	lifted := rbacv1.ClusterRoleBinding{
		TypeMeta:   rbacType("ClusterRoleBinding"),
		ObjectMeta: metav1.ObjectMeta{Name: binding.Name, Labels: maps.Clone(binding.Labels)},
		RoleRef:    binding.RoleRef,
		Subjects:   append([]rbacv1.Subject(nil), binding.Subjects...),
	}
	lifted.RoleRef.Kind = kindClusterRole
	return lifted
}

// CopyRole returns role for the namespace of copied, the copy there of the
// ClusterServiceVersion that owns role.
func CopyRole(role *rbacv1.Role, copied *v1alpha1.ClusterServiceVersion) rbacv1.Role {
	out := role.DeepCopy()
	return rbacv1.Role{TypeMeta: rbacType(kindRole), ObjectMeta: copiedMeta(&role.ObjectMeta, copied), Rules: out.Rules}
}

// CopyRoleBinding returns binding for the namespace of copied. Its subjects
// stay in the operator's namespace.
func CopyRoleBinding(binding *rbacv1.RoleBinding, copied *v1alpha1.ClusterServiceVersion) rbacv1.RoleBinding {
	out := binding.DeepCopy()
	return rbacv1.RoleBinding{
		TypeMeta: rbacType("RoleBinding"), ObjectMeta: copiedMeta(&binding.ObjectMeta, copied),
		RoleRef: out.RoleRef, Subjects: out.Subjects,
	}
}

func copiedMeta(from *metav1.ObjectMeta, copied *v1alpha1.ClusterServiceVersion) metav1.ObjectMeta {
	labels := maps.Clone(from.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, OwnerOf(copied).ManagedLabels())
	labels[LabelCopiedFrom] = from.Namespace
	return metav1.ObjectMeta{
		Name: from.Name, Namespace: copied.Namespace, Labels: labels,
		OwnerReferences: []metav1.OwnerReference{OwnerReference(copied)},
	}
}
