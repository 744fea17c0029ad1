package subscription

import (
	"cmp"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"chandler.dev/olm/pkg/controller/installplan"
)

// generatedBy names, on a Subscription that a plan made, that plan.
const generatedBy = "olm.generated-by"

// link is what belongs to a Subscription. It is found in the cluster and not
// believed from a status, so that a status that was lost is only written again.
type link struct {
	installed string                // name of the ClusterServiceVersion that it owns; empty if none
	lost      string                // name of the one that it had, if somebody deleted that; empty if not
	plan      *v1alpha1.InstallPlan // the newest that was made for it; nil if none
	brings    string                // name of what the plan installs for it
}

// linksOf finds what belongs to every Subscription, by name.
func linksOf(v *view) map[string]link {
	links := make(map[string]link, len(v.subscriptions))
	for _, sub := range v.subscriptions {
		l := link{installed: installedBy(v, sub)}
		for _, plan := range v.plans { // the newest wins
			brings := bringsFor(plan, sub)
			if isFor(plan, sub) && (brings != "" || installplan.NeedsStatus(plan)) {
				l.plan, l.brings = plan, brings
				if plan.Status.Phase == v1alpha1.InstallPlanPhaseComplete {
					l.lost = brings
				}
			}
		}
		if l.plan == nil && sub.Status.InstallPlanRef != nil {
			l.plan = v.plan(sub.Status.InstallPlanRef.Name)
		}
		if sub.Status.InstalledCSV != "" {
			l.lost = sub.Status.InstalledCSV
		}
		if l.installed != "" {
			l.lost = ""
		}
		links[sub.Name] = l
	}
	return links
}

// installedBy returns the newest version of what a Subscription got. A bundle
// that nobody owns is given to the Subscription of its package by the resolver.
func installedBy(v *view, sub *v1alpha1.Subscription) string {
	for _, name := range []string{sub.Status.CurrentCSV, sub.Status.InstalledCSV} {
		if v.csv(name) != nil {
			return newestOf(v, name)
		}
	}
	return ""
}

// newestOf follows the replacements of an installed bundle.
func newestOf(v *view, name string) string {
	for range v.csvs { // a cycle of replacements ends here
		i := slices.IndexFunc(v.csvs, func(c *v1alpha1.ClusterServiceVersion) bool {
			return c.Spec.Replaces == name && c.Name != name && c.DeletionTimestamp == nil
		})
		if i < 0 {
			break
		}
		name = v.csvs[i].Name
	}
	return name
}

// isFor reports whether a plan was made for a Subscription.
func isFor(plan *v1alpha1.InstallPlan, sub *v1alpha1.Subscription) bool {
	if plan.Name == sub.Annotations[generatedBy] {
		return true
	}
	if ref := sub.Status.InstallPlanRef; ref != nil && ref.Name == plan.Name {
		return true
	}
	return slices.ContainsFunc(plan.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == sub.UID })
}

// bringsFor returns the name of the bundle in a plan that a Subscription asked
// for; empty if there is none.
func bringsFor(plan *v1alpha1.InstallPlan, sub *v1alpha1.Subscription) string {
	for _, lookup := range plan.Status.BundleLookups {
		properties, err := decodeProperties(lookup.Properties)
		if err == nil && packageOf(properties) == sub.Spec.Package {
			return lookup.Identifier
		}
	}
	for _, name := range []string{sub.Status.CurrentCSV, sub.Spec.StartingCSV} {
		if name != "" && slices.Contains(plan.Spec.ClusterServiceVersionNames, name) {
			return name
		}
	}
	return ""
}

// isPending reports whether a plan waits for its approval.
func isPending(plan *v1alpha1.InstallPlan) bool {
	return plan != nil && !plan.Spec.Approved && plan.Status.Phase == v1alpha1.InstallPlanPhaseRequiresApproval
}

// isRunning reports whether a plan is being carried out or about to be.
func isRunning(plan *v1alpha1.InstallPlan) bool {
	if plan == nil || installplan.NeedsStatus(plan) {
		return false
	}
	switch plan.Status.Phase {
	case v1alpha1.InstallPlanPhaseComplete, v1alpha1.InstallPlanPhaseFailed:
		return false
	default:
		return !isPending(plan)
	}
}

// comparePlans orders plans by age.
func comparePlans(a, b *v1alpha1.InstallPlan) int {
	return cmp.Or(cmp.Compare(a.Spec.Generation, b.Spec.Generation),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}
