package csv

import (
	"context"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/requirement"
)

// rights returns what RBAC, as reader knows it, grants the ServiceAccounts of csv. What
// belongs to another ClusterServiceVersion may go away with it and does not count.
func (r *Reconciler) rights(ctx context.Context, reader client.Reader, csv *v1alpha1.ClusterServiceVersion) (map[string]requirement.Rights, error) {
	accounts := requirement.ServiceAccounts(csv)
	if len(accounts) == 0 {
		return nil, nil
	}
	bindings := &rbacv1.RoleBindingList{}
	if err := reader.List(ctx, bindings, client.InNamespace(csv.Namespace)); err != nil {
		return nil, err
	}
	clusterBindings := &rbacv1.ClusterRoleBindingList{}
	if err := reader.List(ctx, clusterBindings); err != nil {
		return nil, err
	}
	rules := ruleReader{reader: reader, csv: csv}
	rights := make(map[string]requirement.Rights, len(accounts))
	for _, account := range accounts {
		var granted requirement.Rights
		for i := range bindings.Items {
			if b := &bindings.Items[i]; !foreign(b, csv.UID) && concerns(b.Subjects, csv.Namespace, account, b.Namespace) {
				granted.Namespaced = append(granted.Namespaced, rules.of(ctx, b.RoleRef)...)
			}
		}
		for i := range clusterBindings.Items {
			if b := &clusterBindings.Items[i]; !foreign(b, csv.UID) && concerns(b.Subjects, csv.Namespace, account, "") {
				granted.Cluster = append(granted.Cluster, rules.of(ctx, b.RoleRef)...)
			}
		}
		rights[account] = granted
	}
	return rights, rules.err
}

// ruleReader reads roles and keeps the first error.
type ruleReader struct {
	reader client.Reader
	csv    *v1alpha1.ClusterServiceVersion
	err    error
}

func (r *ruleReader) of(ctx context.Context, ref rbacv1.RoleRef) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	var err error
	switch ref.Kind {
	case "Role":
		role := &rbacv1.Role{}
		err = r.reader.Get(ctx, client.ObjectKey{Namespace: r.csv.Namespace, Name: ref.Name}, role)
		if !foreign(role, r.csv.UID) {
			rules = role.Rules
		}
	case "ClusterRole":
		role := &rbacv1.ClusterRole{}
		err = r.reader.Get(ctx, client.ObjectKey{Name: ref.Name}, role)
		if !foreign(role, r.csv.UID) {
			rules = role.Rules
		}
	}
	if client.IgnoreNotFound(err) != nil && r.err == nil {
		r.err = err
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return rules
}

// foreign tells whether obj has an owner reference to a ClusterServiceVersion other than uid.
func foreign(obj metav1.Object, uid types.UID) bool {
	owned := false
	for _, owner := range obj.GetOwnerReferences() {
		if owner.Kind != v1alpha1.ClusterServiceVersionKind {
			continue
		}
		if owner.UID == uid {
			return false
		}
		owned = true
	}
	return owned
}

// concerns tells whether one of the subjects is the ServiceAccount. Groups do not count:
// who is a member of one is not for a ClusterServiceVersion to rely on.
func concerns(subjects []rbacv1.Subject, namespace, account, bindingNamespace string) bool {
	for _, s := range subjects {
		in := s.Namespace
		if in == "" {
			in = bindingNamespace
		}
		if s.Kind == rbacv1.ServiceAccountKind && s.Name == account && in == namespace {
			return true
		}
		if s.Kind == rbacv1.UserKind && s.Name == "system:serviceaccount:"+namespace+":"+account {
			return true
		}
	}
	return false
}
