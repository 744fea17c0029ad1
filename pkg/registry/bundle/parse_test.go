package bundle_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
)

const (
	csvText         = "apiVersion: v1alpha1\nkind: ClusterServiceVersion\nmetadata: {name: p.v1}\nspec: {version: 1.0.0}\n"
	annotationsText = "annotations:\n  operators.operatorframework.io.bundle.package.v1: p\n  operators.operatorframework.io.bundle.channels.v1: a,b\n"
	identity        = `olm.package {"packageName":"p","version":"1.0.0"}`
	fooCRD          = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {group: g.io, names: {kind: Foo, plural: foos}, versions: [{name: v1}, {name: v2alpha1}]}\n"
	barCRD          = "apiVersion: apiextensions.k8s.io/v1beta1\nkind: CustomResourceDefinition\nspec: {group: g.io, version: v1alpha1, names: {kind: Bar, plural: bars}}\n"
)

// TestParse runs the scenarios bp-01 … bp-13 and ve-10: files of a bundle, and
// its properties and images or what is wrong with it.
func TestParse(t *testing.T) {
	csv := func(text string) map[string]string { return map[string]string{"manifests/csv.yaml": text} }
	spec := func(text string) map[string]string {
		return csv(strings.Replace(csvText, "spec: {version: 1.0.0}", "spec:\n  version: 1.0.0\n  "+strings.ReplaceAll(text, "\n", "\n  "), 1))
	}
	with := func(files map[string]string, pairs ...string) map[string]string {
		for i := 0; i < len(pairs); i += 2 {
			files[pairs[i]] = pairs[i+1]
		}
		return files
	}
	const deployment = "install:\n  strategy: deployment\n  spec: {deployments: [{spec: {template: {spec: {initContainers: [{image: init:v1}], containers: [{image: main:v1}, {image: main:v1}]}}}}]}"
	tests := map[string]struct {
		files      map[string]string // over the good ones; empty text removes a file
		want       []string          // properties
		wantImages []string
		wantError  string
	}{
		"bp-02 bp-07 a plain bundle":           {want: []string{identity}},
		"bp-01 no manifests":                   {files: csv(""), wantError: "no bundle objects found"},
		"bp-01 no annotations":                 {files: map[string]string{"metadata/annotations.yaml": "other: 1\n"}, wantError: "could not find annotations file"},
		"bp-01 annotations under another name": {files: map[string]string{"metadata/annotations.yaml": "", "metadata/x.yml": annotationsText}, want: []string{identity}},
		"bp-03 ad-13 dependencies": {
			files: map[string]string{"metadata/dependencies.yaml": "dependencies:\n- {type: olm.gvk, value: {group: g, kind: K, version: v1}}\n- {type: olm.package, value: {packageName: q, version: '>1.0.0'}}\n- {type: olm.constraint, value: {cel: {rule: 'true'}}}\n"},
			want:  []string{`olm.constraint {"cel":{"rule":"true"}}`, `olm.gvk.required {"group":"g","kind":"K","version":"v1"}`, identity, `olm.package.required {"packageName":"q","versionRange":">1.0.0"}`},
		},
		"bp-04 properties in an annotation": {
			files: csv(strings.Replace(csvText, "{name: p.v1}", `{name: p.v1, annotations: {olm.properties: '[{"type": "olm.maxOpenShiftVersion", "value": "4.20"}]'}}`, 1)),
			want:  []string{`olm.maxOpenShiftVersion "4.20"`, identity},
		},
		"bp-04 garbage in an annotation": {files: csv(strings.Replace(csvText, "{name: p.v1}", `{name: p.v1, annotations: {olm.properties: garbage}}`, 1)), want: []string{identity}},
		"bp-05 bp-09 pr-03 a file of properties": {
			files: map[string]string{"metadata/properties.yaml": "properties:\n- {type: x, value: {b: 1, a: 2}}\n- {type: x, value: {a: 2, b: 1}}\n"},
			want:  []string{identity, `x {"a":2,"b":1}`},
		},
		"an explicit identity":           {files: map[string]string{"metadata/properties.yaml": "properties:\n- {type: olm.package, value: {packageName: p, version: 2.0.0}}\n"}, want: []string{`olm.package {"packageName":"p","version":"2.0.0"}`}},
		"bp-06 no ClusterServiceVersion": {files: map[string]string{"manifests/csv.yaml": "kind: Service\n"}, wantError: "no csv in bundle"},
		"bp-08 bp-12 provided APIs": {
			files: map[string]string{"manifests/foo.yaml": fooCRD, "manifests/bar.yaml": barCRD, "manifests/other.yaml": strings.Replace(fooCRD, "k8s.io/v1", "k8s.io/v9", 1)},
			want: []string{
				`olm.gvk {"group":"g.io","kind":"Bar","version":"v1alpha1"}`, `olm.gvk {"group":"g.io","kind":"Foo","version":"v1"}`,
				`olm.gvk {"group":"g.io","kind":"Foo","version":"v2alpha1"}`, identity,
			},
		},
		"bp-10 services and requirements": {
			files: spec("apiservicedefinitions: {owned: [{name: xs, group: s.io, version: v1, kind: X}], required: [{name: ys, group: s.io, version: v1, kind: Yy}]}\ncustomresourcedefinitions: {required: [{name: zs.r.io, version: v1, kind: Z}]}"),
			want: []string{
				`olm.gvk {"group":"s.io","kind":"X","version":"v1"}`, `olm.gvk.required {"group":"r.io","kind":"Z","version":"v1"}`,
				`olm.gvk.required {"group":"s.io","kind":"Yy","version":"v1"}`, identity,
			},
		},
		"bp-10 owned APIs of another type":        {files: spec("customresourcedefinitions: {owned: 5}"), wantError: "the ClusterServiceVersion cannot be read"},
		"bp-10 required services of another type": {files: spec("apiservicedefinitions: {required: [5]}"), wantError: "the ClusterServiceVersion cannot be read"},
		"bp-10 skips of another type":             {files: spec("skips: p.v0"), wantError: "the ClusterServiceVersion cannot be read"},
		"bp-10 a version of another type":         {files: csv(strings.Replace(csvText, "1.0.0", "1.0", 1)), wantError: "the ClusterServiceVersion cannot be read"},
		"bp-10 no version":                        {files: csv(strings.Replace(csvText, "{version: 1.0.0}", "{}", 1)), want: []string{`olm.package {"packageName":"p","version":""}`}},
		"bp-11 one image":                         {files: spec("relatedImages: [{name: a, image: 'a:v1'}]"), want: []string{identity}, wantImages: []string{"a:v1"}},
		"bp-11 one container":                     {files: spec("install: {strategy: deployment, spec: {deployments: [{spec: {template: {spec: {containers: [{image: 'main:v1'}]}}}}]}}"), want: []string{identity}, wantImages: []string{"main:v1"}},
		"bp-11 a deployment without containers":   {files: spec("install: {strategy: deployment, spec: {deployments: [{spec: {template: {spec: {}}}}]}}"), want: []string{identity}},
		"bp-11 only an initContainer":             {files: spec("install: {strategy: deployment, spec: {deployments: [{spec: {template: {spec: {initContainers: [{image: 'init:v1'}]}}}}]}}"), want: []string{identity}, wantImages: []string{"init:v1"}},
		"bp-10 replaces of another type":          {files: spec("replaces: [1]"), wantError: "the ClusterServiceVersion cannot be read"},
		"bp-11 images":                            {files: spec("relatedImages: [{name: b, image: 'oci://b:v1'}, {name: a, image: a:v1}]\n" + deployment), want: []string{identity}, wantImages: []string{"a:v1", "b:v1", "init:v1", "main:v1"}},
		"bp-11 images of an unknown strategy":     {files: spec(strings.Replace(deployment, "strategy: deployment", "strategy: other", 1)), want: []string{identity}},
		"bp-13 an owned API is not there":         {files: with(spec("customresourcedefinitions: {owned: [{name: bars.g.io, version: v1, kind: Bar}]}"), "manifests/foo.yaml", fooCRD), wantError: "couldn't find g.io/v1/Bar (bars) in bundle"},
		"bp-13 an owned API without a group":      {files: spec("customresourcedefinitions: {owned: [{name: bars, version: v1, kind: Bar}]}"), wantError: "couldn't parse plural.group from crd name: bars"},
		"ve-10 a release in words":                {files: spec("release: 1.0.0"), want: []string{`olm.package {"packageName":"p","version":"1.0.0","release":"1.0.0"}`}},
		"ve-10 a release that is a number":        {files: spec("release: 20250104235959"), want: []string{`olm.package {"packageName":"p","version":"1.0.0","release":"20250104235959"}`}},
		"ve-10 a release that is a fraction":      {files: spec("release: 0.20250104"), want: []string{`olm.package {"packageName":"p","version":"1.0.0","release":"0.20250104"}`}},
		"ve-10 a release that is null":            {files: spec("release: null"), want: []string{identity}},
		"ve-10 a release that is a boolean":       {files: spec("release: true"), wantError: "spec.release: want a string or a number, got true"},
		"only the first document of a file":       {files: map[string]string{"manifests/two.yaml": "kind: Service\n---\nkind: ClusterServiceVersion\n"}, want: []string{identity}},
		"hidden files and directories":            {files: map[string]string{"manifests/.x.yaml": "a: b: c", "manifests/d/x.yaml": "a: b: c"}, want: []string{identity}},
		"metadata that is no YAML by its name":    {files: map[string]string{"metadata/created-at": "a: b: c"}, want: []string{identity}},
		"metadata that should be YAML":            {files: map[string]string{"metadata/dependencies.yaml": "a: b: c"}, wantError: "bundle/metadata/dependencies.yaml"},
		"manifests with a tab":                    {files: map[string]string{"manifests/x.yaml": "a:\n\tb: 1\n"}, wantError: "indent with spaces"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{
				"manifests/csv.yaml":        {Data: []byte(csvText)},
				"metadata/annotations.yaml": {Data: []byte(annotationsText)},
				"manifests/.keep":           {},
			}
			for file, text := range test.files {
				delete(fsys, file)
				if text != "" {
					fsys[file] = &fstest.MapFile{Data: []byte(text)}
				}
			}
			got, err := bundle.Parse(fsys, "bundle")
			if test.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantError) {
					t.Fatalf("error %v does not say %q", err, test.wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var properties, images []string
			for _, p := range got.Properties {
				properties = append(properties, p.Type+" "+string(p.Value))
			}
			for _, image := range got.RelatedImages {
				images = append(images, image.Image)
			}
			if diff := cmp.Diff([][]string{test.want, test.wantImages}, [][]string{properties, images}); diff != "" {
				t.Errorf("properties, images (-want +got):\n%s", diff)
			}
			if got.Name != "p.v1" || got.Package != "p" || strings.Join(got.Channels, " ") != "a b" {
				t.Errorf("the bundle is %s of %s in %v", got.Name, got.Package, got.Channels)
			}
		})
	}
}

// TestParseEdges reads what a bundle says of its place: bp-10.
func TestParseEdges(t *testing.T) {
	text := strings.Replace(csvText, "{name: p.v1}", "{name: p.v1, annotations: {olm.skipRange: <1.0.0}}", 1)
	text = strings.Replace(text, "{version: 1.0.0}", "{version: 1.0.0, replaces: p.v0, skips: [p.v0.5, p.v0.6], skipRange: <9.0.0}", 1)
	got, err := bundle.Parse(fstest.MapFS{
		"manifests/csv.yaml":        {Data: []byte(text)},
		"metadata/annotations.yaml": {Data: []byte(annotationsText + "  operators.operatorframework.io.bundle.channel.default.v1: b\n")},
	}, "bundle")
	if err != nil {
		t.Fatal(err)
	}
	want := registry.Entry{Name: "p.v1", Replaces: "p.v0", Skips: []string{"p.v0.5", "p.v0.6"}, SkipRange: "<1.0.0"}
	if diff := cmp.Diff(want, got.Edges); diff != "" || got.DefaultChannel != "b" {
		t.Errorf("default channel %s, edges (-want +got):\n%s", got.DefaultChannel, diff)
	}
}

// TestParseNoBundle reads what is no bundle: bp-01.
func TestParseNoBundle(t *testing.T) {
	for name, fsys := range map[string]fstest.MapFS{
		"an empty directory": {},
		"no manifests":       {"metadata/annotations.yaml": {Data: []byte(annotationsText)}},
		"no metadata":        {"manifests/csv.yaml": {Data: []byte(csvText)}},
	} {
		t.Run(name, func(t *testing.T) {
			if bundle.Is(fsys, ".") {
				t.Error("Is() = true")
			}
			if _, err := bundle.Parse(fsys, "bundle"); err == nil || !strings.Contains(err.Error(), "read bundle bundle") {
				t.Errorf("error %v, want that the bundle cannot be read", err)
			}
		})
	}
}
