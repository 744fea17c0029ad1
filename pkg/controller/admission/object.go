package admission

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/render"
)

const (
	crdGroup     = "apiextensions.k8s.io"
	crdResource  = "customresourcedefinitions"
	kindRole     = "Role"
	kindClusterR = "ClusterRole"
)

// object adds what an object of the plan needs.
func (d *demand) object(o *Object) error {
	m := o.Manifest
	switch {
	case d.generated[m.Kind+"/"+m.Name] && (m.Group == rbacv1.GroupName || m.Group == ""):
		return nil
	case m.Kind == render.KindCSV, m.Kind == render.KindSubscription:
		return nil // the bundle that it stands for is asked about as such
	case m.Kind == render.KindCRD:
		write := rule(crdResource, crdGroup, "create", "patch")
		d.add(Need{Rule: write, Lifecycle: true, Item: o.Item})
		return nil
	case m.Kind == render.KindSecret && m.Group == "":
		copied := rule("secrets", "", "get")
		copied.ResourceNames = []string{m.Name}
		d.add(Need{Namespace: d.operator.CatalogNamespace, Rule: copied, Item: -1})
	}
	namespace := ""
	if o.Namespaced {
		namespace = d.operator.Namespace
	}
	resource := o.Resource
	if resource == "" { // a custom resource of a kind that comes with the plan
		resource = rbacv1.ResourceAll
	}
	d.add(Need{Namespace: namespace, Rule: rule(resource, m.Group, "create", "patch"), Item: o.Item})
	if m.Group != rbacv1.GroupName {
		return nil
	}
	return d.roleObject(o, namespace)
}

// roleObject adds what a role or binding that the bundle brings grants.
func (d *demand) roleObject(o *Object, namespace string) error {
	switch o.Manifest.Kind {
	case kindRole, kindClusterR:
		role := &rbacv1.ClusterRole{}
		if err := read(o, role); err != nil {
			return err
		}
		rules := role.Rules
		if role.AggregationRule != nil && o.Manifest.Kind == kindClusterR {
			rules = everything
		}
		for _, scope := range d.roleScopes(o, namespace) {
			d.grantBy(o.Item, scope, "", rules)
		}
	case "RoleBinding", "ClusterRoleBinding":
		binding := &rbacv1.RoleBinding{}
		if err := read(o, binding); err != nil {
			return err
		}
		for _, scope := range d.roleScopes(o, namespace) {
			if err := d.bind(o.Item, scope, binding); err != nil {
				return err
			}
		}
	}
	return nil
}

// roleScopes are where a role takes effect: one with the label of an operator may be
// extended to the targets of its group.
func (d *demand) roleScopes(o *Object, namespace string) []string {
	if namespace != "" && o.Content.GetLabels()[render.LabelOwner] != "" {
		return d.scopes()
	}
	return []string{namespace}
}

func (d *demand) bind(item int, namespace string, binding *rbacv1.RoleBinding) error {
	account := d.accountOf(binding.Subjects)
	for i := range d.operator.Objects {
		o := &d.operator.Objects[i]
		if o.Manifest.Group != rbacv1.GroupName || o.Manifest.Kind != binding.RoleRef.Kind || o.Manifest.Name != binding.RoleRef.Name {
			continue
		}
		role := &rbacv1.ClusterRole{}
		if err := read(o, role); err != nil {
			return err
		}
		rules := role.Rules
		if role.AggregationRule != nil {
			rules = everything
		}
		d.grantBy(item, namespace, account, rules)
		return nil
	}
	d.add(Need{Namespace: namespace, Role: &binding.RoleRef, Granted: true, Account: account, Item: item})
	return nil
}

// accountOf returns the ServiceAccount of the operator's namespace that alone is bound.
func (d *demand) accountOf(subjects []rbacv1.Subject) string {
	if len(subjects) != 1 || subjects[0].Kind != rbacv1.ServiceAccountKind {
		return ""
	}
	if ns := subjects[0].Namespace; ns != "" && ns != d.operator.Namespace {
		return ""
	}
	return subjects[0].Name
}

func read(o *Object, into any) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Content.Object, into); err != nil {
		e := failure.New(failure.Invalid, "the manifest of %s %q cannot be read", o.Manifest.Kind, o.Manifest.Name).WithHint("correct it in the bundle")
		e.Err = fmt.Errorf("convert: %w", err)
		return e
	}
	return nil
}

func sameWebhookRule(a, b admissionv1.RuleWithOperations) bool {
	return slices.Equal(a.Operations, b.Operations) && slices.Equal(a.APIGroups, b.APIGroups) &&
		slices.Equal(a.APIVersions, b.APIVersions) && slices.Equal(a.Resources, b.Resources)
}
