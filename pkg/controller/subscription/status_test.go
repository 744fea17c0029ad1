package subscription

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"

	"chandler.dev/olm/pkg/registry"
)

// told are conditions as text, without those that are absent.
func told(conditions []v1alpha1.SubscriptionCondition) (lines []string) {
	for _, c := range conditions {
		if c.Status == corev1.ConditionTrue {
			lines = append(lines, fmt.Sprintf("%s/%s: %s", c.Type, c.Reason, c.Message))
		}
	}
	return lines
}

// TestPlanConditions covers what a Subscription says of its plan.
func TestPlanConditions(t *testing.T) {
	plan := func(phase v1alpha1.InstallPlanPhase, conditions ...v1alpha1.InstallPlanCondition) *v1alpha1.InstallPlan {
		return &v1alpha1.InstallPlan{Status: v1alpha1.InstallPlanStatus{Phase: phase, Conditions: conditions}}
	}
	failed := v1alpha1.InstallPlanCondition{
		Type: v1alpha1.InstallPlanInstalled, Status: corev1.ConditionFalse, Reason: v1alpha1.InstallPlanReasonComponentFailed, Message: "no",
	}
	for name, tt := range map[string]struct {
		verdict verdict
		want    []string
	}{
		"there is none":            {},
		"it has no phase yet":      {verdict{plan: plan("")}, []string{"InstallPlanPending/InstallPlanNotYetReconciled: "}},
		"it is being made":         {verdict{plan: plan(v1alpha1.InstallPlanPhasePlanning)}, []string{"InstallPlanPending/Planning: "}},
		"it waits for an approval": {verdict{plan: plan(v1alpha1.InstallPlanPhaseRequiresApproval)}, []string{"InstallPlanPending/RequiresApproval: "}},
		"it runs":                  {verdict{plan: plan(v1alpha1.InstallPlanPhaseInstalling)}, []string{"InstallPlanPending/Installing: "}},
		"it failed without a word": {verdict{plan: plan(v1alpha1.InstallPlanPhaseFailed)}, []string{"InstallPlanFailed/InstallPlanFailed: "}},
		"it failed and says why":   {verdict{plan: plan(v1alpha1.InstallPlanPhaseFailed, failed)}, []string{"InstallPlanFailed/InstallComponentFailed: no"}},
		"it is complete":           {verdict: verdict{plan: plan(v1alpha1.InstallPlanPhaseComplete)}},
		"somebody deleted it":      {verdict{lost: true}, []string{"InstallPlanMissing/ReferencedInstallPlanNotFound: "}},
		"complete after a mishap":  {verdict: verdict{plan: plan(v1alpha1.InstallPlanPhaseComplete, failed)}},
		"it failed with a reason it has not": {
			verdict{plan: plan(v1alpha1.InstallPlanPhaseFailed, v1alpha1.InstallPlanCondition{Type: v1alpha1.InstallPlanInstalled, Status: corev1.ConditionFalse})},
			[]string{"InstallPlanFailed/InstallPlanFailed: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, told(planConditions(tt.verdict))); diff != "" {
				t.Errorf("planConditions() (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDeprecationConditions covers the three levels and what sums them up.
func TestDeprecationConditions(t *testing.T) {
	old := registry.Bundle{Name: "etcd.v1", Deprecation: "use v2"}
	all := registry.Package{Name: "etcd", Deprecation: "use another", Channels: []registry.Channel{{Name: "alpha", Deprecation: "use stable"}, {Name: "stable"}}}
	const (
		pkg, channel, bundle = "olm.package/etcd: use another", "olm.channel/alpha: use stable", "olm.bundle/etcd.v1: use v2"
	)
	for name, tt := range map[string]struct {
		pkg     registry.Package
		channel string
		bundle  registry.Bundle
		want    []string
	}{
		"nothing is deprecated": {registry.Package{Name: "etcd"}, "stable", registry.Bundle{Name: "etcd.v2"}, nil},
		"everything is": {all, "alpha", old, []string{
			"PackageDeprecated/: " + pkg, "ChannelDeprecated/: " + channel, "BundleDeprecated/: " + bundle,
			"Deprecated/: " + pkg + "; " + channel + "; " + bundle,
		}},
		"the newer bundle is not": {all, "alpha", registry.Bundle{Name: "etcd.v2"}, []string{
			"PackageDeprecated/: " + pkg, "ChannelDeprecated/: " + channel, "Deprecated/: " + pkg + "; " + channel,
		}},
		"another channel is": {all, "stable", registry.Bundle{Name: "etcd.v2"}, []string{"PackageDeprecated/: " + pkg, "Deprecated/: " + pkg}},
		"only the bundle is": {registry.Package{Name: "etcd"}, "stable", old, []string{"BundleDeprecated/: " + bundle, "Deprecated/: " + bundle}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, told(deprecations(deprecationsIn(tt.pkg, tt.channel, tt.bundle)))); diff != "" {
				t.Errorf("deprecations() (-want +got):\n%s", diff)
			}
		})
	}
}
