package v1alpha1_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"chandler.dev/olm/examples/database/api/v1alpha1"
	"chandler.dev/olm/examples/database/api/v1beta1"
)

// schema is the part of a CRD's schema that says which fields there are.
type schema struct {
	Properties map[string]schema `json:"properties"`
}

// TestNewestReleaseHasTheseFields compares the Go types with the CRD of the
// newest release: a field that it lacks would be dropped by the API server.
func TestNewestReleaseHasTheseFields(t *testing.T) {
	path := filepath.Join("..", "..", "..", "..", "catalogs", "database", "bundles", "2.0.0", "manifests", "database.example.com_productionreadydatabases.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Name   string `json:"name"`
				Schema struct {
					OpenAPIV3Schema schema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	types := map[string]reflect.Type{
		"v1alpha1": reflect.TypeFor[v1alpha1.ProductionReadyDatabase](),
		"v1beta1":  reflect.TypeFor[v1beta1.ProductionReadyDatabase](),
	}
	for _, version := range crd.Spec.Versions {
		object, ok := types[version.Name]
		if !ok {
			t.Fatalf("no type for %s", version.Name)
		}
		delete(types, version.Name)
		for _, part := range []string{"Spec", "Status"} {
			field, _ := object.FieldByName(part)
			want := fieldsOf(field.Type)
			if diff := cmp.Diff(want, namesOf(version.Schema.OpenAPIV3Schema.Properties[strings.ToLower(part)])); diff != "" {
				t.Errorf("%s of %s (-type +CRD):\n%s", part, version.Name, diff)
			}
		}
	}
	if len(types) > 0 {
		t.Errorf("the CRD lacks %v", types)
	}
}

func fieldsOf(t reflect.Type) (names []string) {
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func namesOf(s schema) (names []string) {
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
