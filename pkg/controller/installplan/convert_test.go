package installplan_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"chandler.dev/olm/pkg/controller/installplan"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/registry"
)

// realBundle reads a bundle of the test data.
func realBundle(t *testing.T, operator, version string) registry.Bundle {
	t.Helper()
	root := os.Getenv("OLM_TESTDATA")
	if root == "" {
		root = "../../../../shared/data"
	}
	files, err := filepath.Glob(filepath.Join(root, "bundles", operator, version, "manifests", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no bundle %s %s in %s: set OLM_TESTDATA to the test data", operator, version, root)
	}
	b := registry.Bundle{Package: operator, Version: version, Image: "registry.example.com/" + operator + ":" + version}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		object, err := yaml.YAMLToJSON(raw)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		b.Content.Objects = append(b.Content.Objects, object)
		var head struct {
			Kind     string                `json:"kind"`
			Metadata struct{ Name string } `json:"metadata"`
		}
		if err := json.Unmarshal(object, &head); err != nil {
			t.Fatal(err)
		}
		if head.Kind == "ClusterServiceVersion" {
			b.Content.CSV, b.Name = object, head.Metadata.Name
		}
	}
	value, err := json.Marshal(map[string]string{"packageName": operator, "version": version})
	if err != nil {
		t.Fatal(err)
	}
	b.Properties = []registry.Property{{Type: registry.PropertyPackage, Value: value}}
	return b
}

func decision(b registry.Bundle) installplan.Input {
	return installplan.Input{
		Namespace:     "ns",
		Subscriptions: []installplan.Subscription{{Name: "sub", UID: "u1"}},
		Approval:      v1alpha1.ApprovalAutomatic,
		Generation:    1,
		Selections: []installplan.Selected{{
			Catalog: types.NamespacedName{Namespace: "olm", Name: "cat"},
			Package: b.Package, Channel: "stable", Bundle: b,
		}},
	}
}

func TestBuild(t *testing.T) {
	b := realBundle(t, "etcd", "0.9.4")
	in := decision(b)
	in.Selections[0].Replaces = "etcdoperator.v0.9.2"
	in.Selections[0].GenerateSubscription = true
	plan, err := installplan.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	type step struct{ Kind, Name string }
	var got []step
	for _, s := range plan.Status.Plan {
		got = append(got, step{s.Resource.Kind, s.Resource.Name})
		if s.Resolving != b.Name || s.Status != v1alpha1.StepStatusUnknown || s.Resource.CatalogSource != "cat" {
			t.Errorf("step %s = %+v", s.Resource.Name, s)
		}
	}
	role := "etcdoperator.v0.9.4-etcd-operator-2QFCzKrBIpPtgnsdnL5PbYZFwxUInNlF6oLzZo"
	if len(got) > 5 {
		role = got[5].Name // the hash is checked in pkg/install/render
	}
	want := []step{
		{"ClusterServiceVersion", "etcdoperator.v0.9.4"},
		{"CustomResourceDefinition", "etcdbackups.etcd.database.coreos.com"},
		{"CustomResourceDefinition", "etcdclusters.etcd.database.coreos.com"},
		{"CustomResourceDefinition", "etcdrestores.etcd.database.coreos.com"},
		{"ServiceAccount", "etcd-operator"},
		{"Role", role},
		{"RoleBinding", role},
		{"Subscription", "etcd-stable-cat-olm"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Build() steps (-want +got)\n%s", diff)
	}

	var ref install.ContentRef
	if err := json.Unmarshal([]byte(plan.Status.Plan[0].Resource.Manifest), &ref); err != nil {
		t.Fatal(err)
	}
	wantRef := install.ContentRef{
		Kind: "BundleContent", CatalogName: "cat", CatalogNamespace: "olm", Package: "etcd",
		Bundle: "etcdoperator.v0.9.4", Digest: install.ContentDigest(b.Content),
	}
	if diff := cmp.Diff(wantRef, ref); diff != "" {
		t.Errorf("Build() reference (-want +got)\n%s", diff)
	}
	if plan.Status.Phase != v1alpha1.InstallPlanPhaseInstalling || !plan.Spec.Approved {
		t.Errorf("Build() phase %q, approved %v", plan.Status.Phase, plan.Spec.Approved)
	}
	lookup := plan.Status.BundleLookups[0]
	wantProperties := `{"properties":[{"type":"olm.package","value":{"packageName":"etcd","version":"0.9.4"}}]}`
	if lookup.Replaces != "etcdoperator.v0.9.2" || lookup.Properties != wantProperties || lookup.Path != b.Image {
		t.Errorf("Build() lookup = %+v", lookup)
	}
	if diff := cmp.Diff([]string{"etcdoperator.v0.9.4"}, plan.Spec.ClusterServiceVersionNames); diff != "" {
		t.Errorf("Build() names (-want +got)\n%s", diff)
	}
}

func TestBuildNames(t *testing.T) {
	base := decision(realBundle(t, "snapscheduler", "3.5.0"))
	plan, err := installplan.Build(base)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		edit func(*installplan.Input)
		same bool
	}{
		"the same decision":         {func(*installplan.Input) {}, true},
		"another generation":        {func(in *installplan.Input) { in.Generation = 7 }, true},
		"another approval":          {func(in *installplan.Input) { in.Approval = v1alpha1.ApprovalManual }, true},
		"another attempt":           {func(in *installplan.Input) { in.Attempt = 1 }, false},
		"a Subscription made anew":  {func(in *installplan.Input) { in.Subscriptions = []installplan.Subscription{{Name: "sub", UID: "u2"}} }, false},
		"another namespace":         {func(in *installplan.Input) { in.Namespace = "other" }, false},
		"another replaced operator": {func(in *installplan.Input) { in.Selections[0].Replaces = "x" }, false},
		"content that has changed": {func(in *installplan.Input) {
			in.Selections[0].Bundle.Content.Objects = in.Selections[0].Bundle.Content.Objects[:1]
		}, false},
		"properties that changed":    {func(in *installplan.Input) { in.Selections[0].Bundle.Properties = nil }, false},
		"content of another catalog": {func(in *installplan.Input) { in.Selections[0].Catalog.Name = "other" }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := base
			in.Selections = []installplan.Selected{base.Selections[0]}
			tt.edit(&in)
			other, err := installplan.Build(in)
			if err != nil {
				t.Fatal(err)
			}
			if same := other.Name == plan.Name; same != tt.same {
				t.Errorf("Build() names %q and %q, want same %v", plan.Name, other.Name, tt.same)
			}
		})
	}
}

func TestBuildManual(t *testing.T) {
	in := decision(realBundle(t, "snapscheduler", "3.5.0"))
	in.Approval = v1alpha1.ApprovalManual
	plan, err := installplan.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Status.Phase != v1alpha1.InstallPlanPhaseRequiresApproval || plan.Spec.Approved {
		t.Errorf("Build() phase %q, approved %v", plan.Status.Phase, plan.Spec.Approved)
	}
}

func TestBuildRefuses(t *testing.T) {
	tests := map[string]registry.Content{
		"no content":               {},
		"broken JSON":              {CSV: []byte(`{"kind":`)},
		"another operator inside":  {CSV: []byte(`{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","metadata":{"name":"b"},"spec":{}}`)},
		"an operator without kind": {CSV: []byte(`{"metadata":{"name":"a"}}`)},
		"an object without a name": {
			CSV:     []byte(`{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","metadata":{"name":"a"},"spec":{}}`),
			Objects: [][]byte{[]byte(`{"apiVersion":"v1","kind":"ConfigMap"}`)},
		},
	}
	for name, content := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := installplan.Build(decision(registry.Bundle{Name: "a", Content: content}))
			if failure.KindOf(err) != failure.Invalid {
				t.Errorf("Build() = %v, want Invalid", err)
			}
		})
	}
}
