package bundle_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/memory"
)

const (
	configPackages = `
- packageName: db
  defaultChannel: stable
  channels:
  - {name: stable, currentCSV: db.v2}
  - {name: old, currentCSV: db.v1}
- packageName: other
  channels:
  - {name: only, currentCSV: other.v1}
`
	configVersions = `
- {apiVersion: operators.coreos.com/v1alpha1, kind: ClusterServiceVersion, metadata: {name: db.v1}, spec: {version: 1.0.0}}
- apiVersion: operators.coreos.com/v1alpha1
  kind: ClusterServiceVersion
  metadata: {name: db.v2}
  spec:
    version: 2.0.0
    replaces: db.v1
    customresourcedefinitions: {owned: [{name: dbs.example.com, kind: DB, version: v1}]}
- {apiVersion: operators.coreos.com/v1alpha1, kind: ClusterServiceVersion, metadata: {name: other.v1}, spec: {version: 0.0.1}}
- {apiVersion: operators.coreos.com/v1alpha1, kind: ClusterServiceVersion, metadata: {name: nobodys.v1}, spec: {version: 0.0.1}}
`
	configDefinitions = `
- apiVersion: apiextensions.k8s.io/v1
  kind: CustomResourceDefinition
  metadata: {name: dbs.example.com}
  spec:
    group: example.com
    names: {kind: DB, plural: dbs, singular: db, listKind: DBList}
    scope: Namespaced
    versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {size: {type: integer, maximum: 9007199254740993}}}}}
`
)

// TestConfigMap reads catalogs of ConfigMaps: the first half of qs-04.
func TestConfigMap(t *testing.T) {
	src, err := bundle.ConfigMap(map[string]string{
		"packages": configPackages, "clusterServiceVersions": configVersions, "customResourceDefinitions": configDefinitions, "unknown": "{",
	}, t.TempDir(), bundle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := memory.New(t.Context(), registry.Validated(src))
	if err != nil {
		t.Fatal(err)
	}
	names, err := store.Packages(t.Context())
	if diff := cmp.Diff([]string{"db", "other"}, names); err != nil || diff != "" {
		t.Errorf("Packages() %v (-want +got):\n%s", err, diff)
	}
	p, err := store.Package(t.Context(), "db")
	want := registry.Package{Name: "db", DefaultChannel: "stable", Channels: []registry.Channel{
		{Name: "old", Head: "db.v1", Entries: []registry.Entry{{Name: "db.v1"}}},
		{Name: "stable", Head: "db.v2", Entries: []registry.Entry{{Name: "db.v1"}, {Name: "db.v2", Replaces: "db.v1"}}},
	}}
	if diff := cmp.Diff(want, p); err != nil || diff != "" {
		t.Errorf("Package() %v (-want +got):\n%s", err, diff)
	}
	b, err := store.Bundle(t.Context(), "db", "db.v2")
	if err != nil || len(b.Content.Objects) != 2 || !strings.Contains(string(b.Content.CSV), `"db.v2"`) {
		t.Errorf("Bundle() has %d objects, csv %s, %v", len(b.Content.Objects), b.Content.CSV, err)
	}
}

func TestConfigMapThatIsNone(t *testing.T) {
	for name, data := range map[string]map[string]string{
		"no data":                     nil,
		"no list":                     {"packages": "a: b"},
		"no YAML":                     {"packages": "["},
		"a package without name":      {"packages": "- {channels: []}"},
		"a version without name":      {"packages": configPackages, "clusterServiceVersions": "- {kind: ClusterServiceVersion}"},
		"a definition that is a text": {"packages": configPackages, "customResourceDefinitions": "- x"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := bundle.ConfigMap(data, t.TempDir(), bundle.Options{}); failure.KindOf(err) != failure.Invalid {
				t.Errorf("ConfigMap() = %v, want kind Invalid", err)
			}
		})
	}
}
