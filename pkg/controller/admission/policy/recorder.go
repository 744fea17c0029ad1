package policy

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"chandler.dev/olm/pkg/controller/admission"
)

// recorder is a policy that writes a record into an annotation.
type recorder struct {
	name      string
	rules     []rule
	when      string // when the annotation may have to change
	key       string
	wanted    string // what the annotation has to be; empty: it must not exist
	obsolete  string // another annotation, which is not true after an update; empty for none
	variables []admissionv1.Variable
}

// rangeAnnotation is a part of what a Subscription asks for.
const rangeAnnotation = "chandler.dev/version-range"

// asked is the expression that a request says what is wanted.
var asked = strings.Join([]string{
	"request.operation == 'CREATE'", "object.?spec != oldObject.?spec",
	"!(" + same(rangeAnnotation) + ")", "!(" + same(admission.AnnotationRequester) + ")",
}, " || ")

// requester records who created a Subscription, CatalogSource or OperatorGroup, or
// changed its spec last. Whoever writes the annotation takes the object over: it is
// they who ask from then on.
func requester(o Options) recorder {
	return recorder{
		name: Recorder,
		rules: []rule{
			{group: operators, resources: []string{"subscriptions", "catalogsources", "operatorgroups"}, update: true},
		},
		when: asked, key: admission.AnnotationRequester, wanted: "variables.record", variables: o.variables(),
		obsolete: admission.AnnotationRequestedFor,
	}
}

// approver records who approved an InstallPlan. A plan whose approval policy changes at
// the same time is not approved by a person: its Subscription became Automatic.
func approver(o Options) recorder {
	flipped := "(request.operation == 'UPDATE' && object.spec.approved && !oldObject.spec.approved && object.spec.approval == oldObject.spec.approval)"
	return recorder{
		name:  "chandler-approver",
		rules: []rule{{group: operators, resources: []string{"installplans"}, update: true}},
		when:  flipped + " || !(" + same(admission.AnnotationApprover) + ")",
		key:   admission.AnnotationApprover,
		wanted: fmt.Sprintf("%s ? variables.record : request.operation == 'CREATE' ? '' : %s",
			flipped, annotation("oldObject", admission.AnnotationApprover)),
		variables: o.variables(),
	}
}

func (r recorder) policy() admissionv1.MutatingAdmissionPolicy {
	path := func(key string) string { return "/metadata/annotations/" + strings.ReplaceAll(key, "/", "~1") }
	has := func(key string) string {
		return fmt.Sprintf("has(object.metadata.annotations) && '%s' in object.metadata.annotations", key)
	}
	patch := fmt.Sprintf(`variables.wanted == ''
  ? (%[1]s ? [JSONPatch{op: "remove", path: "%[2]s"}] : [])
  : (has(object.metadata.annotations) ? [] : [JSONPatch{op: "add", path: "/metadata/annotations", value: Object.metadata.annotations{}}])
    + [JSONPatch{op: "add", path: "%[2]s", value: variables.wanted}]`, has(r.key), path(r.key))
	if r.obsolete != "" {
		patch = fmt.Sprintf(`(%s) + (request.operation == 'UPDATE' && %s ? [JSONPatch{op: "remove", path: "%s"}] : [])`, patch, has(r.obsolete), path(r.obsolete))
	}
	return admissionv1.MutatingAdmissionPolicy{
		TypeMeta: typeMeta("MutatingAdmissionPolicy"), ObjectMeta: meta(r.name),
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			MatchConstraints:   match(nil, r.rules...),
			MatchConditions:    []admissionv1.MatchCondition{{Name: "concerns-the-record", Expression: r.when}},
			Variables:          append(r.variables, admissionv1.Variable{Name: "wanted", Expression: r.wanted}),
			FailurePolicy:      new(admissionv1.Fail),
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{Expression: patch},
			}},
		},
	}
}

func (r recorder) binding() admissionv1.MutatingAdmissionPolicyBinding {
	return admissionv1.MutatingAdmissionPolicyBinding{
		TypeMeta: typeMeta("MutatingAdmissionPolicyBinding"), ObjectMeta: meta(r.name),
		Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: r.name},
	}
}
