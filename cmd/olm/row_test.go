package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
)

func TestJudge(t *testing.T) {
	atLatest := operatorsv1alpha1.SubscriptionStatus{State: operatorsv1alpha1.SubscriptionStateAtLatest}
	conditions := func(typ operatorsv1alpha1.SubscriptionConditionType, message string) operatorsv1alpha1.SubscriptionStatus {
		return operatorsv1alpha1.SubscriptionStatus{Conditions: []operatorsv1alpha1.SubscriptionCondition{{Type: typ, Status: corev1.ConditionTrue, Message: message}}}
	}
	deadCatalog := conditions(operatorsv1alpha1.SubscriptionResolutionFailed, "no operators found")
	deadCatalog.Conditions = append(deadCatalog.Conditions, operatorsv1alpha1.SubscriptionCondition{
		Type: operatorsv1alpha1.SubscriptionCatalogSourcesUnhealthy, Status: corev1.ConditionTrue, Message: "targeted catalogsource olm/c unhealthy: it does not answer",
	})
	tests := map[string]struct {
		sub  operatorsv1alpha1.SubscriptionStatus
		plan *operatorsv1alpha1.InstallPlanStatus
		csv  *operatorsv1alpha1.ClusterServiceVersionStatus
		want row
	}{
		"nothing happened yet": {want: row{Status: "Resolving"}},
		"the wanted version runs": {
			sub: atLatest, csv: &operatorsv1alpha1.ClusterServiceVersionStatus{Phase: operatorsv1alpha1.CSVPhaseSucceeded},
			want: row{Status: "Succeeded", Healthy: true},
		},
		"a plan waits for a person": {
			plan: &operatorsv1alpha1.InstallPlanStatus{Phase: operatorsv1alpha1.InstallPlanPhaseRequiresApproval},
			want: row{Status: "RequiresApproval", NeedsApproval: true, Plan: "p", Message: "install plan p waits for approval"},
		},
		"a plan waits for a person with more rights": {
			plan: &operatorsv1alpha1.InstallPlanStatus{
				Phase: operatorsv1alpha1.InstallPlanPhaseRequiresApproval,
				Conditions: []operatorsv1alpha1.InstallPlanCondition{{
					Type: operatorsv1alpha1.InstallPlanInstalled, Status: corev1.ConditionFalse, Reason: "RightsMissing", Message: "jane cannot",
				}},
			},
			want: row{Status: "RequiresApproval", NeedsApproval: true, Refused: true, Plan: "p", Message: "jane cannot"},
		},
		"a plan was refused": {
			plan: &operatorsv1alpha1.InstallPlanStatus{Phase: operatorsv1alpha1.InstallPlanPhaseFailed, Message: "old API"},
			want: row{Status: "Failed", Refused: true, Plan: "p", Message: "old API"},
		},
		"a requirement is missing": {
			csv: &operatorsv1alpha1.ClusterServiceVersionStatus{
				Phase: operatorsv1alpha1.CSVPhasePending, Reason: operatorsv1alpha1.CSVReasonRequirementsNotMet, Message: "not met",
				RequirementStatus: []operatorsv1alpha1.RequirementStatus{
					{Kind: "ServiceAccount", Name: "a", Status: operatorsv1alpha1.RequirementStatusReasonPresent},
					{Kind: "CustomResourceDefinition", Name: "b", Status: operatorsv1alpha1.RequirementStatusReasonNotPresent, Message: "CRD is not present"},
				},
			},
			want: row{Status: "Pending", Message: "not met (CustomResourceDefinition b: CRD is not present)"},
		},
		"the package is unknown": {
			sub:  conditions(operatorsv1alpha1.SubscriptionResolutionFailed, "no package"),
			want: row{Status: "Unresolved", Refused: true, Message: "no package"},
		},
		"the catalog does not answer": {
			sub:  deadCatalog,
			want: row{Status: "Unresolved", Refused: true, Message: "targeted catalogsource olm/c unhealthy: it does not answer"},
		},
		"a running version is deprecated": {
			sub: operatorsv1alpha1.SubscriptionStatus{State: operatorsv1alpha1.SubscriptionStateAtLatest, Conditions: []operatorsv1alpha1.SubscriptionCondition{
				{Type: operatorsv1alpha1.SubscriptionDeprecated, Status: corev1.ConditionTrue, Message: "use another"},
			}},
			csv:  &operatorsv1alpha1.ClusterServiceVersionStatus{Phase: operatorsv1alpha1.CSVPhaseSucceeded},
			want: row{Status: "Succeeded", Healthy: true, Message: "use another"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var plan *operatorsv1alpha1.InstallPlan
			if tt.plan != nil {
				plan = &operatorsv1alpha1.InstallPlan{Status: *tt.plan}
				plan.Name = "p"
			}
			var csv *operatorsv1alpha1.ClusterServiceVersion
			if tt.csv != nil {
				csv = &operatorsv1alpha1.ClusterServiceVersion{Status: *tt.csv}
			}
			got := judge(row{}, &operatorsv1alpha1.Subscription{Status: tt.sub}, plan, csv)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("judge() (-want +got):\n%s", diff)
			}
		})
	}
}
