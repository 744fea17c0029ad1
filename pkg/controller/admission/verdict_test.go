package admission_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"

	"chandler.dev/olm/pkg/controller/admission"
)

func TestDescribe(t *testing.T) {
	need := func(ns string, r rbacv1.PolicyRule) admission.Need { return admission.Need{Namespace: ns, Rule: r} }
	named := rule("", "secrets", "get")
	named.ResourceNames = []string{"a"}
	tests := map[string]struct {
		missing []admission.Need
		want    string
	}{
		"verbs of one resource together": {
			[]admission.Need{need("", rule("", "pods", "list")), need("", rule("", "pods", "get"))},
			`cannot get, list resource "pods" in API group "" at the cluster scope`,
		},
		"resources with the same verbs together": {
			[]admission.Need{need("ns", rule("apps", "deployments", "get")), need("ns", rule("", "pods/log", "get"))},
			`cannot get resource "deployments" in API group "apps", resource "pods/log" in API group "" in the namespace "ns"`,
		},
		"the cluster scope first": {
			[]admission.Need{need("ns", rule("", "a", "get")), need("", rule("", "z", "list"))},
			`cannot list resource "z" in API group "" at the cluster scope; cannot get resource "a" in API group "" in the namespace "ns"`,
		},
		"names": {[]admission.Need{need("ns", named)}, `cannot get resource "secrets" named ["a"] in API group "" in the namespace "ns"`},
		"paths": {
			[]admission.Need{need("", rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}), need("", rule("", "pods", "get"))},
			`cannot get path "/metrics" at the cluster scope; cannot get resource "pods" in API group "" at the cluster scope`,
		},
		"a role": {
			[]admission.Need{{Namespace: "ns", Role: &rbacv1.RoleRef{Kind: "ClusterRole", Name: "admin"}}},
			`cannot bind ClusterRole "admin" in the namespace "ns"`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := admission.Describe(tt.missing); got != tt.want {
				t.Errorf("Describe() = %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestDescribeIsBounded(t *testing.T) {
	var missing []admission.Need
	for i := range 100 {
		missing = append(missing, admission.Need{Namespace: fmt.Sprint(i), Rule: rule("", "pods", "get")})
	}
	got := admission.Describe(missing)
	if !strings.HasSuffix(got, "; and 70 more") || strings.Count(got, "cannot") != 30 {
		t.Errorf("Describe() = %s, want 30 sentences and how many more there are", got)
	}
}

func TestRelaxed(t *testing.T) {
	keda := types.NamespacedName{Namespace: "olm", Name: "hub"}
	tests := map[string]struct {
		annotation string
		want       bool
	}{
		"nothing said":                  {"", false},
		"the package":                   {"olm/hub/keda", true},
		"one of a list, with spaces":    {"olm/hub/etcd, olm/hub/keda", true},
		"all of a catalog":              {"olm/hub/*", true},
		"all catalogs of a namespace":   {"olm/*/*", true},
		"a star does not cross slashes": {"*", false},
		"nor does a half pattern":       {"olm/*", false},
		"another catalog":               {"olm/other/keda", false},
		"a prefix":                      {"olm/hub/ke*", true},
		"a broken pattern":              {"olm/hub/[", false},
		"a name in a longer one":        {"olm/hub/kedax", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := admission.Relaxed(tt.annotation, keda, "keda"); got != tt.want {
				t.Errorf("Relaxed(%q) = %v, want %v", tt.annotation, got, tt.want)
			}
		})
	}
	if !admission.Vouched("etcd,k*", "keda") || admission.Vouched("etcd", "keda") || admission.Vouched("", "keda") {
		t.Error("Vouched() does not match packages")
	}
}

func TestReadRecord(t *testing.T) {
	tests := map[string]struct {
		annotation string
		want       *admission.Record
	}{
		"as the policy writes it": {
			`{"username":"jane","uid":"","groups":["a","b"],"epoch":"now"}`, &admission.Record{Username: "jane", Groups: []string{"a", "b"}, Epoch: "now"},
		},
		"of another epoch": {`{"username":"jane","epoch":"then"}`, nil},
		"of no epoch":      {`{"username":"jane"}`, nil},
		"of nobody":        {`{"epoch":"now"}`, nil},
		"absent":           {"", nil},
		"not a record":     {"jane", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, admission.ReadRecord(tt.annotation, "now")); diff != "" {
				t.Errorf("ReadRecord() (-want +got):\n%s", diff)
			}
		})
	}
	if r := admission.ReadRecord(`{"username":"jane","epoch":""}`, ""); r != nil {
		t.Errorf("without policies ReadRecord() believes %v", r)
	}
}

func TestReadRecords(t *testing.T) {
	list := []admission.Record{{Username: "a", Epoch: "now"}, {Username: "b", Groups: []string{"g"}, Epoch: "now"}}
	text, err := admission.WriteRecords(list)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list, admission.ReadRecords(text, "now")); diff != "" {
		t.Errorf("ReadRecords(WriteRecords()) (-want +got):\n%s", diff)
	}
	empty, err := admission.WriteRecords(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{empty, "", "x", `[{"username":"a","epoch":"now"},{"username":"b","epoch":"then"}]`} {
		if got := admission.ReadRecords(bad, "now"); len(got) > 0 {
			t.Errorf("ReadRecords(%s) = %v, want nobody", bad, got)
		}
	}
}
