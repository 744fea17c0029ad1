// Package database_test checks the catalog of the database operator: it has no
// code, only bundles and what is made from them.
package database_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/operator-framework/api/pkg/validation"
	"github.com/operator-framework/api/pkg/validation/errors"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

var releases = []string{"1.0.0", "1.1.0", "1.2.0", "2.0.0"}

func readBundle(t *testing.T, release string) *manifests.Bundle {
	t.Helper()
	bundle, err := manifests.GetBundleFromDir(filepath.Join("bundles", release))
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// TestBundlesAreValid runs the validators that authors of operators use.
func TestBundlesAreValid(t *testing.T) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			objects := readBundle(t, release).ObjectsToValidate()
			for _, set := range []struct {
				name    string
				results []string
			}{
				{"manifests", problems(validation.DefaultBundleValidators.Validate(objects...))},
				{"OperatorHub", problems(validation.OperatorHubV2Validator.Validate(objects...))},
				{"good practices", problems(validation.GoodPracticesValidator.Validate(objects...))},
				{"capabilities", problems(validation.StandardCapabilitiesValidator.Validate(objects...))},
				{"categories", problems(validation.StandardCategoriesValidator.Validate(objects...))},
				{"deprecated APIs", problems(validation.AlphaDeprecatedAPIsValidator.Validate(objects...))},
				{"objects", problems(validation.ObjectValidator.Validate(objects...))},
			} {
				if len(set.results) > 0 {
					t.Errorf("%s:\n%s", set.name, strings.Join(set.results, "\n"))
				}
			}
		})
	}
}

// TestGraph keeps the upgrade edges that the releases stand for.
func TestGraph(t *testing.T) {
	type edges struct {
		Channels  []string
		Replaces  string
		Skips     []string
		SkipRange string
	}
	want := map[string]edges{
		"1.0.0": {Channels: []string{"stable", "fast"}},
		"1.1.0": {Channels: []string{"stable", "fast"}, Replaces: "database.v1.0.0"},
		"1.2.0": {Channels: []string{"fast"}, Replaces: "database.v1.1.0"},
		"2.0.0": {
			Channels: []string{"stable", "fast"}, Replaces: "database.v1.1.0",
			Skips: []string{"database.v1.2.0"}, SkipRange: ">=1.1.0 <2.0.0",
		},
	}
	got := map[string]edges{}
	for _, release := range releases {
		b := readBundle(t, release)
		got[release] = edges{b.Channels, b.CSV.Spec.Replaces, b.CSV.Spec.Skips, b.CSV.Annotations["olm.skipRange"]}
		if b.Name != "database.v"+release || b.CSV.Spec.Version.String() != release || b.DefaultChannel != "stable" || b.Package != "database" {
			t.Errorf("%s: name %q, version %s, default channel %q, package %q", release, b.Name, b.CSV.Spec.Version, b.DefaultChannel, b.Package)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
}

// TestImages makes sure that a release runs its own image everywhere.
func TestImages(t *testing.T) {
	for _, release := range releases {
		want := "localhost/chandler/database-operator:" + release
		csv := readBundle(t, release).CSV
		container := operator(csv)
		member := slices.IndexFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == "RELATED_IMAGE_MEMBER" })
		got := []string{csv.Annotations["containerImage"], container.Image, container.Env[member].Value, csv.Spec.RelatedImages[0].Image}
		if diff := cmp.Diff([]string{want, want, want, want}, got); diff != "" {
			t.Errorf("%s: images (-want +got):\n%s", release, diff)
		}
	}
}

// TestOnlyTheBrokenReleaseIsBroken compares where each release listens for
// probes with where it is asked.
func TestOnlyTheBrokenReleaseIsBroken(t *testing.T) {
	for _, release := range releases {
		csv := readBundle(t, release).CSV
		container := operator(csv)
		asked := container.ReadinessProbe.HTTPGet.Port.String()
		listens := slices.Contains(container.Args, "--health-probe-bind-address=:"+asked)
		template := csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0].Spec.Template
		simulated := template.Annotations["chandler.dev/simulate"] != "never-ready"
		if want := release != "1.2.0"; listens != want || simulated != want {
			t.Errorf("%s: ready on real nodes %t, on simulated ones %t, want both %t", release, listens, simulated, want)
		}
	}
}

// TestNewReleasesKeepTheSchema holds each CRD against the one before: fields
// may be added, none may change.
func TestNewReleasesKeepTheSchema(t *testing.T) {
	versions := map[string][]string{"1.0.0": {"v1alpha1"}, "1.1.0": {"v1alpha1"}, "1.2.0": {"v1alpha1"}, "2.0.0": {"v1alpha1", "v1beta1"}}
	var last map[string]apiextensionsv1.JSONSchemaProps
	for _, release := range releases {
		crd := readBundle(t, release).V1CRDs[0]
		var served []string
		schemas := map[string]map[string]apiextensionsv1.JSONSchemaProps{}
		for _, v := range crd.Spec.Versions {
			served = append(served, v.Name)
			schemas[v.Name] = v.Schema.OpenAPIV3Schema.Properties["spec"].Properties
			if v.Storage != (v.Name == "v1alpha1") || !v.Served {
				t.Errorf("%s: %s is stored: %t, served: %t", release, v.Name, v.Storage, v.Served)
			}
		}
		if diff := cmp.Diff(versions[release], served); diff != "" {
			t.Errorf("%s: versions (-want +got):\n%s", release, diff)
		}
		fields := schemas["v1alpha1"]
		for name, before := range last {
			if !reflect.DeepEqual(before, fields[name]) {
				t.Errorf("%s: field %q of the release before is %+v", release, name, fields[name])
			}
		}
		if _, has := fields["storage"]; has != (release != "1.0.0") {
			t.Errorf("%s: field storage is there: %t", release, has)
		}
		if beta, has := schemas["v1beta1"]; has && !reflect.DeepEqual(beta, fields) {
			t.Errorf("%s: v1beta1 and v1alpha1 differ, but are converted by name alone", release)
		}
		last = fields
	}
}

// TestExamplesFitTheSchema catches fields that a release does not have.
func TestExamplesFitTheSchema(t *testing.T) {
	for _, release := range releases {
		b := readBundle(t, release)
		var examples []struct {
			APIVersion string
			Spec       map[string]any
		}
		if err := json.Unmarshal([]byte(b.CSV.Annotations["alm-examples"]), &examples); err != nil {
			t.Fatal(err)
		}
		fields := b.V1CRDs[0].Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties
		for _, example := range examples {
			for name := range maps.Keys(example.Spec) {
				if _, ok := fields[name]; !ok {
					t.Errorf("%s: the example uses %q, which the CRD does not have", release, name)
				}
			}
		}
		if want := len(b.V1CRDs[0].Spec.Versions); len(examples) != want {
			t.Errorf("%s: %d examples for %d versions", release, len(examples), want)
		}
	}
}

// TestSamples decodes the manifests that users copy.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("samples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, file := range append(files, "catalogsource.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var object runtime.TypeMeta
			if err := yaml.Unmarshal(document, &object); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			kinds = append(kinds, object.Kind)
		}
	}
	want := []string{"ProductionReadyDatabase", "Namespace", "OperatorGroup", "Subscription", "CatalogSource"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

func problems(results []errors.ManifestResult) (list []string) {
	for _, r := range results {
		for _, e := range append(r.Errors, r.Warnings...) {
			list = append(list, e.Error())
		}
	}
	return list
}

func operator(csv *v1alpha1.ClusterServiceVersion) corev1.Container {
	return csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0].Spec.Template.Spec.Containers[0]
}
