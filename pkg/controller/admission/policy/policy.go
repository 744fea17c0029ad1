// Package policy holds the admission policies that `olm setup` installs: plain
// objects of the API server, in force whether or not a controller runs. One
// records who asks for something; the others refuse requests that would let
// somebody act with the rights of the lifecycle. It holds values only.
//
// A policy spares whoever may grant any right anyway: the right to "escalate"
// clusterroles at the cluster scope, which administrators and the lifecycle
// have.
package policy

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"chandler.dev/olm/pkg/controller/admission"
)

// Recorder is the name of the policy that records who asks.
const Recorder = "chandler-requester"

// epochVariable is the variable of the Recorder that holds the epoch.
const epochVariable = "epoch"

// Options are what the policies of a cluster depend on.
type Options struct {
	// CatalogNamespace holds the catalogs that every namespace sees.
	CatalogNamespace string
	// Epoch marks the records that were made since the policies are in force.
	// It is a secret until then, so that none can be made before.
	Epoch string
}

// Set is everything that has to be installed.
type Set struct {
	Mutating           []admissionv1.MutatingAdmissionPolicy
	MutatingBindings   []admissionv1.MutatingAdmissionPolicyBinding
	Validating         []admissionv1.ValidatingAdmissionPolicy
	ValidatingBindings []admissionv1.ValidatingAdmissionPolicyBinding
}

// Of returns the policies of a cluster.
func Of(o Options) Set {
	var s Set
	for _, r := range []recorder{requester(o), approver(o)} {
		s.Mutating = append(s.Mutating, r.policy())
		s.MutatingBindings = append(s.MutatingBindings, r.binding())
	}
	for _, g := range guards(o) {
		s.Validating = append(s.Validating, g.policy())
		s.ValidatingBindings = append(s.ValidatingBindings, g.binding())
	}
	return s
}

// Guards are the names of the policies that refuse requests.
func Guards() []string {
	var names []string
	for _, g := range guards(Options{}) {
		names = append(names, g.name)
	}
	return names
}

// EpochOf returns the epoch of an installed Recorder; empty if it has none.
func EpochOf(p *admissionv1.MutatingAdmissionPolicy) string {
	for _, v := range p.Spec.Variables {
		if v.Name == epochVariable {
			return strings.Trim(v.Expression, "'")
		}
	}
	return ""
}

// rule is what a policy looks at.
type rule struct {
	group     string
	resources []string
	update    bool // also changes, not only creations
	onlyLater bool // only changes
}

func (r rule) named() admissionv1.NamedRuleWithOperations {
	operations := []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}
	switch {
	case r.onlyLater:
		operations = operations[1:]
	case !r.update:
		operations = operations[:1]
	}
	return admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: operations,
		Rule: admissionv1.Rule{
			APIGroups: []string{r.group}, APIVersions: []string{"*"}, Resources: r.resources, Scope: new(admissionv1.AllScopes),
		},
	}}
}

func match(selector *metav1.LabelSelector, rules ...rule) *admissionv1.MatchResources {
	m := &admissionv1.MatchResources{
		MatchPolicy: new(admissionv1.Equivalent), NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: selector,
	}
	if selector == nil {
		m.ObjectSelector = &metav1.LabelSelector{}
	}
	for _, r := range rules {
		m.ResourceRules = append(m.ResourceRules, r.named())
	}
	return m
}

// annotation is the expression for the value of an annotation of object or
// oldObject, empty if there is none.
func annotation(object, key string) string {
	return fmt.Sprintf("%s.metadata.?annotations[?'%s'].orValue('')", object, key)
}

// same is the expression that an annotation did not change; on creation, that
// there is none.
func same(key string) string {
	return fmt.Sprintf("(request.operation == 'CREATE' ? '' : %s) == %s", annotation("oldObject", key), annotation("object", key))
}

// record is the expression for the record of the user who makes the request,
// as package admission reads it.
const record = `'{"username":' + strings.quote(request.userInfo.username)` +
	` + ',"uid":' + strings.quote(has(request.userInfo.uid) ? request.userInfo.uid : '')` +
	` + ',"groups":[' + (has(request.userInfo.groups) && request.userInfo.groups.size() <= 500 ? request.userInfo.groups.map(g, strings.quote(g)).join(',') : '') + ']'` +
	` + ',"epoch":' + strings.quote(variables.` + epochVariable + `) + '}'`

func (o Options) variables() []admissionv1.Variable {
	return []admissionv1.Variable{
		{Name: epochVariable, Expression: "'" + o.Epoch + "'"},
		{Name: "record", Expression: record},
	}
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{admission.LabelPolicy: "true"}}
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: kind}
}
