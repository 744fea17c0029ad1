package subscription

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"chandler.dev/olm/pkg/controller/subscription/inventory"
	"chandler.dev/olm/pkg/registry"
)

// definitionOf defines a kind of the test catalogs.
func definitionOf(kind string) *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: strings.ToLower(kind) + "s.example.com"}}
	crd.Spec.Group, crd.Spec.Names.Kind = "example.com", kind
	crd.Spec.Versions = []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1", Served: true}}
	return crd
}

// claiming is the OperatorGroup of another namespace that looks after all.
func claiming(kind string) *operatorsv1.OperatorGroup {
	return &operatorsv1.OperatorGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "all", Annotations: map[string]string{"olm.providedAPIs": kind + ".v1.example.com"}},
		Status:     operatorsv1.OperatorGroupStatus{Namespaces: []string{""}},
	}
}

// TestAPIsFromElsewhere follows a namespace whose operators need or bring what
// the cluster has from elsewhere.
func TestAPIsFromElsewhere(t *testing.T) {
	own := group("group")
	own.Status.Namespaces = []string{ns}
	w := newWorld(t, own, catalogSource("main"), subscription("backup"))
	failed := func(name string) string {
		for _, c := range w.sub(name).Status.Conditions {
			if c.Type == v1alpha1.SubscriptionResolutionFailed {
				return c.Message
			}
		}
		return ""
	}
	woken := func(c inventory.Change) bool { return slices.Contains(w.r.footprints.affected(c), ns) }

	w.serve(backup)
	w.settle()
	if !strings.Contains(failed("backup"), "requires an operator providing an API") {
		t.Fatalf("backup without Etcd: %q", failed("backup"))
	}
	if woken(w.inventory.Defined(definitionOf("Other"))) {
		t.Error("an API that nobody asks for wakes the namespace")
	}
	if !woken(w.inventory.Defined(definitionOf("Etcd"))) {
		t.Error("an API that somebody asks for does not wake the namespace")
	}
	w.settle()
	if failed("backup") != "" || w.csv("backup.v1") == nil {
		t.Fatalf("backup with Etcd from elsewhere: %q, %v", failed("backup"), w.lines())
	}

	w.make(csvIn("other", "etcd-all.v7", "Etcd"))
	if !woken(w.inventory.Grouped(claiming("Etcd"))) {
		t.Error("an API that somebody else claims does not wake the namespace")
	}
	w.serve(backup, v1)
	w.make(subscription("etcd"))
	w.settle()
	const want = "constraints not satisfiable: bundle main/olm/stable/etcd.v1 is not allowed to bring Etcd (example.com/v1), " +
		"which operator etcd-all.v7 in namespace other provides, subscription etcd exists, subscription etcd requires main/olm/stable/etcd.v1; " +
		"uninstall operator etcd-all.v7 in namespace other, or have its OperatorGroup and that of this namespace choose namespaces that do not overlap"
	if diff := cmp.Diff(want, failed("etcd")); diff != "" {
		t.Errorf("etcd beside another one (-want +got):\n%s", diff)
	}
	if failed("backup") != "" {
		t.Errorf("backup suffers: %q", failed("backup"))
	}
	if !woken(w.inventory.Ungrouped(claiming("Etcd"))) {
		t.Error("an API that is free again does not wake the namespace")
	}
	w.settle()
	if w.csv("etcd.v1") == nil {
		t.Errorf("etcd when it is free: %q, %v", failed("etcd"), w.lines())
	}
}

// TestOwnDefinitionsAreNotFromElsewhere upgrades a provider on whose API
// another operator of the namespace depends: that the definition is there must
// not hide that it is needed.
func TestOwnDefinitionsAreNotFromElsewhere(t *testing.T) {
	w := newWorld(t, group("group"), catalogSource("main"), subscription("etcd"))
	w.serve(v1, backup)
	w.settle()
	edit(w, w.csv("etcd.v1"), func(csv *v1alpha1.ClusterServiceVersion) {
		csv.Spec.CustomResourceDefinitions = csvIn(ns, "", "Etcd").Spec.CustomResourceDefinitions
	})
	w.make(subscription("backup"))
	w.settle()
	w.inventory.Defined(definitionOf("Etcd"))
	without := v2
	without.provides = ""
	w.serve(v1, without, backup)
	w.settle()
	if w.csv("etcd.v1") == nil || w.csv("backup.v1") == nil || w.csv("etcd.v2") != nil {
		t.Errorf("etcd lost the API that backup needs: %v", w.lines())
	}
}

func csvIn(namespace, name, kind string) *v1alpha1.ClusterServiceVersion {
	csv := csvOf(name, "", "")
	csv.Namespace = namespace
	csv.Spec.CustomResourceDefinitions.Owned = []v1alpha1.CRDDescription{{Name: strings.ToLower(kind) + "s.example.com", Version: "v1", Kind: kind}}
	return csv
}

func TestOwnersAreNamed(t *testing.T) {
	w := newWorld(t, csvIn("other", "etcd.v2", "Etcd"), csvIn("other", "etcd.v1", "Etcd"), csvIn("other", "a.v1", "A"))
	api := registry.GVK{Group: "example.com", Version: "v1", Kind: "Etcd"}
	for kind, want := range map[string]string{"Etcd": "operator etcd.v1 in namespace other", "Gone": "operator group all in namespace other"} {
		api.Kind = kind
		got, err := ownerOf(t.Context(), w.client, types.NamespacedName{Namespace: "other", Name: "all"}, api)
		if err != nil || got != want {
			t.Errorf("ownerOf(%s) = %q, %v, want %q", kind, got, err, want)
		}
	}
}
