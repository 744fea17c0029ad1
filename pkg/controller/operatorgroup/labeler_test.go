package operatorgroup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestWithGroupLabels(t *testing.T) {
	group := func(uid string, targets ...string) operatorsv1.OperatorGroup {
		return operatorsv1.OperatorGroup{
			ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}, Status: operatorsv1.OperatorGroupStatus{Namespaces: targets},
		}
	}
	tests := map[string]struct {
		labels map[string]string
		groups []operatorsv1.OperatorGroup
		want   map[string]string
	}{
		"a target gets the label": {
			map[string]string{"mine": "1"},
			[]operatorsv1.OperatorGroup{group("u", "ns"), group("v", "other")},
			map[string]string{"mine": "1", "olm.operatorgroup.uid/u": ""},
		},
		"a global group labels nothing":      {nil, []operatorsv1.OperatorGroup{group("u", "")}, map[string]string{}},
		"labels of groups that are gone go":  {map[string]string{"olm.operatorgroup.uid/old": ""}, nil, map[string]string{}},
		"a group that looks elsewhere now":   {map[string]string{"olm.operatorgroup.uid/u": ""}, []operatorsv1.OperatorGroup{group("u", "other")}, map[string]string{}},
		"two groups may target a namespace":  {nil, []operatorsv1.OperatorGroup{group("u", "ns"), group("v", "ns")}, map[string]string{"olm.operatorgroup.uid/u": "", "olm.operatorgroup.uid/v": ""}},
		"a group without UID labels nothing": {nil, []operatorsv1.OperatorGroup{group("", "ns")}, map[string]string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, withGroupLabels(tt.labels, "ns", tt.groups)); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}
