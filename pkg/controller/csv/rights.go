package csv

import (
	"context"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/requirement"
	"chandler.dev/olm/pkg/controller/csv/rights"
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
	found := make(map[string]requirement.Rights, len(accounts))
	for _, account := range accounts {
		var granted requirement.Rights
		for i := range bindings.Items {
			if b := &bindings.Items[i]; !rights.Foreign(b, csv.UID) && rights.Concerns(b.Subjects, csv.Namespace, account, b.Namespace) {
				granted.Namespaced = append(granted.Namespaced, rules.of(ctx, b.RoleRef)...)
			}
		}
		for i := range clusterBindings.Items {
			if b := &clusterBindings.Items[i]; !rights.Foreign(b, csv.UID) && rights.Concerns(b.Subjects, csv.Namespace, account, "") {
				granted.Cluster = append(granted.Cluster, rules.of(ctx, b.RoleRef)...)
			}
		}
		found[account] = granted
	}
	return found, rules.err
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
		if !rights.Foreign(role, r.csv.UID) {
			rules = role.Rules
		}
	case "ClusterRole":
		role := &rbacv1.ClusterRole{}
		err = r.reader.Get(ctx, client.ObjectKey{Name: ref.Name}, role)
		if !rights.Foreign(role, r.csv.UID) {
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
