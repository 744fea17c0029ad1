package admission

import (
	"slices"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"chandler.dev/olm/pkg/controller/providedapi"
	"chandler.dev/olm/pkg/install/render"
)

// Need is a right that somebody must have so that an operator may be installed for them:
// because the lifecycle uses it for them, or because the operator receives it.
type Need struct {
	Namespace string // empty: the cluster scope
	Rule      rbacv1.PolicyRule
	// Role is a role that is bound and not part of the bundle: what it grants is needed.
	// Rule is empty then.
	Role *rbacv1.RoleRef
	// Granted says that others receive the right, so that who may grant anything needs
	// not have it.
	Granted bool
	// Account is the ServiceAccount, in the namespace of the operator, that receives the
	// right; empty if others do.
	Account string
	// Unless is a ClusterRole that exists if the right was granted already.
	Unless string
	// Item is the index of the object that uses or grants the right, -1 if there is none.
	Item int
	// Lifecycle says that the lifecycle itself acts, also where it installs with the
	// rights of a ServiceAccount.
	Lifecycle bool
}

// Object is an object of a plan besides the ClusterServiceVersion.
type Object struct {
	Manifest   render.Manifest
	Content    *unstructured.Unstructured // nil for a CustomResourceDefinition
	Resource   string                     // plural, as in rules; empty if the plan itself brings the kind
	Namespaced bool
	Item       int // by which Need refers to it
}

// Operator is what a plan installs for one ClusterServiceVersion.
type Operator struct {
	Namespace        string
	CatalogNamespace string   // from where a plan of v0 copies Secrets
	Targets          []string // of the OperatorGroup; one that is empty means all namespaces
	CSV              *v1alpha1.ClusterServiceVersion
	// Predecessor is the installed version that this one replaces; nil if there is none.
	// What that one has was allowed before.
	Predecessor *v1alpha1.ClusterServiceVersion
	Objects     []Object
}

// Needs returns what is needed to install o, each right once.
func Needs(o Operator) ([]Need, error) {
	permissions, err := render.PermissionsOf(withNamespace(o.CSV, o.Namespace))
	if err != nil {
		return nil, err
	}
	d := &demand{operator: o, generated: generatedBy(permissions)}
	d.strategy()
	d.webhooks()
	d.apis()
	for i := range o.Objects {
		if err := d.object(&o.Objects[i]); err != nil {
			return nil, err
		}
	}
	return d.needs, nil
}

// withNamespace returns csv as it will be created: names of roles depend on it.
func withNamespace(csv *v1alpha1.ClusterServiceVersion, namespace string) *v1alpha1.ClusterServiceVersion {
	placed := csv.DeepCopy()
	placed.Namespace = namespace
	return placed
}

// demand collects needs.
type demand struct {
	operator  Operator
	generated map[string]bool // "<kind>/<name>" of what is made from the permissions
	needs     []Need
}

func generatedBy(p render.Permissions) map[string]bool {
	made := map[string]bool{}
	for _, sa := range p.ServiceAccounts {
		made["ServiceAccount/"+sa.Name] = true
	}
	for i := range p.Roles {
		made["Role/"+p.Roles[i].Name], made["RoleBinding/"+p.RoleBindings[i].Name] = true, true
	}
	for i := range p.ClusterRoles {
		made["ClusterRole/"+p.ClusterRoles[i].Name], made["ClusterRoleBinding/"+p.ClusterRoleBindings[i].Name] = true, true
	}
	return made
}

func (d *demand) add(n Need) {
	if n.Role == nil && len(n.Rule.Verbs) == 0 {
		return
	}
	if !slices.ContainsFunc(d.needs, n.equals) {
		d.needs = append(d.needs, n)
	}
}

func (n Need) equals(o Need) bool {
	sameRole := n.Role == nil && o.Role == nil || n.Role != nil && o.Role != nil && *n.Role == *o.Role
	return sameRole && n.Namespace == o.Namespace && n.Account == o.Account && n.Granted == o.Granted && n.Item == o.Item && n.Rule.String() == o.Rule.String()
}

// scopes are where Roles of the operator grant their rights.
func (d *demand) scopes() []string {
	if slices.Contains(d.operator.Targets, "") {
		return []string{""}
	}
	scopes := append([]string{d.operator.Namespace}, d.operator.Targets...)
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// strategy adds what the ServiceAccounts of the operator get, and its Deployments.
func (d *demand) strategy() {
	strategy := &d.operator.CSV.Spec.InstallStrategy.StrategySpec
	for _, p := range strategy.Permissions {
		for _, scope := range d.scopes() {
			d.grant(scope, p.ServiceAccountName, p.Rules)
			if scope == "" {
				d.grant(scope, p.ServiceAccountName, []rbacv1.PolicyRule{rule("namespaces", "", "get", "list", "watch")})
			}
		}
	}
	for _, p := range strategy.ClusterPermissions {
		d.grant("", p.ServiceAccountName, p.Rules)
	}
	if len(strategy.DeploymentSpecs) > 0 && d.operator.Predecessor == nil {
		d.add(Need{Namespace: d.operator.Namespace, Rule: rule("deployments", "apps", "create"), Item: -1})
	}
}

func (d *demand) grant(namespace, account string, rules []rbacv1.PolicyRule) {
	d.grantBy(-1, namespace, account, rules)
}

// grantBy adds what an object of the plan grants.
func (d *demand) grantBy(item int, namespace, account string, rules []rbacv1.PolicyRule) {
	for _, r := range rules {
		d.add(Need{Namespace: namespace, Rule: r, Granted: true, Account: account, Item: item})
	}
}

func rule(resource, group string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: []string{resource}}
}

// everything is what a role may come to grant whose rules others decide.
var everything = []rbacv1.PolicyRule{
	{Verbs: []string{rbacv1.VerbAll}, APIGroups: []string{rbacv1.APIGroupAll}, Resources: []string{rbacv1.ResourceAll}},
	{Verbs: []string{rbacv1.VerbAll}, NonResourceURLs: []string{rbacv1.NonResourceAll}},
}

// webhooks adds the right to let the API server call the operator, except for what it
// calls the predecessor for.
func (d *demand) webhooks() {
	const group = "admissionregistration.k8s.io"
	for i := range d.operator.CSV.Spec.WebhookDefinitions {
		w := &d.operator.CSV.Spec.WebhookDefinitions[i]
		if d.calledBefore(w) {
			continue
		}
		switch w.Type {
		case v1alpha1.ValidatingAdmissionWebhook:
			d.act("", "validatingwebhookconfigurations", group)
		case v1alpha1.MutatingAdmissionWebhook:
			d.act("", "mutatingwebhookconfigurations", group)
		case v1alpha1.ConversionWebhook:
			update := rule("customresourcedefinitions", "apiextensions.k8s.io", "update")
			update.ResourceNames = w.ConversionCRDs
			d.add(Need{Rule: update, Lifecycle: true, Item: -1})
		}
	}
}

func (d *demand) calledBefore(w *v1alpha1.WebhookDescription) bool {
	if d.operator.Predecessor == nil {
		return false
	}
	return slices.ContainsFunc(d.operator.Predecessor.Spec.WebhookDefinitions, func(old v1alpha1.WebhookDescription) bool {
		if w.Type == v1alpha1.ConversionWebhook {
			return old.Type == w.Type && slices.Equal(slices.Sorted(slices.Values(old.ConversionCRDs)), slices.Sorted(slices.Values(w.ConversionCRDs)))
		}
		return old.Type == w.Type && slices.EqualFunc(old.Rules, w.Rules, sameWebhookRule)
	})
}

func (d *demand) act(namespace, resource, group string) {
	d.add(Need{Namespace: namespace, Rule: rule(resource, group, "create"), Item: -1})
}

// apis adds what others get for the APIs that the operator owns: whoever has one of the
// default roles gets rights to them, and the pods behind an APIService may ask who calls.
func (d *demand) apis() {
	for _, crd := range d.operator.CSV.Spec.CustomResourceDefinitions.Owned {
		if d.operator.Predecessor != nil && d.operator.Predecessor.OwnsCRD(crd.Name) {
			continue
		}
		plural, group, _ := strings.Cut(crd.Name, ".")
		d.open(plural, group, crd.Name+"-"+crd.Version+"-"+providedapi.Suffixes[0])
	}
	for _, api := range d.operator.CSV.Spec.APIServiceDefinitions.Owned {
		if d.ownedBefore(api) {
			continue
		}
		d.act("", "apiservices", "apiregistration.k8s.io")
		d.open(api.Name, api.Group, "")
		account := serviceAccountOf(d.operator.CSV, api.DeploymentName)
		d.grant("", account, []rbacv1.PolicyRule{
			rule("tokenreviews", "authentication.k8s.io", "create"), rule("subjectaccessreviews", "authorization.k8s.io", "create"),
		})
		reader := rule("configmaps", "", "get", "list", "watch")
		reader.ResourceNames = []string{"extension-apiserver-authentication"}
		d.grant("kube-system", account, []rbacv1.PolicyRule{reader})
	}
}

func (d *demand) open(plural, group, unless string) {
	d.add(Need{Rule: rule(plural, group, rbacv1.VerbAll), Granted: true, Unless: unless, Lifecycle: true, Item: -1})
}

func (d *demand) ownedBefore(api v1alpha1.APIServiceDescription) bool {
	return d.operator.Predecessor != nil && slices.ContainsFunc(d.operator.Predecessor.Spec.APIServiceDefinitions.Owned, func(old v1alpha1.APIServiceDescription) bool {
		return old.GetName() == api.GetName() && old.Name == api.Name
	})
}

// serviceAccountOf returns the ServiceAccount that the pods of a Deployment run as.
func serviceAccountOf(csv *v1alpha1.ClusterServiceVersion, deployment string) string {
	for i := range csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs {
		spec := &csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[i]
		if spec.Name == deployment && spec.Spec.Template.Spec.ServiceAccountName != "" {
			return spec.Spec.Template.Spec.ServiceAccountName
		}
	}
	return "default"
}
