// Package phase is the state machine of a ClusterServiceVersion: Next maps what was
// observed to the next phase and to the one thing to do on the way. It is pure; the
// controller csv observes and acts. Phases, reasons and messages are those that tools
// know from OLM; where the machine differs, a comment at the case says so.
package phase

import (
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
)

// Verdict is why something is not as it must be; the zero value means that it is.
type Verdict struct {
	Reason  v1alpha1.ConditionReason
	Message string
}

// Bad tells whether the verdict objects.
func (v Verdict) Bad() bool { return v.Reason != "" }

// Relative is another ClusterServiceVersion in the chain of replacements.
type Relative struct {
	Name  string // empty: there is none
	Phase v1alpha1.ClusterServiceVersionPhase
}

// Exists tells whether there is such a ClusterServiceVersion.
func (r Relative) Exists() bool { return r.Name != "" }

// Retires tells whether a ClusterServiceVersion in a phase is on its way out.
func Retires(p v1alpha1.ClusterServiceVersionPhase) bool {
	return p == v1alpha1.CSVPhaseReplacing || p == v1alpha1.CSVPhaseDeleting
}

// Health is the state of the Deployments of a ClusterServiceVersion, the worst first.
type Health string

const (
	Expired     Health = "Expired"     // a Deployment exceeded its progress deadline
	Outdated    Health = "Outdated"    // a Deployment is not the one that the spec asks for
	Missing     Health = "Missing"     // a Deployment does not exist
	Unavailable Health = "Unavailable" // a Deployment has too few ready pods
	Progressing Health = "Progressing" // a rollout is going on; enough pods are ready
	Healthy     Health = "Healthy"
)

// Install is the result of looking at the Deployments.
type Install struct {
	Health  Health
	Message string // what the first unhealthy Deployment waits for
}

// Serving is the state of what lets the API server call the operator: certificates,
// Services, webhook configurations, conversion and APIServices. The zero value means
// that there is nothing to serve or that all of it works.
type Serving struct {
	Broken      string // objects that do not fit together, for example a CA and a certificate
	Unadoptable bool   // Broken is about an APIService that belongs to somebody else
	Rotate      bool   // a certificate is in its last day
	Off         string // what is not switched on as the spec asks, for example a webhook configuration
	Unavailable string // what is switched on but does not answer yet
}

// Observation is all that Next needs to know about one ClusterServiceVersion.
type Observation struct {
	Phase   v1alpha1.ClusterServiceVersionPhase
	Reason  v1alpha1.ConditionReason
	Message string
	Elapsed time.Duration // since the phase was entered

	Membership  Verdict // objections of the OperatorGroups: none, too many, install mode, API conflict
	Strategy    Verdict // the install strategy cannot be carried out as it is written
	Webhooks    Verdict // a webhook description is not allowed
	Ownership   Verdict // somebody else owns an API of this one
	Gate        string  // why the version that this one replaces refuses to be upgraded
	Unmet       bool    // a requirement is not satisfied
	FailForward bool    // the OperatorGroup lets a Failed version be replaced

	Predecessor Relative // what spec.replaces names, if it exists
	Successor   Relative // what replaces this one directly
	Superseded  bool     // some version further up the chain has Succeeded

	Install Install
	Drifted bool // somebody changed a Deployment behind the lifecycle's back
	Taken   bool // another version has taken over one of the Deployments
	Serving Serving
}

// Action is what the controller does before it records a Decision.
type Action string

const (
	Nothing  Action = ""
	Apply    Action = "Apply"    // create or update Deployments and what they need
	SwitchOn Action = "SwitchOn" // let the API server call the pods, which are ready
	Delete   Action = "Delete"   // delete the ClusterServiceVersion
	TearDown Action = "TearDown" // delete the Deployments: the APIs belong to another group
)

const (
	firstWait = time.Second // bounds of waitFor
	lastWait  = time.Minute
)

// Decision is the status to record and the action that comes first.
type Decision struct {
	Phase   v1alpha1.ClusterServiceVersionPhase
	Reason  v1alpha1.ConditionReason
	Message string
	Do      Action
	// Recheck is when to look again although no watch may fire; zero relies on watches.
	Recheck time.Duration
}

// Changes tells whether d differs from what the status says.
func (d Decision) Changes(o Observation) bool {
	return d.Phase != o.Phase || d.Reason != o.Reason || d.Message != o.Message
}

func stay(o Observation) Decision {
	return Decision{Phase: o.Phase, Reason: o.Reason, Message: o.Message}
}

func move(to v1alpha1.ClusterServiceVersionPhase, reason v1alpha1.ConditionReason, message string) Decision {
	return Decision{Phase: to, Reason: reason, Message: message}
}

func fail(v Verdict) Decision { return move(v1alpha1.CSVPhaseFailed, v.Reason, v.Message) }

// waitFor is the delay before looking again at what no watch covers, such as RBAC that
// a person makes by hand: short at first, and then the longer the less hope there is.
func waitFor(elapsed time.Duration) time.Duration {
	return min(max(elapsed/4, firstWait), lastWait)
}
