package phase

import (
	"fmt"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"

	"chandler.dev/olm/pkg/failure"
)

const (
	// installTimeout is how long Deployments may take before the install counts as failed.
	installTimeout = 5 * time.Minute
	// patience is how long an install runs before the status names what it waits for;
	// a usual one is over by then and costs no further write.
	patience = 3 * time.Second
)

// Next decides what follows from an observation. Every observation has one answer; a
// decision that changes nothing and does nothing is the resting state.
func Next(o Observation) Decision {
	if o.Membership.Bad() && o.Phase != v1alpha1.CSVPhaseDeleting {
		return outside(o)
	}
	switch o.Phase {
	case v1alpha1.CSVPhasePending:
		return nextPending(o)
	case v1alpha1.CSVPhaseInstallReady:
		return nextInstallReady(o)
	case v1alpha1.CSVPhaseInstalling:
		return nextInstalling(o)
	case v1alpha1.CSVPhaseSucceeded:
		return nextSucceeded(o)
	case v1alpha1.CSVPhaseFailed:
		return nextFailed(o)
	case v1alpha1.CSVPhaseReplacing:
		return nextReplacing(o)
	case v1alpha1.CSVPhaseDeleting:
		d := stay(o)
		d.Do = Delete
		return d
	default: // new, or a phase that nobody defined
		return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonRequirementsUnknown, "requirements not yet checked")
	}
}

// outside is the answer while the OperatorGroups of the namespace do not let the CSV run.
func outside(o Observation) Decision {
	d := fail(o.Membership)
	switch o.Membership.Reason {
	case v1alpha1.CSVReasonInterOperatorGroupOwnerConflict, v1alpha1.CSVReasonCannotModifyStaticOperatorGroupProvidedAPIs:
		if o.Install.Health != Missing {
			d.Do = TearDown
		}
	default:
	}
	return d
}

func nextPending(o Observation) Decision {
	switch {
	case o.Gate != "":
		return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonOperatorConditionNotUpgradeable, "operator is not upgradeable: "+o.Gate)
	case o.Strategy.Bad():
		return fail(o.Strategy)
	case o.Unmet && o.Successor.Exists():
		// The successor's plan brings its definitions before the successor itself, and with
		// them may take what this version requires. OLM then has two versions that wait for
		// each other for ever.
		return move(v1alpha1.CSVPhaseReplacing, v1alpha1.CSVReasonBeingReplaced, "being replaced by csv: "+o.Successor.Name)
	case o.Unmet:
		d := move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonRequirementsNotMet, "one or more requirements couldn't be found")
		d.Recheck = waitFor(o.Elapsed)
		return d
	case o.Webhooks.Bad():
		return fail(o.Webhooks)
	case o.Ownership.Bad():
		return fail(o.Ownership)
	case o.Predecessor.Phase == v1alpha1.CSVPhaseFailed:
		// OLM waits here for ever without a word.
		return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonRequirementsMet, fmt.Sprintf(
			"waiting to replace %q, which is Failed: repair it, delete it, or set spec.upgradeStrategy of the OperatorGroup to TechPreviewUnsafeFailForward", o.Predecessor.Name))
	case o.Predecessor.Exists() && o.Predecessor.Phase != v1alpha1.CSVPhaseReplacing && o.Predecessor.Phase != v1alpha1.CSVPhaseDeleting:
		return stay(o)
	default:
		return move(v1alpha1.CSVPhaseInstallReady, v1alpha1.CSVReasonRequirementsMet, "all requirements found, attempting install")
	}
}

func nextInstallReady(o Observation) Decision {
	if o.Strategy.Bad() {
		return fail(o.Strategy)
	}
	d := move(v1alpha1.CSVPhaseInstalling, v1alpha1.CSVReasonInstallSuccessful, "waiting for install components to report healthy")
	d.Do = Apply
	return d
}

// AfterFailure is the decision that replaces d when its action failed for a reason that
// somebody has to cure; o is the observation that the pass began with. Rights and
// namespaces are cured without a sign that a watch would see, so it is tried again: soon
// at first, then ever less often.
func AfterFailure(d Decision, o Observation, err error) Decision {
	if d.Do != Apply && d.Do != SwitchOn {
		return d
	}
	reason := v1alpha1.CSVReasonComponentFailed
	if failure.KindOf(err) == failure.Blocked {
		// OLM does not try again until it sees a Role or ServiceAccount change.
		reason = v1alpha1.CSVReasonComponentFailedNoRetry
	}
	after := move(v1alpha1.CSVPhaseFailed, reason, "install strategy failed: "+err.Error())
	after.Recheck = firstWait
	if o.Phase == v1alpha1.CSVPhaseFailed {
		after.Recheck = waitFor(o.Elapsed)
	}
	return after
}

func nextInstalling(o Observation) Decision {
	switch {
	case o.Serving.Broken != "", o.Serving.Rotate:
		return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonNeedsReinstall, "calculated deployment install is bad")
	case o.Install.Health == Expired:
		return move(v1alpha1.CSVPhaseFailed, v1alpha1.CSVReasonInstallCheckFailed, "install failed: "+o.Install.Message)
	case o.Install.Health == Outdated, o.Install.Health == Missing:
		// OLM waits five minutes for a Deployment that nobody will make: it was deleted, or
		// the version that this one replaces wrote it back in the same moment.
		return move(v1alpha1.CSVPhaseInstallReady, v1alpha1.CSVReasonWaiting, "installing: "+o.Install.Message)
	case o.Elapsed >= installTimeout && !done(o):
		return move(v1alpha1.CSVPhaseFailed, v1alpha1.CSVReasonInstallCheckFailed, "install timeout")
	case done(o):
		return succeeded()
	}
	d := move(v1alpha1.CSVPhaseInstalling, v1alpha1.CSVReasonWaiting, waitingMessage(o))
	d.Recheck = installTimeout - o.Elapsed
	if o.Elapsed < patience && o.Reason == v1alpha1.CSVReasonInstallSuccessful {
		d = stay(o)
		d.Recheck = patience - o.Elapsed
	}
	if o.Install.Health == Healthy && o.Serving.Off != "" {
		// OLM writes webhooks and conversion before a pod can answer them.
		d.Do = SwitchOn
	}
	return d
}

// done tells whether the Deployments run and are served.
func done(o Observation) bool {
	return o.Install.Health == Healthy && o.Serving.Off == "" && o.Serving.Unavailable == ""
}

func waitingMessage(o Observation) string {
	switch {
	case o.Install.Health != Healthy:
		return "installing: " + o.Install.Message
	case o.Serving.Off != "":
		return o.Serving.Off
	default:
		return o.Serving.Unavailable
	}
}

func succeeded() Decision {
	return move(v1alpha1.CSVPhaseSucceeded, v1alpha1.CSVReasonInstallSuccessful, "install strategy completed with no errors")
}

func nextSucceeded(o Observation) Decision {
	switch {
	case o.Successor.Exists():
		return move(v1alpha1.CSVPhaseReplacing, v1alpha1.CSVReasonBeingReplaced, "being replaced by csv: "+o.Successor.Name)
	case o.Serving.Broken != "":
		return move(v1alpha1.CSVPhaseFailed, v1alpha1.CSVReasonAPIServiceResourceIssue, o.Serving.Broken)
	case o.Serving.Rotate:
		return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonNeedsCertRotation, "CSV owns resources that require a cert refresh")
	case o.Strategy.Bad():
		return fail(o.Strategy)
	case o.Unmet:
		return move(v1alpha1.CSVPhaseFailed, v1alpha1.CSVReasonRequirementsNotMet, "requirements no longer met")
	case o.Install.Health == Outdated:
		return move(v1alpha1.CSVPhaseInstallReady, v1alpha1.CSVReasonComponentUnhealthy, "installing: "+o.Install.Message)
	case o.Install.Health == Expired, o.Install.Health == Missing, o.Install.Health == Unavailable:
		return move(v1alpha1.CSVPhaseFailed, v1alpha1.CSVReasonComponentUnhealthy, "installing: "+o.Install.Message)
	case o.Serving.Off != "":
		// OLM fails and reinstalls; what somebody deleted is put back without an outage.
		d := stay(o)
		d.Do = SwitchOn
		return d
	case o.Serving.Unavailable != "":
		return move(v1alpha1.CSVPhaseFailed, v1alpha1.CSVReasonComponentUnhealthy, o.Serving.Unavailable)
	case o.Drifted:
		// OLM compares a label only and lets a changed Deployment be.
		d := stay(o)
		d.Do = Apply
		return d
	default:
		// A rollout with enough ready pods (Progressing) is no failure: a changed number of
		// replicas or a restart must not make OLM's detour through Failed.
		return stay(o)
	}
}

// recovered are the reasons of Failed that the OperatorGroups had and no longer have.
var recovered = map[v1alpha1.ConditionReason]string{
	v1alpha1.CSVReasonNoTargetNamespaces:                          "InstallModes now support target namespaces",
	v1alpha1.CSVReasonNoOperatorGroup:                             "InstallModes now support target namespaces",
	v1alpha1.CSVReasonTooManyOperatorGroups:                       "InstallModes now support target namespaces",
	v1alpha1.CSVReasonUnsupportedOperatorGroup:                    "InstallModes now support target namespaces",
	v1alpha1.CSVReasonInvalidInstallModes:                         "InstallModes now support target namespaces",
	v1alpha1.CSVReasonInterOperatorGroupOwnerConflict:             "OperatorGroup no longer intersecting with conflicting owner",
	v1alpha1.CSVReasonCannotModifyStaticOperatorGroupProvidedAPIs: "static OperatorGroup and intersecting groups now support providedAPIs",
}

func nextFailed(o Observation) Decision {
	if o.FailForward && o.Successor.Exists() {
		return move(v1alpha1.CSVPhaseReplacing, v1alpha1.CSVReasonBeingReplaced,
			"Fail Forward is enabled, allowing Failed csv to be replaced by csv: "+o.Successor.Name)
	}
	if message, ok := recovered[o.Reason]; ok {
		return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonRequirementsUnknown, message)
	}
	switch {
	case o.Strategy.Bad():
		return fail(o.Strategy)
	case o.Unmet:
		return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonRequirementsNotMet, "requirements not met")
	case o.Webhooks.Bad():
		return fail(o.Webhooks)
	case o.Ownership.Bad():
		// OLM oscillates between Failed and Pending while the conflict lasts.
		return fail(o.Ownership)
	case o.Serving.Unadoptable:
		return stay(o)
	case o.Serving.Broken != "":
		return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonAPIServiceResourcesNeedReinstall, o.Serving.Broken)
	case o.Serving.Rotate:
		return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonNeedsCertRotation, "owned APIServices need cert refresh")
	case done(o):
		return succeeded()
	default:
		return retry(o)
	}
}

// retry decides whether a Failed ClusterServiceVersion with nothing wrong but its
// Deployments is installed again. One that waited in vain rests until a Deployment or
// the spec changes, where OLM starts over every five minutes.
func retry(o Observation) Decision {
	untouched := o.Install.Health != Outdated && o.Install.Health != Missing
	if o.Reason == v1alpha1.CSVReasonInstallCheckFailed && untouched && (o.Install.Health != Healthy || o.Serving.Off == "") {
		return stay(o)
	}
	if o.Reason == v1alpha1.CSVReasonComponentFailedNoRetry {
		return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonDetectedClusterChange, "Cluster resources changed state")
	}
	return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonNeedsReinstall, waitingMessage(o))
}

func nextReplacing(o Observation) Decision {
	switch {
	case o.Predecessor.Exists():
		return stay(o) // a chain is retired from its oldest version on
	case o.Superseded:
		return move(v1alpha1.CSVPhaseDeleting, v1alpha1.CSVReasonReplaced,
			"has been replaced by a newer ClusterServiceVersion that has successfully installed.")
	case !o.Successor.Exists():
		// OLM is stuck here; deleting the replacement brings the old version back instead.
		return move(v1alpha1.CSVPhasePending, v1alpha1.CSVReasonNeedsReinstall, "the ClusterServiceVersion that was to replace this one is gone")
	case waitsToReplace(o.Successor) && !o.Taken && (o.Install.Health == Outdated || o.Install.Health == Missing):
		// The old version serves until the new one takes over, so it is still kept in repair.
		d := stay(o)
		d.Do = Apply
		return d
	default:
		return stay(o)
	}
}

// waitsToReplace tells whether the successor has not touched anything yet.
func waitsToReplace(successor Relative) bool {
	return successor.Phase == v1alpha1.CSVPhaseNone || successor.Phase == v1alpha1.CSVPhasePending
}
