package rights_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/rights"
	"chandler.dev/olm/pkg/install/render"
)

var (
	csv  = &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "v1", UID: "uid"}}
	meta = metav1.ObjectMeta{Namespace: "ns", Name: "r", Labels: render.OwnerOf(csv).ManagedLabels()}

	role    = &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, Resources: []string{"pods"}}}}
	binding = &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "r"}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "sa", Namespace: "ns"}}}
	bundled = &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "of-the-bundle"}}
)

func names(objects []client.Object) (list []string) {
	for _, obj := range objects {
		kind := "role"
		switch obj.(type) {
		case *rbacv1.RoleBinding, *rbacv1.ClusterRoleBinding:
			kind = "binding"
		}
		list = append(list, kind+" "+obj.GetNamespace()+"/"+obj.GetName())
	}
	slices.Sort(list)
	return list
}

func TestExtended(t *testing.T) {
	tests := map[string]struct {
		targets []string
		want    []string
	}{
		"its own namespace":        {[]string{"ns"}, nil},
		"all namespaces":           {[]string{""}, []string{"binding /r", "role /r"}},
		"some, its own among them": {[]string{"a", "ns"}, []string{"binding a/r", "role a/r"}},
		"none":                     {nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, names(rights.Extended(csv, tt.targets, rights.Objects{role, binding, bundled}))); diff != "" {
				t.Errorf("Extended() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSurplusAndHas(t *testing.T) {
	base := rights.Objects{role, binding, bundled}
	lifted := append(slices.Clone(base), rights.Extended(csv, []string{""}, base)...)
	copied := append(slices.Clone(base), rights.Extended(csv, []string{"a", "b"}, base)...)
	tests := map[string]struct {
		have    rights.Objects
		targets []string
		want    []string
	}{
		"what is wanted stays":        {lifted, []string{""}, nil},
		"from all to its own":         {lifted, []string{"ns"}, []string{"binding /r", "role /r"}},
		"from two to one":             {copied, []string{"a"}, []string{"binding b/r", "role b/r"}},
		"from some to all":            {copied, []string{""}, []string{"binding a/r", "binding b/r", "role a/r", "role b/r"}},
		"the bundle's own roles stay": {base, nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wanted := rights.Extended(csv, tt.targets, tt.have)
			if diff := cmp.Diff(tt.want, names(tt.have.Surplus(csv, wanted))); diff != "" {
				t.Errorf("Surplus() (-want +got):\n%s", diff)
			}
		})
	}
	for _, obj := range rights.Extended(csv, []string{""}, base) {
		if base.Has(obj) || !lifted.Has(obj) {
			t.Errorf("Has(%T) is wrong", obj)
		}
	}
	changed := role.DeepCopy()
	changed.Rules[0].Verbs = []string{"*"}
	if base.Has(changed) {
		t.Error("Has() of a role with other rules, want no")
	}
}

func TestConcerns(t *testing.T) {
	tests := map[string]struct {
		subject rbacv1.Subject
		want    bool
	}{
		"the account":                   {rbacv1.Subject{Kind: "ServiceAccount", Namespace: "ns", Name: "sa"}, true},
		"in the binding's namespace":    {rbacv1.Subject{Kind: "ServiceAccount", Name: "sa"}, true},
		"a namesake elsewhere":          {rbacv1.Subject{Kind: "ServiceAccount", Namespace: "other", Name: "sa"}, false},
		"as a user":                     {rbacv1.Subject{Kind: "User", Name: "system:serviceaccount:ns:sa"}, true},
		"its group, which does not say": {rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts:ns"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := rights.Concerns([]rbacv1.Subject{tt.subject}, "ns", "sa", "ns"); got != tt.want {
				t.Errorf("Concerns() = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestForeign(t *testing.T) {
	owner := func(kind, uid string) metav1.OwnerReference {
		return metav1.OwnerReference{Kind: kind, UID: types.UID(uid)}
	}
	tests := map[string]struct {
		owners []metav1.OwnerReference
		want   bool
	}{
		"of nobody":                 {nil, false},
		"its own":                   {[]metav1.OwnerReference{owner("ClusterServiceVersion", "uid")}, false},
		"of another version":        {[]metav1.OwnerReference{owner("ClusterServiceVersion", "other")}, true},
		"of both":                   {[]metav1.OwnerReference{owner("ClusterServiceVersion", "other"), owner("ClusterServiceVersion", "uid")}, false},
		"of something else already": {[]metav1.OwnerReference{owner("ConfigMap", "other")}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := rights.Foreign(&metav1.ObjectMeta{OwnerReferences: tt.owners}, csv.UID); got != tt.want {
				t.Errorf("Foreign() = %v, want %v", got, tt.want)
			}
		})
	}
}
