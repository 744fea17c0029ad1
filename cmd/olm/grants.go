package main

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/install"
)

// grantsName is the name of the roles of the controller.
const grantsName = "chandler-olm"

// grants are the ServiceAccount of a controller that runs in the cluster and
// the rights that it needs. A test lets it install operators and finds no
// request that is refused.
func grants(namespace, account string) []client.Object {
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}}
	return []client.Object{
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: grantsName}, Rules: clusterRules()},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: grantsName}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: grantsName},
		},
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: grantsName}, Rules: []rbacv1.PolicyRule{
			rule("coordination.k8s.io", []string{"get", "create", "update"}, "leases"),
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: grantsName}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: grantsName},
		},
	}
}

func clusterRules() []rbacv1.PolicyRule {
	everything := []string{"get", "list", "watch", "create", "update", "patch", "delete"}
	rules := []rbacv1.PolicyRule{
		// Its own kinds.
		rule("operators.coreos.com", everything, "*"),
		// What a ClusterServiceVersion is made into.
		rule("", everything, "serviceaccounts", "services", "secrets", "configmaps"),
		rule("apps", everything, "deployments"),
		rule("apiextensions.k8s.io", everything, "customresourcedefinitions"),
		rule("apiextensions.k8s.io", []string{"update", "patch"}, "customresourcedefinitions/status"),
		rule("apiregistration.k8s.io", everything, "apiservices"),
		rule("admissionregistration.k8s.io", everything, "validatingwebhookconfigurations", "mutatingwebhookconfigurations"),
		// Operators get rights that the controller itself does not have.
		rule(rbacv1.GroupName, append([]string{"escalate", "bind"}, everything...), "roles", "rolebindings", "clusterroles", "clusterrolebindings"),
		// Where an OperatorGroup names a ServiceAccount, everything is done with its rights.
		rule("", []string{"impersonate"}, "serviceaccounts"),
		rule("authentication.k8s.io", []string{"impersonate"}, "userextras/"+install.ExtraLifecycle),
		rule("authorization.k8s.io", []string{"create"}, "subjectaccessreviews", "selfsubjectaccessreviews"),
		// OperatorGroups select namespaces by labels and mark them.
		rule("", []string{"get", "list", "watch", "update", "patch"}, "namespaces"),
		rule("", []string{"create", "patch"}, "events"),
		rule("events.k8s.io", []string{"create", "patch"}, "events"),
		// Objects of a kind whose definition changes are checked against the new schema, stored
		// again when a version goes away, and watched while they keep a plan from going on. The
		// kinds are those of all operators. Who may escalate could grant this to itself anyway.
		{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch", "update"}},
		{NonResourceURLs: []string{"/version", "/version/"}, Verbs: []string{"get"}},
	}
	// Other kinds that bundles may bring.
	return append(rules,
		rule("policy", everything, "poddisruptionbudgets"),
		rule("scheduling.k8s.io", everything, "priorityclasses"),
		rule("networking.k8s.io", everything, "networkpolicies"),
		rule("autoscaling.k8s.io", everything, "verticalpodautoscalers"),
		rule("monitoring.coreos.com", everything, "prometheusrules", "servicemonitors"),
		rule("console.openshift.io", everything, "consoleyamlsamples", "consolequickstarts", "consoleclidownloads", "consolelinks", "consoleplugins"),
	)
}

func rule(group string, verbs []string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
}
