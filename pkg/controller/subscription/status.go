package subscription

import (
	"slices"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// verdict is what a reconcile found out about one Subscription.
type verdict struct {
	refusal   *refusal              // why it cannot be resolved
	unpack    unpacking             // why what it gets cannot be installed; empty if it can
	installed string                // what it owns; may be adopted
	plan      *v1alpha1.InstallPlan // that its status shows; nil: the one that it showed
	brings    string                // what that plan installs for it
	lost      bool                  // the plan that its status names is gone
	forget    bool                  // so is the wish for what it would have brought
	silent    bool                  // nothing is known yet: the status stays as it is
	notices   []notice              // what the catalog says about the installed bundle
}

// unpacking is what keeps the content of a bundle from being planned.
type unpacking struct {
	reason, message string
}

// Reasons of the conditions BundleUnpacking and BundleUnpackFailed.
const (
	reasonUnpacking    = "UnpackingInProgress"
	reasonUnpackFailed = "BundleUnpackFailed"
	reasonBadContent   = "ErrorPreventedUnpacking"
)

// notice is a deprecation.
type notice struct {
	condition v1alpha1.SubscriptionConditionType
	message   string
}

// nextStatus returns the status that a Subscription should have. The result
// equals the former status, times included, if nothing changed.
func nextStatus(v *view, sub *v1alpha1.Subscription, w verdict, now metav1.Time) v1alpha1.SubscriptionStatus {
	if w.silent {
		return sub.Status
	}
	next := *sub.Status.DeepCopy()
	next.CatalogHealth = catalogHealth(sub.Status.CatalogHealth, v.catalogs, now)
	setPlan(&next, w)
	setState(v, &next, w)
	for _, c := range conditionsOf(v, sub, w) {
		setCondition(&next, c, now)
	}
	slices.SortStableFunc(next.Conditions, func(a, b v1alpha1.SubscriptionCondition) int {
		return strings.Compare(string(a.Type), string(b.Type))
	})
	if !equality.Semantic.DeepEqual(sub.Status, next) {
		next.LastUpdated = now
	}
	return next
}

func setPlan(next *v1alpha1.SubscriptionStatus, w verdict) {
	if w.forget {
		next.InstallPlanRef, next.Install = nil, nil
	}
	if w.plan == nil {
		return
	}
	ref := &corev1.ObjectReference{
		APIVersion: v1alpha1.InstallPlanAPIVersion, Kind: v1alpha1.InstallPlanKind,
		Namespace: w.plan.Namespace, Name: w.plan.Name, UID: w.plan.UID,
	}
	if old := next.InstallPlanRef; old == nil || old.Name != ref.Name || old.UID != ref.UID {
		next.InstallPlanRef = ref
	}
	next.Install = v1alpha1.NewInstallPlanReference(next.InstallPlanRef)
	next.InstallPlanGeneration = max(next.InstallPlanGeneration, w.plan.Spec.Generation)
}

// setState says how far the Subscription is. A version counts as installed
// when its ClusterServiceVersion exists, as existing tools expect, and the plan
// that brings it is done: so there is one write for both.
func setState(v *view, next *v1alpha1.SubscriptionStatus, w verdict) {
	next.Reason = ""
	switch {
	case w.plan != nil && w.brings != "" && isOpen(w.plan) && (v.csv(w.brings) == nil || isRunning(w.plan)):
		if v.csv(next.InstalledCSV) == nil {
			next.InstalledCSV = ""
		}
		next.CurrentCSV, next.State = w.brings, v1alpha1.SubscriptionStateUpgradePending
		if v.failForward() && w.plan.Status.Phase == v1alpha1.InstallPlanPhaseFailed {
			next.State = v1alpha1.SubscriptionStateFailed
		}
	case w.installed != "":
		next.CurrentCSV, next.InstalledCSV, next.State = w.installed, w.installed, v1alpha1.SubscriptionStateAtLatest
	default:
		next.CurrentCSV, next.InstalledCSV, next.State = "", "", v1alpha1.SubscriptionStateNone
	}
}

// isOpen reports whether a plan still has to bring what it promises.
func isOpen(plan *v1alpha1.InstallPlan) bool {
	return plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete
}

// setCondition sets a condition, or removes it if it has no status.
func setCondition(status *v1alpha1.SubscriptionStatus, c v1alpha1.SubscriptionCondition, now metav1.Time) {
	if c.Status == "" {
		if i := slices.IndexFunc(status.Conditions, func(old v1alpha1.SubscriptionCondition) bool { return old.Type == c.Type }); i >= 0 {
			status.RemoveConditions(c.Type)
		}
		return
	}
	old := status.GetCondition(c.Type)
	if old.Equals(c) {
		return
	}
	c.LastTransitionTime = &now
	if old.Status == c.Status && old.LastTransitionTime != nil {
		c.LastTransitionTime = old.LastTransitionTime
	}
	status.SetCondition(c)
}

// conditionsOf returns every condition that this controller owns; those
// without a status are absent.
func conditionsOf(v *view, sub *v1alpha1.Subscription, w verdict) []v1alpha1.SubscriptionCondition {
	resolution := v1alpha1.SubscriptionCondition{Type: v1alpha1.SubscriptionResolutionFailed}
	if w.refusal != nil {
		resolution.Status, resolution.Reason, resolution.Message = corev1.ConditionTrue, w.refusal.reason, w.refusal.message
	}
	running := v1alpha1.SubscriptionCondition{Type: v1alpha1.SubscriptionBundleUnpacking}
	failed := v1alpha1.SubscriptionCondition{Type: v1alpha1.SubscriptionBundleUnpackFailed}
	switch w.unpack.reason {
	case "":
	case reasonUnpacking:
		running.Status, running.Reason, running.Message = corev1.ConditionTrue, w.unpack.reason, w.unpack.message
	default:
		failed.Status, failed.Reason, failed.Message = corev1.ConditionTrue, w.unpack.reason, w.unpack.message
	}
	all := []v1alpha1.SubscriptionCondition{catalogCondition(v, sub), resolution, running, failed}
	all = append(all, planConditions(w)...)
	return append(all, deprecations(w.notices)...)
}

// planConditions project the state of the plan.
func planConditions(w verdict) []v1alpha1.SubscriptionCondition {
	pending := v1alpha1.SubscriptionCondition{Type: v1alpha1.SubscriptionInstallPlanPending}
	missing := v1alpha1.SubscriptionCondition{Type: v1alpha1.SubscriptionInstallPlanMissing}
	failed := v1alpha1.SubscriptionCondition{Type: v1alpha1.SubscriptionInstallPlanFailed}
	if w.lost {
		missing.Status, missing.Reason = corev1.ConditionTrue, v1alpha1.ReferencedInstallPlanNotFound
	}
	if w.plan == nil {
		return []v1alpha1.SubscriptionCondition{pending, missing, failed}
	}
	installed := w.plan.Status.GetCondition(v1alpha1.InstallPlanInstalled)
	switch w.plan.Status.Phase {
	case v1alpha1.InstallPlanPhaseNone:
		pending.Status, pending.Reason = corev1.ConditionTrue, v1alpha1.InstallPlanNotYetReconciled
	case v1alpha1.InstallPlanPhasePlanning, v1alpha1.InstallPlanPhaseRequiresApproval, v1alpha1.InstallPlanPhaseInstalling:
		pending.Status, pending.Reason, pending.Message = corev1.ConditionTrue, string(w.plan.Status.Phase), installed.Message
	case v1alpha1.InstallPlanPhaseFailed:
		failed.Status, failed.Reason, failed.Message = corev1.ConditionTrue, v1alpha1.InstallPlanFailed, installed.Message
		if installed.Status == corev1.ConditionFalse && installed.Reason != "" {
			failed.Reason = string(installed.Reason)
		}
	case v1alpha1.InstallPlanPhaseComplete:
	}
	return []v1alpha1.SubscriptionCondition{pending, missing, failed}
}

// deprecations returns the conditions of notices, with their roll-up.
func deprecations(notices []notice) []v1alpha1.SubscriptionCondition {
	var all []v1alpha1.SubscriptionCondition
	var messages []string
	for _, kind := range []v1alpha1.SubscriptionConditionType{
		v1alpha1.SubscriptionPackageDeprecated, v1alpha1.SubscriptionChannelDeprecated, v1alpha1.SubscriptionBundleDeprecated,
	} {
		c := v1alpha1.SubscriptionCondition{Type: kind}
		for _, n := range notices {
			if n.condition == kind {
				c.Status, c.Message = corev1.ConditionTrue, n.message
				messages = append(messages, n.message)
			}
		}
		all = append(all, c)
	}
	rollUp := v1alpha1.SubscriptionCondition{Type: v1alpha1.SubscriptionDeprecated}
	if len(messages) > 0 {
		rollUp.Status, rollUp.Message = corev1.ConditionTrue, strings.Join(messages, "; ")
	}
	return append(all, rollUp)
}
