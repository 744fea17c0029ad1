package e2e

import (
	"testing"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// route is a request by which somebody could come to rights that they do not have.
type route struct {
	// rights in the namespace, in addition to the ClusterRole edit.
	rights []rbacv1.PolicyRule
	// home is the namespace; empty for one of its own.
	home string
	// plain users have these rights only, and not the ClusterRole edit.
	plain bool
	// before is made by an administrator.
	before func(ns string) []client.Object
	// try is the request.
	try func(t *testing.T, c client.Client, ns string) error
	// want is in the answer.
	want string
}

// policyRoutes are the routes that the API server closes by itself, whether or not a
// controller runs.
var policyRoutes = map[string]route{
	"an OperatorGroup for all namespaces": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			group := ownGroup(ns)
			group.Spec.TargetNamespaces = nil
			return c.Create(t.Context(), group)
		},
		want: `cannot escalate resource "clusterroles" in API group "rbac.authorization.k8s.io" at the cluster scope`,
	},
	"an OperatorGroup for the namespaces of others": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			group := ownGroup(ns)
			group.Spec.TargetNamespaces = []string{ns, "default", "kube-system"}
			return c.Create(t.Context(), group)
		},
		want: `cannot escalate resource "roles" in API group "rbac.authorization.k8s.io" in the namespace "default"`,
	},
	"an OperatorGroup that selects namespaces": {
		rights: olmAdmin, before: func(ns string) []client.Object { return []client.Object{ownGroup(ns)} },
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, ownGroup(ns), `{"spec":{"targetNamespaces":null,"selector":{"matchLabels":{"a":"b"}}}}`)
		},
		want: `cannot escalate resource "clusterroles"`,
	},
	"an OperatorGroup with a service account of somebody else": {
		rights: olmAdmin, plain: true,
		before: func(ns string) []client.Object {
			return []client.Object{&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "mighty"}}}
		},
		try: func(t *testing.T, c client.Client, ns string) error {
			group := ownGroup(ns)
			group.Spec.ServiceAccountName = "mighty"
			return c.Create(t.Context(), group)
		},
		want: `cannot impersonate resource "serviceaccounts" in API group "" in the namespace`,
	},
	"an InstallPlan of one's own": {
		rights: olmAdmin,
		try:    func(t *testing.T, c client.Client, ns string) error { return c.Create(t.Context(), plan(ns)) },
		want:   "only the lifecycle makes InstallPlans",
	},
	"the content of an InstallPlan": {
		rights: olmAdmin, before: func(ns string) []client.Object { return []client.Object{plan(ns)} },
		try: func(t *testing.T, c client.Client, ns string) error {
			p := plan(ns)
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
				t.Fatal(err)
			}
			p.Status = operatorsv1alpha1.InstallPlanStatus{
				Phase: operatorsv1alpha1.InstallPlanPhaseInstalling, CatalogSources: []string{"c"},
				Plan: []*operatorsv1alpha1.Step{{Resolving: "x", Status: operatorsv1alpha1.StepStatusUnknown, Resource: operatorsv1alpha1.StepResource{
					CatalogSource: "c", CatalogSourceNamespace: ns,
					Group: rbacv1.GroupName, Version: "v1", Kind: "ClusterRoleBinding", Name: "jane-is-root",
					Manifest: `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"jane-is-root"}}`,
				}}},
			}
			return c.Status().Update(t.Context(), p)
		},
		want: "only the lifecycle writes this status",
	},
	"what an InstallPlan installs": {
		rights: olmAdmin, before: func(ns string) []client.Object { return []client.Object{plan(ns)} },
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, plan(ns), `{"spec":{"clusterServiceVersionNames":["x","y"]}}`)
		},
		want: "persons approve an InstallPlan and change nothing else in it",
	},
	"for whom an InstallPlan is": {
		rights: olmAdmin, before: func(ns string) []client.Object { return []client.Object{plan(ns)} },
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, plan(ns), `{"metadata":{"ownerReferences":[{"apiVersion":"operators.coreos.com/v1alpha1","kind":"Subscription","name":"of-an-admin","uid":"u"}]}}`)
		},
		want: "the owners of an InstallPlan say for whom it is",
	},
	"the status of a Subscription": {
		rights: olmAdmin, before: func(ns string) []client.Object { return []client.Object{subscription(ns, "p", "olm", "c")} },
		try: func(t *testing.T, c client.Client, ns string) error {
			sub := subscription(ns, "p", "olm", "c")
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(sub), sub); err != nil {
				t.Fatal(err)
			}
			sub.Status.InstalledCSV, sub.Status.LastUpdated = "other", metav1.Now()
			return c.Status().Update(t.Context(), sub)
		},
		want: "only the lifecycle writes this status",
	},
	"a Subscription for somebody else": {
		try: func(t *testing.T, c client.Client, ns string) error {
			sub := subscription(ns, "p", "olm", "c")
			sub.Annotations = map[string]string{"chandler.dev/requested-for": `[{"username":"admin","groups":["system:masters"]}]`}
			return c.Create(t.Context(), sub)
		},
		want: "the annotation chandler.dev/requested-for says whose rights count",
	},
	"the pods of an operator by spec.config": {
		rights: olmAdmin, plain: true,
		try: func(t *testing.T, c client.Client, ns string) error {
			sub := subscription(ns, "p", "olm", "c")
			sub.Spec.Config = &operatorsv1alpha1.SubscriptionConfig{EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "password"},
			}}}}
			return c.Create(t.Context(), sub)
		},
		want: `cannot create resource "deployments" in API group "apps" in the namespace`,
	},
	"the pods of an operator by a later spec.config": {
		rights: olmAdmin, plain: true, before: func(ns string) []client.Object { return []client.Object{subscription(ns, "p", "olm", "c")} },
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, subscription(ns, "p", "olm", "c"), `{"spec":{"config":{"env":[{"name":"LD_PRELOAD","value":"/x.so"}]}}}`)
		},
		want: `cannot create resource "deployments" in API group "apps" in the namespace`,
	},
	"a ClusterServiceVersion with Deployments": {
		rights: olmAdmin, plain: true,
		try: func(t *testing.T, c client.Client, ns string) error {
			return c.Create(t.Context(), ownCSV(ns, operator{pkg: "mine", version: "1.0.0"}))
		},
		want: `cannot create resource "deployments" in API group "apps" in the namespace`,
	},
	"a ClusterServiceVersion with a webhook": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			return c.Create(t.Context(), ownCSV(ns, operator{pkg: "mine", version: "1.0.0", webhook: true}))
		},
		want: `cannot create resource "validatingwebhookconfigurations" in API group "admissionregistration.k8s.io" at the cluster scope`,
	},
	"a webhook in the ClusterServiceVersion of somebody else": {
		rights: olmAdmin, before: func(ns string) []client.Object {
			return []client.Object{ownCSV(ns, operator{pkg: "mine", version: "1.0.0"})}
		},
		try: func(t *testing.T, c client.Client, ns string) error {
			csv := ownCSV(ns, operator{pkg: "mine", version: "1.0.0"})
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(csv), csv); err != nil {
				t.Fatal(err)
			}
			csv.Spec.WebhookDefinitions = []operatorsv1alpha1.WebhookDescription{webhookOnPods("mine")}
			return c.Update(t.Context(), csv)
		},
		want: `cannot create resource "validatingwebhookconfigurations"`,
	},
	"a ClusterServiceVersion that owns the custom resources of others": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			return c.Create(t.Context(), ownCSV(ns, operator{pkg: "mine", version: "1.0.0", crd: "subscriptions.operators.coreos.com"}))
		},
		want: "for which everybody with the role edit or admin gets rights",
	},
	"a ClusterServiceVersion that owns the API of Kubernetes itself": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			csv := ownCSV(ns, operator{pkg: "mine", version: "1.0.0"})
			csv.Spec.APIServiceDefinitions.Owned = []operatorsv1alpha1.APIServiceDescription{{
				Name: "secrets", Group: "", Version: "v1", Kind: "Secret", DeploymentName: "mine",
			}}
			return c.Create(t.Context(), csv)
		},
		want: "brings an APIService, and roles for all who use it",
	},
	"a copied ClusterServiceVersion as an operator of one's own": {
		rights: olmAdmin,
		before: func(ns string) []client.Object {
			csv := ownCSV(ns, operator{pkg: "mine", version: "1.0.0", webhook: true})
			csv.Labels = map[string]string{"olm.copiedFrom": "elsewhere"}
			return []client.Object{csv}
		},
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, ownCSV(ns, operator{pkg: "mine", version: "1.0.0"}), `{"metadata":{"labels":{"olm.copiedFrom":null}}}`)
		},
		want: `cannot create resource "validatingwebhookconfigurations"`,
	},
	"a CatalogSource with secrets that one cannot read": {
		rights: olmAdmin, plain: true,
		try: func(t *testing.T, c client.Client, ns string) error {
			source := catalogAt(ns, "127.0.0.1:1")
			source.Spec.Secrets = []string{"registry"}
			return c.Create(t.Context(), source)
		},
		want: `cannot get resource "secrets" in API group "" in the namespace`,
	},
	"a CatalogSource of a ConfigMap that one cannot read": {
		rights: olmAdmin, plain: true,
		try: func(t *testing.T, c client.Client, ns string) error {
			source := catalogAt(ns, "")
			source.Spec.SourceType, source.Spec.ConfigMap = operatorsv1alpha1.SourceTypeConfigmap, "settings"
			return c.Create(t.Context(), source)
		},
		want: `cannot get resource "configmaps" in API group "" in the namespace`,
	},
	"a CatalogSource that everybody trusts": {
		rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			source := catalogAt(ns, "127.0.0.1:1")
			source.Annotations = map[string]string{relax: "*"}
			return c.Create(t.Context(), source)
		},
		want: "lets others install what they could not grant",
	},
	"a catalog for all": {
		home: "olm", rights: olmAdmin,
		try: func(t *testing.T, c client.Client, ns string) error {
			source := catalogAt(ns, "127.0.0.1:1")
			source.Name = "for-all"
			return c.Create(t.Context(), source)
		},
		want: `cannot create resource "catalogsources" in API group "operators.coreos.com" at the cluster scope`,
	},
	"a namespace in which everything may be installed": {
		rights: []rbacv1.PolicyRule{rule("", "namespaces", "get", "update", "patch")},
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, `{"metadata":{"annotations":{"`+relax+`":"*/*/*"}}}`)
		},
		want: "lets others install what they could not grant",
	},
	"a Role that looks like one of an operator for all namespaces": {
		rights: []rbacv1.PolicyRule{rule(rbacv1.GroupName, "roles", "*"), rule(rbacv1.GroupName, "rolebindings", "*")},
		try: func(t *testing.T, c client.Client, ns string) error {
			return c.Create(t.Context(), &rbacv1.Role{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "wide", Labels: map[string]string{
					"olm.owner": "global.v1", "olm.owner.namespace": ns, "olm.owner.kind": "ClusterServiceVersion",
				}},
				Rules: []rbacv1.PolicyRule{rule("", "configmaps", "get")},
			})
		},
		want: "may extend to other namespaces",
	},
	"a RoleBinding that looks like one of an operator for all namespaces": {
		rights: []rbacv1.PolicyRule{rule(rbacv1.GroupName, "rolebindings", "*")},
		before: func(ns string) []client.Object { return []client.Object{binding(ns, nil)} },
		try: func(t *testing.T, c client.Client, ns string) error {
			return merge(t, c, binding(ns, nil), `{"metadata":{"labels":{"olm.owner":"global.v1","olm.owner.namespace":"`+ns+`","olm.owner.kind":"ClusterServiceVersion"}}}`)
		},
		want: "may extend to other namespaces",
	},
}
