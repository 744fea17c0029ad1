package policy

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	operators = "operators.coreos.com"
	rbac      = "rbac.authorization.k8s.io"
)

// guard is a policy that refuses requests.
type guard struct {
	name     string
	selector *metav1.LabelSelector
	rules    []rule
	// when are conditions under which the guard looks at a request at all.
	when      []admissionv1.MatchCondition
	variables []admissionv1.Variable
	checks    []check
}

// check is what must hold of a request.
type check struct {
	expression string
	message    string // an expression
}

// right is a right as the API server knows it. Namespace is an expression; empty for the
// cluster scope.
type right struct {
	verb, group, resource, subresource string
	namespace, name                    string // expressions
}

// held is the expression that the user of the request has the right.
func (r right) held() string {
	e := fmt.Sprintf("authorizer.group('%s').resource('%s')", r.group, r.resource)
	if r.subresource != "" {
		e += fmt.Sprintf(".subresource('%s')", r.subresource)
	}
	if r.namespace != "" {
		e += fmt.Sprintf(".namespace(%s)", r.namespace)
	}
	if r.name != "" {
		e += fmt.Sprintf(".name(%s)", r.name)
	}
	return e + fmt.Sprintf(".check('%s').allowed()", r.verb)
}

// lacks is the expression for a sentence: who lacks the right and what it is for.
func (r right) lacks(why string) string {
	where := " at the cluster scope: "
	if r.namespace != "" {
		where = fmt.Sprintf(` in the namespace "' + %s + '": `, r.namespace)
	}
	resource := r.resource
	if r.subresource != "" {
		resource += "/" + r.subresource
	}
	return fmt.Sprintf(`'user "' + request.userInfo.username + '" cannot %s resource "%s" in API group "%s"%s%s'`, r.verb, resource, r.group, where, why)
}

// needs is the check that the user has a right if the expression when holds.
func needs(when string, r right, why string) check {
	return check{expression: fmt.Sprintf("!(%s) || %s", when, r.held()), message: r.lacks(why)}
}

// anything is the right to grant any right.
var anything = right{verb: "escalate", group: rbac, resource: "clusterroles"}

// never refuses whatever the guard looks at.
func never(why string) check { return check{expression: "false", message: anything.lacks(why)} }

// persons is the condition that neither somebody who may grant any right nor the
// lifecycle in the name of somebody makes the request.
func persons() []admissionv1.MatchCondition {
	return []admissionv1.MatchCondition{
		{Name: "not-the-lifecycle", Expression: `!has(request.userInfo.extra) || !('` + lifecycle + `' in request.userInfo.extra)`},
		{Name: "may-not-grant-any-right", Expression: "!" + anything.held()},
	}
}

func (g guard) policy() admissionv1.ValidatingAdmissionPolicy {
	p := admissionv1.ValidatingAdmissionPolicy{
		TypeMeta: typeMeta("ValidatingAdmissionPolicy"), ObjectMeta: meta(g.name),
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: match(g.selector, g.rules...), MatchConditions: g.when,
			Variables: g.variables, FailurePolicy: new(admissionv1.Fail),
		},
	}
	for _, c := range g.checks {
		p.Spec.Validations = append(p.Spec.Validations, admissionv1.Validation{
			Expression: c.expression, MessageExpression: c.message, Reason: new(metav1.StatusReasonForbidden),
		})
	}
	return p
}

func (g guard) binding() admissionv1.ValidatingAdmissionPolicyBinding {
	return admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta: typeMeta("ValidatingAdmissionPolicyBinding"), ObjectMeta: meta(g.name),
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: g.name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
}
