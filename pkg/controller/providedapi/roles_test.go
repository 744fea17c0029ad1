package providedapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"chandler.dev/olm/pkg/controller/providedapi"
)

func TestRoles(t *testing.T) {
	widget := providedapi.Resource{
		GroupVersionKind: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"},
		Name:             "widgets.example.com", Plural: "widgets",
		Owner: metav1.OwnerReference{Kind: "CustomResourceDefinition", Name: "widgets.example.com"},
	}
	rules := map[string]rbacv1.PolicyRule{}
	for _, role := range providedapi.Roles(widget) {
		rules[role.Name] = role.Rules[0]
		if len(role.Labels) != 3 || role.OwnerReferences[0].Name != "widgets.example.com" {
			t.Errorf("%s has labels %v and owners %v", role.Name, role.Labels, role.OwnerReferences)
		}
	}
	of := func(verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{"example.com"}, Resources: []string{"widgets"}}
	}
	want := map[string]rbacv1.PolicyRule{
		"widgets.example.com-v1-admin": of("*"),
		"widgets.example.com-v1-edit":  of("create", "update", "patch", "delete"),
		"widgets.example.com-v1-view":  of("get", "list", "watch"),
		"widgets.example.com-v1-crdview": {
			Verbs: []string{"get"}, APIGroups: []string{"apiextensions.k8s.io"},
			Resources: []string{"customresourcedefinitions"}, ResourceNames: []string{"widgets.example.com"},
		},
	}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Errorf("Roles() (-want +got):\n%s", diff)
	}
	widget.Owner.Kind = "APIService"
	if got := len(providedapi.Roles(widget)); got != 3 {
		t.Errorf("%d roles for an APIService, which has no CRD to see, want 3", got)
	}
	view := providedapi.Roles(widget)[2].Labels
	wantLabels := map[string]string{
		"rbac.authorization.k8s.io/aggregate-to-view":                 "true",
		providedapi.AggregationLabel(widget.GroupVersionKind, "view"): "true",
		"olm.managed": "true",
	}
	if diff := cmp.Diff(wantLabels, view); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}
