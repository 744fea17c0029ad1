package check_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle/check"
)

const (
	annotations = "annotations:\n  operators.operatorframework.io.bundle.mediatype.v1: registry+v1\n  operators.operatorframework.io.bundle.manifests.v1: manifests/\n" +
		"  operators.operatorframework.io.bundle.metadata.v1: metadata/\n  operators.operatorframework.io.bundle.package.v1: p\n  operators.operatorframework.io.bundle.channels.v1: a\n"
	csv = "apiVersion: operators.coreos.com/v1alpha1\nkind: ClusterServiceVersion\nmetadata:\n  name: p.v1.0.0\n  annotations: {a: b}\n" +
		"spec:\n  version: 1.0.0\n  installModes: [{type: AllNamespaces, supported: true}, {type: OwnNamespace, supported: false}]\n" +
		"  customresourcedefinitions: {owned: [{name: foos.g.io, version: v1, kind: Foo}]}\n"
	crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: foos.g.io}\n" +
		"spec: {group: g.io, names: {kind: Foo, plural: foos}, versions: [{name: v1, storage: true}, {name: v2}]}\n"
)

// TestBundle runs the scenarios bv-01 … bv-06, as far as no cluster and no
// compiler is needed: a bundle, and what is wrong with it.
func TestBundle(t *testing.T) {
	edit := func(file, text string, pairs ...string) map[string]string {
		return map[string]string{file: strings.NewReplacer(pairs...).Replace(text)}
	}
	dependency := func(text string) map[string]string {
		return map[string]string{"metadata/dependencies.yaml": "dependencies:\n- " + text + "\n"}
	}
	editCSV := func(pairs ...string) map[string]string { return edit("manifests/csv.yaml", csv, pairs...) }
	editCRD := func(pairs ...string) map[string]string { return edit("manifests/crd.yaml", crd, pairs...) }
	editAnnotations := func(pairs ...string) map[string]string {
		return edit("metadata/annotations.yaml", annotations, pairs...)
	}
	tests := map[string]struct {
		files       map[string]string // over the good ones; empty text removes a file
		want        []string          // parts of the problems, in their order
		wantWarning []string
	}{
		"a good bundle":       {},
		"no manifests at all": {files: map[string]string{"manifests/csv.yaml": "", "manifests/crd.yaml": ""}, want: []string{"unable to locate manifests directory"}},
		"no metadata at all":  {files: map[string]string{"metadata/annotations.yaml": ""}, want: []string{"unable to locate metadata directory"}},

		"bv-01 a dependency on half of an API":       {files: dependency("{type: olm.gvk, value: {group: g, version: v1}}"), want: []string{"couldn't parse dependency of type olm.gvk"}},
		"bv-01 a dependency on a range that is none": {files: dependency("{type: olm.package, value: {packageName: q, version: v1}}"), want: []string{"Invalid semver format version"}},
		"bv-01 a dependency on no package":           {files: dependency("{type: olm.package, value: {version: '>1.0.0'}}"), want: []string{"Package name is empty"}},
		"bv-01 a dependency on no version":           {files: dependency("{type: olm.package, value: {packageName: q}}"), want: []string{"Package version is empty"}},
		"bv-01 a dependency on neither":              {files: dependency("{type: olm.package, value: {}}"), want: []string{"Package name is empty", "Package version is empty"}},
		"bv-01 a dependency of another type":         {files: dependency("{type: olm.crd, value: {}}"), want: []string{"couldn't parse dependency of type olm.crd"}},
		"bv-01 a dependency of another shape":        {files: dependency("{type: olm.gvk, value: 5}"), want: []string{"couldn't parse dependency of type olm.gvk"}},
		"bv-01 a label that is empty":                {files: dependency("{type: olm.label, value: {label: ''}}"), want: []string{"Label information is missing"}},
		"bv-01 good dependencies":                    {files: dependency("{type: olm.gvk, value: {group: g, kind: K, version: v1}}\n- {type: olm.package, value: {packageName: q, version: '>=1.0.0 <2.0.0'}}\n- {type: olm.label, value: {label: x}}")},
		"bv-05 a rule":                               {files: dependency("{type: olm.constraint, value: {cel: {rule: 'true'}}}")},
		"bv-05 a constraint of nothing":              {files: dependency("{type: olm.constraint, value: {failureMessage: x}}"), want: []string{"The CEL field is missing"}},
		"bv-05 a rule that is empty":                 {files: dependency("{type: olm.constraint, value: {cel: {rule: ''}}}"), want: []string{"The CEL expression is missing"}},
		"bv-05 another constraint":                   {files: dependency("{type: olm.constraint, value: {all: {constraints: []}}}")},

		"bv-02 no install modes":               {files: editCSV("[{type: AllNamespaces, supported: true}, {type: OwnNamespace, supported: false}]", "[]"), want: []string{"install modes not found"}},
		"an install mode twice":                {files: editCSV("type: OwnNamespace", "type: AllNamespaces"), want: []string{`install mode "AllNamespaces" comes twice`}},
		"no install mode is supported":         {files: editCSV("supported: true", "supported: false"), want: []string{"none of the install modes is supported"}},
		"bv-02 a version twice":                {files: editCRD("{name: v2}", "{name: v1}"), want: []string{"must contain unique version names"}},
		"no version is stored":                 {files: editCRD(", storage: true", ""), want: []string{"exactly one version marked as storage version, found 0"}},
		"a definition under another name":      {files: editCRD("name: foos.g.io", "name: bars.g.io"), want: []string{`metadata.name is "bars.g.io"`, "owned CRD foos.g.io/v1 not found"}, wantWarning: []string{"CRD bars.g.io is not owned"}},
		"bv-02 a ServiceAccount that is none":  {files: map[string]string{"manifests/sa.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x}\nsecrets: none\n"}, want: []string{"ServiceAccount: json: cannot unmarshal string"}},
		"bv-02 a kind that is not supported":   {files: map[string]string{"manifests/quota.yaml": "apiVersion: v1\nkind: ResourceQuota\n"}, want: []string{"ResourceQuota is not supported type for registryV1 bundle: manifests/quota.yaml"}},
		"bv-03 an owned definition is missing": {files: map[string]string{"manifests/crd.yaml": ""}, want: []string{"owned CRD foos.g.io/v1 not found in bundle"}},
		"bv-03 one definition too many": {
			files:       map[string]string{"manifests/crd2.yaml": strings.ReplaceAll(crd, "foos", "bars")},
			wantWarning: []string{"CRD bars.g.io is not owned by the ClusterServiceVersion"},
		},
		"bv-04 annotations in other letters": {
			files: editCSV("a: b", "olm.operatorgroup: a, olm.operatornamespace: b, olm.skiprange: c"),
			want: []string{
				"provided annotation olm.operatorgroup uses wrong case and should be olm.operatorGroup instead",
				"provided annotation olm.operatornamespace uses wrong case and should be olm.operatorNamespace instead",
				"provided annotation olm.skiprange uses wrong case and should be olm.skipRange instead",
			},
		},
		"bv-06 another media type": {files: editAnnotations("registry+v1", "plain"), want: []string{`to have value "registry+v1" instead of "plain"`}},
		"bv-06 a chart":            {files: map[string]string{"manifests/csv.yaml": "", "manifests/Chart.yaml": "name: x\n"}, want: []string{`to have value "helm" instead of "registry+v1"`}},
		"bv-06 plain manifests":    {files: map[string]string{"manifests/csv.yaml": ""}, want: []string{`to have value "plain" instead of "registry+v1"`}},
		"bv-06 no manifests":       {files: map[string]string{"manifests/csv.yaml": "", "manifests/crd.yaml": "", "manifests/d/x.yaml": "a: 1\n"}, want: []string{"the bundle has no manifests"}, wantWarning: []string{"a directory is passed over"}},

		"no annotations":             {files: edit("metadata/annotations.yaml", "other: 1\n"), want: []string{"could not find annotations file"}},
		"an annotation is missing":   {files: editAnnotations("  operators.operatorframework.io.bundle.package.v1: p\n", ""), want: []string{`Missing annotation "operators.operatorframework.io.bundle.package.v1"`}},
		"no channels":                {files: editAnnotations("channels.v1: a", "channels.v1: ''"), want: []string{"channels.v1\" to have a value"}},
		"an empty default channel":   {files: map[string]string{"metadata/annotations.yaml": annotations + "  operators.operatorframework.io.bundle.channel.default.v1: ''\n"}, want: []string{"channel.default.v1\" to have a value"}},
		"a file that is no manifest": {files: map[string]string{"manifests/x.yaml": "a: b: c\n"}, want: []string{"the file cannot be decoded"}},
		"a name that is none":        {files: editCSV("name: p.v1.0.0", "name: P_1"), want: []string{`metadata.name "P_1" is no name of an object`}},
		"a name that is long":        {files: editCSV("name: p.v1.0.0", "name: "+strings.Repeat("p", 64)), want: []string{"is longer than 63 characters"}},
		"replaces that is no name":   {files: editCSV("version: 1.0.0", "version: 1.0.0\n  replaces: P_0"), want: []string{`spec.replaces "P_0"`}},
		"a version of Kubernetes":    {files: editCSV("version: 1.0.0", "version: 1.0.0\n  minKubeVersion: v1"), want: []string{`spec.minKubeVersion "v1"`}},
		"a release and what it was":  {files: editCSV("version: 1.0.0", "version: 1.0.0\n  release: 1", "a: b", "olm.substitutesFor: p.v0"), want: []string{"exclude each other"}},
		"examples that are none":     {files: editCSV("a: b", "alm-examples: x"), want: []string{"alm-examples is no list"}},
		"an example of another API":  {files: editCSV("a: b", `alm-examples: '[{"apiVersion": "g.io/v1", "kind": "Foo"}, {"apiVersion": "g.io/v1", "kind": "Bar"}]'`), want: []string{"the example of g.io/v1 Bar"}},
		"conversion in a namespace":  {files: editCSV("supported: false", "supported: true", "version: 1.0.0", "version: 1.0.0\n  webhookdefinitions: [{conversionCRDs: [foos.g.io]}]"), want: []string{"a conversion webhook needs AllNamespaces"}},
		"a second one":               {files: map[string]string{"manifests/more.yaml": csv}, want: []string{"a second ClusterServiceVersion"}},
		"no apiVersion":              {files: editCRD("apiVersion: apiextensions.k8s.io/v1\n", ""), want: []string{"CustomResourceDefinition has no apiVersion"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{
				"manifests/csv.yaml": {Data: []byte(csv)}, "manifests/crd.yaml": {Data: []byte(crd)}, "metadata/annotations.yaml": {Data: []byte(annotations)},
			}
			for file, text := range test.files {
				delete(fsys, file)
				if text != "" {
					fsys[file] = &fstest.MapFile{Data: []byte(text)}
				}
			}
			got := check.Bundle(fsys, "bundle")
			compare(t, "problems", test.want, got.Problems)
			compare(t, "warnings", test.wantWarning, got.Warnings)
		})
	}
}

// compare fails if there are other problems than those that are wanted.
func compare(t *testing.T, what string, want []string, got []registry.Problem) {
	t.Helper()
	slices.SortFunc(got, func(a, b registry.Problem) int { return strings.Compare(a.Message, b.Message) })
	ok := len(want) == len(got)
	for i := range min(len(want), len(got)) {
		ok = ok && slices.ContainsFunc(got, func(p registry.Problem) bool {
			return strings.Contains(p.Message, want[i]) && strings.HasPrefix(p.Where, "bundle/")
		})
	}
	if !ok {
		t.Errorf("%s %v, want those that say %q", what, got, want)
	}
}
