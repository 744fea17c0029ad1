// Package admission is about the question whether somebody may have an operator
// installed: who asked, what the operator would be granted, and which of that the
// one who asked does not have. It holds values only; the folder authority asks a
// cluster, the folder policy holds what the API server enforces by itself.
package admission

// Names on objects. Nobody but the API server writes the records: a policy replaces
// what a request says by who makes it.
const (
	// AnnotationRequester is the record of who last created or changed what is asked for.
	AnnotationRequester = "chandler.dev/requester"
	// AnnotationRequestedFor is the list of records of those for whom the lifecycle made
	// a Subscription.
	AnnotationRequestedFor = "chandler.dev/requested-for"
	// AnnotationApprover is the record of who approved an InstallPlan.
	AnnotationApprover = "chandler.dev/approver"
	// AnnotationRelax says what may be installed by somebody who lacks the rights.
	AnnotationRelax = "chandler.dev/install-without-rights"
	// LabelPolicy is "true" on the policies.
	LabelPolicy = "chandler.dev/admission"
)
