package chain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"chandler.dev/olm/pkg/controller/csv/chain"
	"chandler.dev/olm/pkg/controller/csv/phase"
)

func version(name, replaces string, p v1alpha1.ClusterServiceVersionPhase) v1alpha1.ClusterServiceVersion {
	v := v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	v.Spec.Replaces, v.Status.Phase = replaces, p
	return v
}

func TestOf(t *testing.T) {
	copied := version("v3", "v2", v1alpha1.CSVPhaseSucceeded)
	copied.Labels = map[string]string{"olm.copiedFrom": "elsewhere"}
	type want struct {
		predecessor, successor string
		superseded             bool
		ancestors              []string
	}
	tests := map[string]struct {
		all  []v1alpha1.ClusterServiceVersion
		want want
	}{
		"alone":                         {nil, want{}},
		"first of two":                  {[]v1alpha1.ClusterServiceVersion{version("v3", "v2", v1alpha1.CSVPhasePending)}, want{successor: "v3"}},
		"last of two":                   {[]v1alpha1.ClusterServiceVersion{version("v1", "", v1alpha1.CSVPhaseReplacing)}, want{predecessor: "v1", ancestors: []string{"v1"}}},
		"the next Succeeded":            {[]v1alpha1.ClusterServiceVersion{version("v3", "v2", v1alpha1.CSVPhaseSucceeded)}, want{successor: "v3", superseded: true}},
		"one further up Succeeded":      {[]v1alpha1.ClusterServiceVersion{version("v3", "v2", v1alpha1.CSVPhaseReplacing), version("v4", "v3", v1alpha1.CSVPhaseSucceeded)}, want{successor: "v3", superseded: true}},
		"ancestors of ancestors":        {[]v1alpha1.ClusterServiceVersion{version("v1", "v0", ""), version("v0", "", "")}, want{predecessor: "v1", ancestors: []string{"v0", "v1"}}},
		"a replacement that is missing": {[]v1alpha1.ClusterServiceVersion{version("v0", "", "")}, want{}},
		"copies do not count":           {[]v1alpha1.ClusterServiceVersion{copied}, want{}},
		"a cycle ends":                  {[]v1alpha1.ClusterServiceVersion{version("v1", "v2", "")}, want{predecessor: "v1", ancestors: []string{"v1"}}},
		"the first by name of several":  {[]v1alpha1.ClusterServiceVersion{version("v4", "v2", ""), version("v3", "v2", "")}, want{successor: "v3"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			self := version("v2", "v1", v1alpha1.CSVPhaseSucceeded)
			c := chain.Of(&self, append(tt.all, self))
			got := want{c.Predecessor.Name, c.Successor.Name, c.Superseded, sets.List(c.Ancestors)}
			if len(got.ancestors) == 0 {
				got.ancestors = nil
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("Of() (-want +got):\n%s", diff)
			}
		})
	}
	self := version("v2", "v2", v1alpha1.CSVPhaseReplacing)
	if c := chain.Of(&self, []v1alpha1.ClusterServiceVersion{self}); c.Predecessor.Exists() || c.Successor.Exists() {
		t.Errorf("a version that replaces itself has relatives: %+v", c)
	}
}

func TestConflicts(t *testing.T) {
	owner := func(name, replaces string, p v1alpha1.ClusterServiceVersionPhase, age time.Duration) v1alpha1.ClusterServiceVersion {
		v := version(name, replaces, p)
		v.CreationTimestamp = metav1.NewTime(time.Unix(1000, 0).Add(-age))
		v.Spec.CustomResourceDefinitions.Owned = []v1alpha1.CRDDescription{{Name: "a.g"}}
		return v
	}
	tests := map[string]struct {
		other v1alpha1.ClusterServiceVersion
		want  bool
	}{
		"another one runs":              {owner("x", "", v1alpha1.CSVPhaseSucceeded, 0), true},
		"another one is on its way out": {owner("x", "", v1alpha1.CSVPhaseDeleting, time.Hour), false},
		"another one waits for longer":  {owner("x", "", v1alpha1.CSVPhasePending, time.Hour), true},
		"another one came later":        {owner("x", "", v1alpha1.CSVPhasePending, -time.Hour), false},
		"both came at once, by name":    {owner("a", "", v1alpha1.CSVPhasePending, 0), true},
		"the one that it replaces":      {owner("m0", "", v1alpha1.CSVPhaseSucceeded, time.Hour), false},
		"one with other APIs":           {version("x", "", v1alpha1.CSVPhaseSucceeded), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			self := owner("m1", "m0", v1alpha1.CSVPhasePending, 0)
			all := []v1alpha1.ClusterServiceVersion{self, tt.other}
			got := chain.Of(&self, all).CRDConflict(&self, all)
			if got.Bad() != tt.want || tt.want && !strings.HasPrefix(got.Message, "conflicting CRD owner in namespace") {
				t.Errorf("CRDConflict() = %+v, want a conflict: %v", got, tt.want)
			}
		})
	}
	self, other := version("m1", "m0", ""), version("x", "", "")
	all := []v1alpha1.ClusterServiceVersion{self, other, version("m0", "", "")}
	c := chain.Of(&self, all)
	for taker, want := range map[string]bool{"x": true, "m0": false, "gone": false} {
		if got := c.DeploymentConflict(all, []string{taker}); got.Bad() != want {
			t.Errorf("DeploymentConflict() with %s = %+v, want a conflict: %v", taker, got, want)
		}
	}
	if got := c.DeploymentConflict(all, nil); got != (phase.Verdict{}) {
		t.Errorf("DeploymentConflict() without takers = %+v", got)
	}
}

func TestGate(t *testing.T) {
	said := func(status metav1.ConditionStatus, generation int64) []metav1.Condition {
		return []metav1.Condition{{Type: "Upgradeable", Status: status, Message: "busy", ObservedGeneration: generation}}
	}
	tests := map[string]struct {
		overrides, conditions []metav1.Condition
		want                  string
	}{
		"nothing said":                    {nil, nil, ""},
		"yes":                             {nil, said(metav1.ConditionTrue, 2), ""},
		"unknown":                         {nil, said(metav1.ConditionUnknown, 2), ""},
		"no":                              {nil, said(metav1.ConditionFalse, 2), "the operator is not upgradeable: busy"},
		"said about an earlier state":     {nil, said(metav1.ConditionTrue, 1), `the operatorcondition status "Upgradeable"="True" is outdated`},
		"an administrator says yes":       {said(metav1.ConditionTrue, 0), said(metav1.ConditionFalse, 2), ""},
		"an administrator says no":        {said(metav1.ConditionFalse, 0), said(metav1.ConditionTrue, 2), "the operator is not upgradeable: busy"},
		"an administrator does not know":  {said(metav1.ConditionUnknown, 0), nil, "the operator is not upgradeable: busy"},
		"something else is not the point": {nil, []metav1.Condition{{Type: "Ready", Status: metav1.ConditionFalse, ObservedGeneration: 2}}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			condition := &operatorsv2.OperatorCondition{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
			condition.Spec.Overrides, condition.Status.Conditions = tt.overrides, tt.conditions
			if got := chain.Gate(condition); got != tt.want {
				t.Errorf("Gate() = %q, want %q", got, tt.want)
			}
		})
	}
}
