package policy

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"chandler.dev/olm/pkg/controller/admission"
	"chandler.dev/olm/pkg/install"
)

const lifecycle = install.ExtraLifecycle

// copied is the label of copies of a ClusterServiceVersion.
const copied = "olm.copiedFrom"

func guards(o Options) []guard {
	return []guard{
		records(o), statuses(), installPlans(), subscriptions(), clusterServiceVersions(),
		operatorGroups(), catalogSources(), globalCatalogs(o), roles(), relaxations(),
	}
}

// records refuses a record that is not true, so that one that is there can be believed
// even if something else than the recorder wrote it.
func records(o Options) guard {
	untouched := fmt.Sprintf("request.operation == 'UPDATE' && object.?spec == oldObject.?spec && %s && %s",
		same(rangeAnnotation), same(admission.AnnotationRequester))
	return guard{
		name: Recorder,
		rules: []rule{
			{group: operators, resources: []string{"subscriptions", "catalogsources", "operatorgroups"}, update: true},
		},
		when:      []admissionv1.MatchCondition{{Name: "concerns-the-record", Expression: "!(" + untouched + ")"}},
		variables: o.variables(),
		checks: []check{{
			expression: annotation("object", admission.AnnotationRequester) + " == variables.record",
			message:    `'the annotation ` + admission.AnnotationRequester + ` does not say that user "' + request.userInfo.username + '" makes this request: run olm setup again'`,
		}},
	}
}

// statuses keeps persons from writing what only the lifecycle finds out or decides: it
// executes what is in the status of an InstallPlan.
func statuses() guard {
	return guard{
		name: "chandler-status",
		rules: []rule{{group: operators, update: true, resources: []string{
			"installplans/status", "clusterserviceversions/status", "subscriptions/status", "operatorgroups/status", "catalogsources/status",
		}}},
		when:   persons(),
		checks: []check{never("only the lifecycle writes this status")},
	}
}

// installPlans lets persons approve plans, and nothing else.
func installPlans() guard {
	const approvalOnly = `object.spec.all(k, k == 'approved' || k in oldObject.spec && object.spec[k] == oldObject.spec[k]) && oldObject.spec.all(k, k in object.spec)`
	const ownersKept = `object.metadata.?ownerReferences.orValue([]).all(o, oldObject.metadata.?ownerReferences.orValue([]).exists(p, p.uid == o.uid && p.name == o.name))`
	return guard{
		name:  "chandler-installplan",
		rules: []rule{{group: operators, resources: []string{"installplans"}, update: true}},
		when:  persons(),
		checks: []check{
			{"request.operation != 'CREATE'", anything.lacks("only the lifecycle makes InstallPlans")},
			{"request.operation == 'CREATE' || " + approvalOnly, anything.lacks("persons approve an InstallPlan and change nothing else in it")},
			{"request.operation == 'CREATE' || " + ownersKept, anything.lacks("the owners of an InstallPlan say for whom it is")},
		},
	}
}

// subscriptions guards what a Subscription says besides which operator it wants.
func subscriptions() guard {
	config := "has(object.spec.config) && (request.operation == 'CREATE' || object.spec.config != oldObject.spec.?config.orValue(null))"
	return guard{
		name:  "chandler-subscription",
		rules: []rule{{group: operators, resources: []string{"subscriptions"}, update: true}},
		when:  persons(),
		checks: []check{
			needs(config, inNamespace("create", "apps", "deployments"), "spec.config changes the pods of the operator"),
			{same(admission.AnnotationRequestedFor) + " || " + annotation("object", admission.AnnotationRequestedFor) + " == ''", anything.lacks("the annotation " + admission.AnnotationRequestedFor + " says whose rights count")},
		},
	}
}

func inNamespace(verb, group, resource string) right {
	return right{verb: verb, group: group, resource: resource, namespace: "request.namespace"}
}

// clusterServiceVersions guards what happens for a ClusterServiceVersion that a person
// writes: Deployments, and what the API server calls.
func clusterServiceVersions() guard {
	isCopy := func(object string) string {
		return fmt.Sprintf("'%s' in %s.metadata.?labels.orValue({})", copied, object)
	}
	differs := func(path string) string {
		return fmt.Sprintf("(variables.fresh || object.spec.%[1]s.orValue([]) != oldObject.spec.%[1]s.orValue([])) && object.spec.%[1]s.orValue([]).size() > 0", path)
	}
	return guard{
		name:  "chandler-clusterserviceversion",
		rules: []rule{{group: operators, resources: []string{"clusterserviceversions"}, update: true}},
		when:  append(persons(), admissionv1.MatchCondition{Name: "is-not-a-copy", Expression: "!(" + isCopy("object") + ")"}),
		variables: []admissionv1.Variable{
			// A copy that loses its label is an operator of its own from then on.
			{Name: "fresh", Expression: "request.operation == 'CREATE' || " + isCopy("oldObject")},
		},
		checks: []check{
			needs(differs("?install.?spec.?deployments"), inNamespace("create", "apps", "deployments"), "the ClusterServiceVersion brings Deployments"),
			needs(differs("?webhookdefinitions"), right{verb: "create", group: "admissionregistration.k8s.io", resource: "validatingwebhookconfigurations"},
				"the ClusterServiceVersion brings webhooks"),
			needs(differs("?webhookdefinitions"), right{verb: "create", group: "admissionregistration.k8s.io", resource: "mutatingwebhookconfigurations"},
				"the ClusterServiceVersion brings webhooks"),
			needs(differs("?webhookdefinitions"), right{verb: "update", group: "apiextensions.k8s.io", resource: "customresourcedefinitions"},
				"the webhooks of a ClusterServiceVersion may convert custom resources"),
			{"!(" + differs("?apiservicedefinitions.?owned") + ")", anything.lacks("the ClusterServiceVersion brings an APIService, and roles for all who use it")},
			{"!(" + differs("?customresourcedefinitions.?owned") + ")", anything.lacks("the ClusterServiceVersion owns custom resources, for which everybody with the role edit or admin gets rights")},
		},
	}
}

// maxTargets is how many targets of an OperatorGroup a person may name who may not
// grant any right. (An expression may ask for two rights at most.)
const maxTargets = 20

// operatorGroups guards whom the operators of a namespace get rights from and where.
func operatorGroups() guard {
	account := "has(object.spec) && object.spec.?serviceAccountName.orValue('') != '' && (request.operation == 'CREATE' || object.spec.serviceAccountName != oldObject.?spec.?serviceAccountName.orValue(''))"
	impersonate := right{verb: "impersonate", resource: "serviceaccounts", namespace: "request.namespace", name: "object.spec.serviceAccountName"}
	token := right{verb: "create", resource: "serviceaccounts", subresource: "token", namespace: "request.namespace", name: "object.spec.serviceAccountName"}
	g := guard{
		name:  "chandler-operatorgroup",
		rules: []rule{{group: operators, resources: []string{"operatorgroups"}, update: true}},
		when:  persons(),
		variables: []admissionv1.Variable{
			{Name: "targets", Expression: "object.?spec.?targetNamespaces.orValue([])"},
			{Name: "changed", Expression: "request.operation == 'CREATE' || variables.targets != oldObject.?spec.?targetNamespaces.orValue([]) || object.?spec.?selector != oldObject.?spec.?selector"},
		},
		checks: []check{
			{
				"!(" + account + ") || " + impersonate.held() + " || " + token.held(),
				impersonate.lacks("spec.serviceAccountName makes the lifecycle act as the service account"),
			},
			{"!variables.changed || variables.targets.size() > 0", anything.lacks("without spec.targetNamespaces the operators of this namespace get rights in others")},
			{fmt.Sprintf("!variables.changed || variables.targets.size() <= %d", maxTargets), anything.lacks(fmt.Sprintf("spec.targetNamespaces names more than %d namespaces", maxTargets))},
		},
	}
	for i := range maxTargets {
		target := fmt.Sprintf("variables.targets[%d]", i)
		g.checks = append(g.checks, needs(
			fmt.Sprintf("variables.changed && variables.targets.size() > %d && %s != request.namespace", i, target),
			right{verb: "escalate", group: rbac, resource: "roles", namespace: target}, "spec.targetNamespaces gives the operators of this namespace rights there"))
	}
	return g
}

// catalogSources guards what the lifecycle reads for a CatalogSource.
func catalogSources() guard {
	changed := func(field, none string) string {
		return fmt.Sprintf("object.spec.?%[1]s.orValue(%[2]s) != %[2]s && (request.operation == 'CREATE' || object.spec.?%[1]s != oldObject.spec.?%[1]s)", field, none)
	}
	return guard{
		name:  "chandler-catalogsource",
		rules: []rule{{group: operators, resources: []string{"catalogsources"}, update: true}},
		when:  persons(),
		checks: []check{
			needs(changed("secrets", "[]"), inNamespace("get", "", "secrets"), "spec.secrets makes the lifecycle use them"),
			needs(changed("configMap", "''"), inNamespace("get", "", "configmaps"), "spec.configMap makes the lifecycle read it"),
		},
	}
}

// globalCatalogs guards the catalogs that every namespace installs from.
func globalCatalogs(o Options) guard {
	return guard{
		name:  "chandler-global-catalogsource",
		rules: []rule{{group: operators, resources: []string{"catalogsources"}, update: true}},
		when: append(persons(),
			admissionv1.MatchCondition{Name: "every-namespace-sees-it", Expression: fmt.Sprintf("request.namespace == '%s'", o.CatalogNamespace)},
			admissionv1.MatchCondition{Name: "says-something-else", Expression: "request.operation == 'CREATE' || object.?spec != oldObject.?spec"}),
		checks: []check{needs("true", right{verb: "create", group: operators, resource: "catalogsources"}, "every namespace installs from the catalogs of this one")},
	}
}

// roles guards the label by which the lifecycle knows which roles belong to an operator:
// it gives what such a role grants in all namespaces that the operator serves.
func roles() guard {
	const kept = `request.operation == 'UPDATE' && object.?rules == oldObject.?rules && object.?roleRef == oldObject.?roleRef && object.?subjects == oldObject.?subjects && object.metadata.?labels == oldObject.metadata.?labels`
	return guard{
		name:     "chandler-role",
		selector: &metav1.LabelSelector{MatchLabels: map[string]string{"olm.owner.kind": "ClusterServiceVersion"}},
		rules:    []rule{{group: rbac, resources: []string{"roles", "rolebindings"}, update: true}},
		when:     append(persons(), admissionv1.MatchCondition{Name: "says-something-else", Expression: "!(" + kept + ")"}),
		checks:   []check{never(`the label olm.owner.kind marks roles that the lifecycle may extend to other namespaces`)},
	}
}

// relaxations guards the annotation by which an administrator spares others the check.
func relaxations() guard {
	return guard{
		name: "chandler-relaxation",
		rules: []rule{
			{resources: []string{"namespaces"}, update: true},
			{group: operators, resources: []string{"catalogsources"}, update: true},
		},
		when: append(persons(), admissionv1.MatchCondition{
			Name: "concerns-the-annotation", Expression: "!(" + same(admission.AnnotationRelax) + ")",
		}),
		checks: []check{never("the annotation " + admission.AnnotationRelax + " lets others install what they could not grant")},
	}
}
