package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/installplan"
)

// row is where one subscribed package stands.
type row struct {
	Namespace     string `json:"namespace"`
	Package       string `json:"package"`
	Subscription  string `json:"subscription"`
	Catalog       string `json:"catalog"`
	Channel       string `json:"channel,omitempty"`
	Installed     string `json:"installed,omitempty"` // name of the bundle
	Version       string `json:"version,omitempty"`   // of the bundle that is installed
	Wanted        string `json:"wanted,omitempty"`    // name of the bundle that it moves to
	Status        string `json:"status"`              // Succeeded, Upgrading, RequiresApproval, Failed, …
	Healthy       bool   `json:"healthy"`             // the wanted version runs
	NeedsApproval bool   `json:"needsApproval,omitempty"`
	Refused       bool   `json:"refused,omitempty"` // a person is needed
	Plan          string `json:"plan,omitempty"`    // name of the latest InstallPlan
	Message       string `json:"message,omitempty"`
}

// next is the bundle that the package moves to, if it is not there.
func (r row) next() string {
	if r.Wanted == r.Installed && r.Healthy {
		return ""
	}
	return r.Wanted
}

// progress describes the row in one line.
func (r row) progress() string {
	parts := []string{r.Status}
	if r.Wanted != "" {
		parts = append(parts, r.Wanted)
	}
	line := strings.Join(parts, " ")
	if r.Message != "" {
		line += ": " + r.Message
	}
	return line
}

func readRow(ctx context.Context, cl client.Client, key client.ObjectKey) (row, error) {
	var sub operatorsv1alpha1.Subscription
	if err := cl.Get(ctx, key, &sub); err != nil {
		return row{}, friendly(err)
	}
	return rowOf(ctx, cl, &sub)
}

// rowOf reads what a Subscription refers to.
func rowOf(ctx context.Context, cl client.Client, sub *operatorsv1alpha1.Subscription) (row, error) {
	r := row{
		Namespace: sub.Namespace, Package: sub.Spec.Package, Subscription: sub.Name, Channel: sub.Spec.Channel,
		Catalog:   sub.Spec.CatalogSourceNamespace + "/" + sub.Spec.CatalogSource,
		Installed: sub.Status.InstalledCSV, Wanted: sub.Status.CurrentCSV,
	}
	plan, err := planOf(ctx, cl, sub)
	if err != nil {
		return row{}, err
	}
	csv, err := csvOf(ctx, cl, sub.Namespace, sub.Status.CurrentCSV)
	if err != nil {
		return row{}, err
	}
	before := csv
	if sub.Status.InstalledCSV != sub.Status.CurrentCSV {
		if before, err = csvOf(ctx, cl, sub.Namespace, sub.Status.InstalledCSV); err != nil {
			return row{}, err
		}
	}
	if before != nil {
		r.Version = before.Spec.Version.String()
	}
	return judge(r, sub, plan, csv), nil
}

func planOf(ctx context.Context, cl client.Client, sub *operatorsv1alpha1.Subscription) (*operatorsv1alpha1.InstallPlan, error) {
	if sub.Status.InstallPlanRef == nil {
		return nil, nil
	}
	var plan operatorsv1alpha1.InstallPlan
	err := cl.Get(ctx, client.ObjectKey{Namespace: sub.Namespace, Name: sub.Status.InstallPlanRef.Name}, &plan)
	if err != nil {
		return nil, friendly(client.IgnoreNotFound(err))
	}
	return &plan, nil
}

func csvOf(ctx context.Context, cl client.Client, ns, name string) (*operatorsv1alpha1.ClusterServiceVersion, error) {
	if name == "" {
		return nil, nil
	}
	var csv operatorsv1alpha1.ClusterServiceVersion
	if err := cl.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, &csv); err != nil {
		return nil, friendly(client.IgnoreNotFound(err))
	}
	return &csv, nil
}

// judge decides the status of a row from the objects behind it.
func judge(r row, sub *operatorsv1alpha1.Subscription, plan *operatorsv1alpha1.InstallPlan, csv *operatorsv1alpha1.ClusterServiceVersion) row {
	if plan != nil {
		r.Plan = plan.Name
	}
	switch {
	case csv != nil && csv.Status.Phase == operatorsv1alpha1.CSVPhaseSucceeded && sub.Status.State == operatorsv1alpha1.SubscriptionStateAtLatest:
		r.Status, r.Healthy = "Succeeded", true
	case plan != nil && plan.Status.Phase == operatorsv1alpha1.InstallPlanPhaseRequiresApproval:
		r.Status, r.NeedsApproval = "RequiresApproval", true
		r.Message = fmt.Sprintf("install plan %s waits for approval", plan.Name)
		if plan.Status.GetCondition(operatorsv1alpha1.InstallPlanInstalled).Reason == installplan.ReasonRights {
			r.Refused, r.Message = true, planMessage(plan)
		}
	case plan != nil && plan.Status.Phase == operatorsv1alpha1.InstallPlanPhaseFailed:
		r.Status, r.Refused, r.Message = "Failed", true, planMessage(plan)
	case csv != nil && csv.Status.Phase != "":
		r.Status, r.Message = string(csv.Status.Phase), csvMessage(csv)
		r.Refused = csv.Status.Phase == operatorsv1alpha1.CSVPhaseFailed
	case plan != nil && plan.Status.Phase != "":
		r.Status, r.Message = string(plan.Status.Phase), plan.Status.Message
	default:
		r.Status = "Resolving"
	}
	if message, bad := subscriptionTrouble(sub); message != "" && r.Message == "" {
		r.Message = message
		if bad && !r.Healthy {
			r.Status, r.Refused = "Unresolved", true
		}
	}
	return r
}

func planMessage(plan *operatorsv1alpha1.InstallPlan) string {
	for _, c := range plan.Status.Conditions {
		if c.Type == operatorsv1alpha1.InstallPlanInstalled && c.Status == corev1.ConditionFalse && c.Message != "" {
			return c.Message
		}
	}
	return plan.Status.Message
}

// csvMessage explains a phase, with the requirements that are missing.
func csvMessage(csv *operatorsv1alpha1.ClusterServiceVersion) string {
	if csv.Status.Phase == operatorsv1alpha1.CSVPhaseSucceeded {
		return ""
	}
	var missing []string
	if csv.Status.Reason == operatorsv1alpha1.CSVReasonRequirementsNotMet {
		for _, r := range csv.Status.RequirementStatus {
			if r.Status != operatorsv1alpha1.RequirementStatusReasonPresent && r.Status != operatorsv1alpha1.DependentStatusReasonSatisfied {
				missing = append(missing, fmt.Sprintf("%s %s: %s", r.Kind, r.Name, r.Message))
			}
		}
	}
	if len(missing) == 0 {
		return csv.Status.Message
	}
	slices.Sort(missing)
	return csv.Status.Message + " (" + strings.Join(missing, "; ") + ")"
}

// troubles are the conditions that stop a Subscription, worst first; the rest only informs.
var troubles = []operatorsv1alpha1.SubscriptionConditionType{
	operatorsv1alpha1.SubscriptionResolutionFailed,
	operatorsv1alpha1.SubscriptionInstallPlanFailed,
	operatorsv1alpha1.SubscriptionBundleUnpackFailed,
	operatorsv1alpha1.SubscriptionInstallPlanMissing,
	operatorsv1alpha1.SubscriptionCatalogSourcesUnhealthy,
	operatorsv1alpha1.SubscriptionDeprecated,
}

// subscriptionTrouble returns the message of the worst condition, and whether it stops the Subscription.
func subscriptionTrouble(sub *operatorsv1alpha1.Subscription) (string, bool) {
	if message, ok := deadCatalog(sub); ok {
		return message, true
	}
	for i, typ := range troubles {
		for _, c := range sub.Status.Conditions {
			if c.Type == typ && c.Status == corev1.ConditionTrue {
				return c.Message, i < 4
			}
		}
	}
	return "", false
}

// deadCatalog explains a resolution that failed because the catalog does not
// answer: that it offers nothing is then only the consequence.
func deadCatalog(sub *operatorsv1alpha1.Subscription) (string, bool) {
	failed, message := false, ""
	for _, c := range sub.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type { //nolint:exhaustive // the others say nothing about this
		case operatorsv1alpha1.SubscriptionResolutionFailed:
			failed = true
		case operatorsv1alpha1.SubscriptionCatalogSourcesUnhealthy:
			if strings.HasPrefix(c.Message, "targeted catalogsource") && strings.Contains(c.Message, " unhealthy: ") {
				message = c.Message
			}
		}
	}
	return message, failed && message != ""
}
