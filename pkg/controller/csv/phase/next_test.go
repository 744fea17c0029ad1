package phase_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"

	"chandler.dev/olm/pkg/controller/csv/phase"
	"chandler.dev/olm/pkg/failure"
)

const (
	none         = v1alpha1.ClusterServiceVersionPhase("")
	pending      = v1alpha1.CSVPhasePending
	installReady = v1alpha1.CSVPhaseInstallReady
	installing   = v1alpha1.CSVPhaseInstalling
	succeeded    = v1alpha1.CSVPhaseSucceeded
	failed       = v1alpha1.CSVPhaseFailed
	replacing    = v1alpha1.CSVPhaseReplacing
	deleting     = v1alpha1.CSVPhaseDeleting
)

var (
	healthy = phase.Install{Health: phase.Healthy}
	missing = phase.Install{Health: phase.Missing, Message: `missing deployment with name=d`}
	outdate = phase.Install{Health: phase.Outdated, Message: "deployment changed old hash=a, new hash=b"}
	waiting = phase.Install{Health: phase.Unavailable, Message: `deployment "d" not available`}
)

func verdict(reason v1alpha1.ConditionReason) phase.Verdict {
	return phase.Verdict{Reason: reason, Message: "because"}
}

// want is a Decision without its message, which TestMessages covers.
type want struct {
	Phase  v1alpha1.ClusterServiceVersionPhase
	Reason v1alpha1.ConditionReason
	Do     phase.Action
}

func TestNext(t *testing.T) {
	tests := map[string]struct {
		in   phase.Observation
		want want
	}{
		"a new one is Pending": {phase.Observation{Phase: none}, want{pending, "RequirementsUnknown", ""}},
		"no OperatorGroup stops every phase": {
			phase.Observation{Phase: succeeded, Membership: verdict("NoOperatorGroup")}, want{failed, "NoOperatorGroup", ""},
		},
		"an unsupported install mode fails": {
			phase.Observation{Phase: pending, Membership: verdict("UnsupportedOperatorGroup")}, want{failed, "UnsupportedOperatorGroup", ""},
		},
		"an API conflict takes the Deployments down": {
			phase.Observation{Phase: succeeded, Membership: verdict("InterOperatorGroupOwnerConflict"), Install: healthy},
			want{failed, "InterOperatorGroupOwnerConflict", phase.TearDown},
		},
		"an API conflict without Deployments only says so": {
			phase.Observation{Phase: none, Membership: verdict("CannotModifyStaticOperatorGroupProvidedAPIs"), Install: missing},
			want{failed, "CannotModifyStaticOperatorGroupProvidedAPIs", ""},
		},
		"deletion goes on without an OperatorGroup": {
			phase.Observation{Phase: deleting, Reason: "Replaced", Membership: verdict("NoOperatorGroup")}, want{deleting, "Replaced", phase.Delete},
		},

		"Pending: the version to replace refuses": {
			phase.Observation{Phase: pending, Gate: "maintenance", Unmet: true}, want{pending, "OperatorConditionNotUpgradeable", ""},
		},
		"Pending: a rule without verbs": {
			phase.Observation{Phase: pending, Strategy: verdict("InvalidInstallStrategy"), Unmet: true}, want{failed, "InvalidInstallStrategy", ""},
		},
		"Pending: a CRD is missing": {phase.Observation{Phase: pending, Unmet: true}, want{pending, "RequirementsNotMet", ""}},
		"Pending: what the successor's plan took does not hold it up": {
			phase.Observation{Phase: pending, Reason: "RequirementsNotMet", Unmet: true, Successor: phase.Relative{Name: "n", Phase: pending}}, want{replacing, "BeingReplaced", ""},
		},
		"Pending: repeated webhook name": {
			phase.Observation{Phase: pending, Webhooks: verdict("InvalidWebhookDescription"), Ownership: verdict("OwnerConflict")},
			want{failed, "InvalidWebhookDescription", ""},
		},
		"Pending: another CSV owns the CRD": {
			phase.Observation{Phase: pending, Ownership: verdict("OwnerConflict")}, want{failed, "OwnerConflict", ""},
		},
		"Pending: the old version has not given way": {
			phase.Observation{Phase: pending, Reason: "RequirementsUnknown", Predecessor: phase.Relative{Name: "v1", Phase: succeeded}},
			want{pending, "RequirementsUnknown", ""},
		},
		"Pending: the old version is Failed": {
			phase.Observation{Phase: pending, Predecessor: phase.Relative{Name: "v1", Phase: failed}}, want{pending, "AllRequirementsMet", ""},
		},
		"Pending: the old version gives way": {
			phase.Observation{Phase: pending, Predecessor: phase.Relative{Name: "v1", Phase: replacing}}, want{installReady, "AllRequirementsMet", ""},
		},
		"Pending: the old version is on its way out": {
			phase.Observation{Phase: pending, Predecessor: phase.Relative{Name: "v1", Phase: deleting}}, want{installReady, "AllRequirementsMet", ""},
		},
		"Pending: all met": {phase.Observation{Phase: pending}, want{installReady, "AllRequirementsMet", ""}},

		"InstallReady installs": {phase.Observation{Phase: installReady}, want{installing, "InstallSucceeded", phase.Apply}},
		"InstallReady with an unknown strategy": {
			phase.Observation{Phase: installReady, Strategy: verdict("InvalidInstallStrategy")}, want{failed, "InvalidInstallStrategy", ""},
		},

		"Installing: all healthy": {phase.Observation{Phase: installing, Install: healthy}, want{succeeded, "InstallSucceeded", ""}},
		"Installing: a usual start is not reported": {
			phase.Observation{Phase: installing, Reason: "InstallSucceeded", Install: waiting, Elapsed: time.Second}, want{installing, "InstallSucceeded", ""},
		},
		"Installing: a slow start is": {
			phase.Observation{Phase: installing, Reason: "InstallSucceeded", Install: waiting, Elapsed: time.Minute}, want{installing, "InstallWaiting", ""},
		},
		"Installing: a Deployment that is gone is made again": {
			phase.Observation{Phase: installing, Reason: "InstallSucceeded", Install: missing}, want{installReady, "InstallWaiting", ""},
		},
		"Installing: a bad hash or missing annotations": {
			phase.Observation{Phase: installing, Install: outdate}, want{installReady, "InstallWaiting", ""},
		},
		"Installing: five minutes are over": {
			phase.Observation{Phase: installing, Install: waiting, Elapsed: 5 * time.Minute}, want{failed, "InstallCheckFailed", ""},
		},
		"Installing: healthy after five minutes is still healthy": {
			phase.Observation{Phase: installing, Install: healthy, Elapsed: time.Hour}, want{succeeded, "InstallSucceeded", ""},
		},
		"Installing: progress deadline": {
			phase.Observation{Phase: installing, Install: phase.Install{Health: phase.Expired}}, want{failed, "InstallCheckFailed", ""},
		},
		"Installing: webhooks wait for pods": {
			phase.Observation{Phase: installing, Install: waiting, Elapsed: time.Minute, Serving: phase.Serving{Off: "webhooks not installed"}},
			want{installing, "InstallWaiting", ""},
		},
		"Installing: ready pods get their webhooks": {
			phase.Observation{Phase: installing, Install: healthy, Elapsed: time.Minute, Serving: phase.Serving{Off: "webhooks not installed"}},
			want{installing, "InstallWaiting", phase.SwitchOn},
		},
		"Installing: an APIService that is not yet available": {
			phase.Observation{Phase: installing, Install: healthy, Elapsed: time.Minute, Serving: phase.Serving{Unavailable: "apiServices not installed"}},
			want{installing, "InstallWaiting", ""},
		},
		"Installing: certificates do not fit": {
			phase.Observation{Phase: installing, Install: healthy, Serving: phase.Serving{Broken: "x"}}, want{pending, "NeedsReinstall", ""},
		},

		"Succeeded rests": {phase.Observation{Phase: succeeded, Reason: "InstallSucceeded", Install: healthy}, want{succeeded, "InstallSucceeded", ""}},
		"Succeeded: a rollout is no failure": {
			phase.Observation{Phase: succeeded, Reason: "InstallSucceeded", Install: phase.Install{Health: phase.Progressing}}, want{succeeded, "InstallSucceeded", ""},
		},
		"Succeeded: replaced": {
			phase.Observation{Phase: succeeded, Install: missing, Successor: phase.Relative{Name: "v2"}}, want{replacing, "BeingReplaced", ""},
		},
		"Succeeded: requirement lost": {phase.Observation{Phase: succeeded, Unmet: true, Install: healthy}, want{failed, "RequirementsNotMet", ""}},
		"Succeeded: template differs": {phase.Observation{Phase: succeeded, Install: outdate}, want{installReady, "ComponentUnhealthy", ""}},
		"Succeeded: Deployment gone":  {phase.Observation{Phase: succeeded, Install: missing}, want{failed, "ComponentUnhealthy", ""}},
		"Succeeded: pods gone":        {phase.Observation{Phase: succeeded, Install: waiting}, want{failed, "ComponentUnhealthy", ""}},
		"Succeeded: certificate in its last day": {
			phase.Observation{Phase: succeeded, Install: healthy, Serving: phase.Serving{Rotate: true}}, want{pending, "NeedsCertRotation", ""},
		},
		"Succeeded: CA mismatch": {
			phase.Observation{Phase: succeeded, Install: healthy, Serving: phase.Serving{Broken: "x", Rotate: true}}, want{failed, "APIServiceResourceIssue", ""},
		},
		"Succeeded: a deleted webhook configuration comes back": {
			phase.Observation{Phase: succeeded, Reason: "InstallSucceeded", Install: healthy, Serving: phase.Serving{Off: "x"}},
			want{succeeded, "InstallSucceeded", phase.SwitchOn},
		},

		"Succeeded: a changed Deployment is put right": {
			phase.Observation{Phase: succeeded, Reason: "InstallSucceeded", Install: healthy, Drifted: true}, want{succeeded, "InstallSucceeded", phase.Apply},
		},

		"Failed: Deployment missing": {phase.Observation{Phase: failed, Reason: "ComponentUnhealthy", Install: missing}, want{pending, "NeedsReinstall", ""}},
		"Failed: CRD missing":        {phase.Observation{Phase: failed, Reason: "ComponentUnhealthy", Unmet: true}, want{pending, "RequirementsNotMet", ""}},
		"Failed: rights were missing, tried again": {
			phase.Observation{Phase: failed, Reason: "InstallComponentFailedNoRetry", Install: missing}, want{pending, "DetectedClusterChange", ""},
		},
		"Failed: healthy again": {phase.Observation{Phase: failed, Reason: "InstallCheckFailed", Install: healthy}, want{succeeded, "InstallSucceeded", ""}},
		"Failed: waited in vain, rests": {
			phase.Observation{Phase: failed, Reason: "InstallCheckFailed", Install: waiting}, want{failed, "InstallCheckFailed", ""},
		},
		"Failed: waited in vain, then edited": {
			phase.Observation{Phase: failed, Reason: "InstallCheckFailed", Install: outdate}, want{pending, "NeedsReinstall", ""},
		},
		"Failed: the group is fine again": {
			phase.Observation{Phase: failed, Reason: "UnsupportedOperatorGroup", Unmet: true}, want{pending, "RequirementsUnknown", ""},
		},
		"Failed: one group is left": {phase.Observation{Phase: failed, Reason: "TooManyOperatorGroups"}, want{pending, "RequirementsUnknown", ""}},
		"Failed: the API conflict is gone": {
			phase.Observation{Phase: failed, Reason: "InterOperatorGroupOwnerConflict"}, want{pending, "RequirementsUnknown", ""},
		},
		"Failed: the owner conflict is still there": {
			phase.Observation{Phase: failed, Reason: "OwnerConflict", Ownership: verdict("OwnerConflict"), Install: missing}, want{failed, "OwnerConflict", ""},
		},
		"Failed: fail forward": {
			phase.Observation{Phase: failed, Reason: "ComponentUnhealthy", FailForward: true, Successor: phase.Relative{Name: "v2"}}, want{replacing, "BeingReplaced", ""},
		},
		"Failed: replaced without fail forward": {
			phase.Observation{Phase: failed, Reason: "ComponentUnhealthy", Successor: phase.Relative{Name: "v2"}, Install: missing}, want{pending, "NeedsReinstall", ""},
		},
		"Failed: expired CA": {
			phase.Observation{Phase: failed, Reason: "InstallCheckFailed", Install: healthy, Serving: phase.Serving{Rotate: true}}, want{pending, "NeedsCertRotation", ""},
		},
		"Failed: objects to repair": {
			phase.Observation{Phase: failed, Reason: "APIServiceResourceIssue", Install: healthy, Serving: phase.Serving{Broken: "x"}},
			want{pending, "APIServiceResourcesNeedReinstall", ""},
		},
		"Failed: objects of somebody else": {
			phase.Observation{Phase: failed, Reason: "APIServiceResourceIssue", Serving: phase.Serving{Broken: "x", Unadoptable: true}},
			want{failed, "APIServiceResourceIssue", ""},
		},

		"Replacing: not the oldest": {
			phase.Observation{
				Phase: replacing, Reason: "BeingReplaced", Superseded: true,
				Predecessor: phase.Relative{Name: "v0", Phase: replacing}, Successor: phase.Relative{Name: "v2", Phase: succeeded},
			}, want{replacing, "BeingReplaced", ""},
		},
		"Replacing: replacement Succeeded": {
			phase.Observation{Phase: replacing, Superseded: true, Successor: phase.Relative{Name: "v2", Phase: succeeded}}, want{deleting, "Replaced", ""},
		},
		"Replacing: a version further up Succeeded": {
			phase.Observation{Phase: replacing, Superseded: true, Successor: phase.Relative{Name: "v2", Phase: replacing}}, want{deleting, "Replaced", ""},
		},
		"Replacing: replacement installs": {
			phase.Observation{Phase: replacing, Reason: "BeingReplaced", Successor: phase.Relative{Name: "v2", Phase: installing}, Install: missing},
			want{replacing, "BeingReplaced", ""},
		},
		"Replacing: kept in repair while the replacement waits": {
			phase.Observation{Phase: replacing, Reason: "BeingReplaced", Successor: phase.Relative{Name: "v2", Phase: pending}, Install: missing},
			want{replacing, "BeingReplaced", phase.Apply},
		},
		"Replacing: the replacement has taken over, but not yet said so": {
			phase.Observation{Phase: replacing, Reason: "BeingReplaced", Successor: phase.Relative{Name: "v2", Phase: pending}, Install: missing, Taken: true},
			want{replacing, "BeingReplaced", ""},
		},
		"Replacing: the replacement is gone": {phase.Observation{Phase: replacing, Reason: "BeingReplaced"}, want{pending, "NeedsReinstall", ""}},
		"Deleting deletes":                   {phase.Observation{Phase: deleting, Reason: "Replaced"}, want{deleting, "Replaced", phase.Delete}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := phase.Next(tt.in)
			if diff := cmp.Diff(tt.want, want{d.Phase, d.Reason, d.Do}); diff != "" {
				t.Errorf("Next() (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMessages pins texts that tools match on.
func TestMessages(t *testing.T) {
	tests := map[string]struct {
		in   phase.Observation
		want string
	}{
		"requirements":  {phase.Observation{Phase: pending, Unmet: true}, "one or more requirements couldn't be found"},
		"ready":         {phase.Observation{Phase: pending}, "all requirements found, attempting install"},
		"not yet":       {phase.Observation{Phase: pending, Gate: "the operator is not upgradeable: busy"}, "operator is not upgradeable: the operator is not upgradeable: busy"},
		"install check": {phase.Observation{Phase: succeeded, Install: missing}, "installing: missing deployment with name=d"},
		"done":          {phase.Observation{Phase: installing, Install: healthy}, "install strategy completed with no errors"},
		"replaced":      {phase.Observation{Phase: succeeded, Successor: phase.Relative{Name: "v2"}}, "being replaced by csv: v2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := phase.Next(tt.in).Message; got != tt.want {
				t.Errorf("Next().Message = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAfterFailure(t *testing.T) {
	install := phase.Next(phase.Observation{Phase: installReady})
	tests := map[string]struct {
		decision phase.Decision
		from     phase.Observation
		err      error
		want     phase.Decision
	}{
		"something is wrong with a manifest": {
			install,
			phase.Observation{Phase: pending},
			failure.New(failure.Invalid, "bad"),
			phase.Decision{Phase: failed, Reason: "InstallComponentFailed", Message: "install strategy failed: bad", Recheck: time.Second},
		},
		"rights are missing": {
			install,
			phase.Observation{Phase: pending},
			failure.New(failure.Blocked, "forbidden"),
			phase.Decision{Phase: failed, Reason: "InstallComponentFailedNoRetry", Message: "install strategy failed: forbidden", Recheck: time.Second},
		},
		"still, after a while": {
			install,
			phase.Observation{Phase: failed, Elapsed: 40 * time.Second},
			failure.New(failure.Blocked, "forbidden"),
			phase.Decision{Phase: failed, Reason: "InstallComponentFailedNoRetry", Message: "install strategy failed: forbidden", Recheck: 10 * time.Second},
		},
		"a deletion has its own errors": {
			phase.Decision{Phase: deleting, Do: phase.Delete},
			phase.Observation{Phase: deleting},
			errors.New("x"),
			phase.Decision{Phase: deleting, Do: phase.Delete},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, phase.AfterFailure(tt.decision, tt.from, tt.err)); diff != "" {
				t.Errorf("AfterFailure() (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRechecks covers the situations that no watch reports.
func TestRechecks(t *testing.T) {
	tests := map[string]struct {
		in   phase.Observation
		want time.Duration
	}{
		"unmet requirements, soon":        {phase.Observation{Phase: pending, Unmet: true}, time.Second},
		"unmet requirements, later":       {phase.Observation{Phase: pending, Unmet: true, Elapsed: 40 * time.Second}, 10 * time.Second},
		"unmet requirements, at last":     {phase.Observation{Phase: pending, Unmet: true, Elapsed: time.Hour}, time.Minute},
		"a slow install times out":        {phase.Observation{Phase: installing, Install: waiting, Elapsed: time.Minute}, 4 * time.Minute},
		"an install that has just begun":  {phase.Observation{Phase: installing, Reason: "InstallSucceeded", Install: waiting}, 3 * time.Second},
		"a healthy operator rests":        {phase.Observation{Phase: succeeded, Install: healthy}, 0},
		"a failed one waits for a change": {phase.Observation{Phase: failed, Reason: "InstallCheckFailed", Install: waiting}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := phase.Next(tt.in).Recheck; got != tt.want {
				t.Errorf("Next().Recheck = %v, want %v", got, tt.want)
			}
		})
	}
}

// TestRests checks that following the decisions with an unchanged world comes to rest.
func TestRests(t *testing.T) {
	worlds := map[string]phase.Observation{
		"nothing installed, requirement missing": {Unmet: true, Install: missing},
		"all installed":                          {Install: healthy},
		"pods never become ready":                {Install: waiting, Elapsed: time.Hour},
		"owner conflict":                         {Ownership: verdict("OwnerConflict"), Install: missing},
		"bad rule":                               {Strategy: verdict("InvalidInstallStrategy"), Install: missing},
		"no group":                               {Membership: verdict("NoOperatorGroup"), Install: missing},
	}
	for name, world := range worlds {
		for _, start := range []v1alpha1.ClusterServiceVersionPhase{none, pending, installReady, installing, succeeded, failed} {
			t.Run(name+" from "+string(start), func(t *testing.T) {
				o := world
				o.Phase = start
				for range 8 {
					d := phase.Next(o)
					if !d.Changes(o) || d.Do == phase.Apply {
						return // what is applied changes the world
					}
					o.Phase, o.Reason, o.Message = d.Phase, d.Reason, d.Message
				}
				t.Errorf("still moving: %s/%s %s", o.Phase, o.Reason, o.Message)
			})
		}
	}
}
