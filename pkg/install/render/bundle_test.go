package render_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/render"
	"chandler.dev/olm/pkg/registry"
)

const csvJSON = `{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","status":{"phase":"x"},
"metadata":{"name":"op.v1","namespace":"placeholder","annotations":{"a":"b"},"creationTimestamp":null},
"spec":{"displayName":"Op","version":"1.0.0","replaces":"op.v0",
"install":{"strategy":"deployment","spec":{"deployments":[],"permissions":[{"serviceAccountName":"sa","rules":[]},{"serviceAccountName":"own","rules":[]}]}}}}`

func TestManifests(t *testing.T) {
	release := render.Release{
		Namespace: "ns", Replaces: "op.v0.9", Properties: `{"properties":[]}`,
		Content: registry.Content{CSV: []byte(csvJSON), Objects: [][]byte{
			[]byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}}`),
			[]byte(csvJSON),
			[]byte(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"own"}}`),
			[]byte(`{"kind":"ClusterRole","metadata":{"name":"r"}}`),
			[]byte(`{"apiVersion":"rbac.authorization.k8s.io/v1beta1","kind":"ClusterRole","metadata":{"name":"r"},"rules":[]}`),
			[]byte(`{"apiVersion":"iam.services.k8s.aws/v1alpha1","kind":"Role","metadata":{"name":"custom"}}`),
		}},
	}
	got, err := render.Manifests(release)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range got {
		if m.Kind == "Role" && m.Group == "rbac.authorization.k8s.io" || m.Kind == "RoleBinding" {
			m.Name = m.Name[:len("op.v1-")] // its hash is tested elsewhere
		}
		ids = append(ids, m.Identity())
	}
	want := []string{
		"operators.coreos.com/v1alpha1/ClusterServiceVersion/op.v1",
		"/v1/BundleSecret/s",
		"/v1/ServiceAccount/own",
		"rbac.authorization.k8s.io/v1/ClusterRole/r",
		"iam.services.k8s.aws/v1alpha1/Role/custom",
		"/v1/ServiceAccount/sa",
		"rbac.authorization.k8s.io/v1/Role/op.v1-",
		"rbac.authorization.k8s.io/v1/RoleBinding/op.v1-",
		"rbac.authorization.k8s.io/v1/Role/op.v1-",
		"rbac.authorization.k8s.io/v1/RoleBinding/op.v1-",
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("Manifests() (-want +got)\n%s", diff)
	}
	csv, err := got[0].Object()
	if err != nil {
		t.Fatal(err)
	}
	wantCSV := map[string]any{
		"apiVersion": "operators.coreos.com/v1alpha1", "kind": "ClusterServiceVersion",
		"metadata": map[string]any{"name": "op.v1", "namespace": "ns", "annotations": map[string]any{"a": "b", "operatorframework.io/properties": `{"properties":[]}`}},
	}
	spec := csv.Object["spec"].(map[string]any)
	if spec["replaces"] != "op.v0.9" || spec["displayName"] != "Op" {
		t.Errorf("spec = %v", spec)
	}
	delete(csv.Object, "spec")
	if diff := cmp.Diff(wantCSV, csv.Object); diff != "" {
		t.Errorf("ClusterServiceVersion (-want +got)\n%s", diff)
	}
	if secret := got[1].GroupVersionKind().Kind; secret != "Secret" {
		t.Errorf("a BundleSecret is a %q", secret)
	}
}

func TestPropertiesAnnotation(t *testing.T) {
	got, err := render.PropertiesAnnotation([]registry.Property{
		{Type: "olm.package", Value: json.RawMessage(`{"packageName":"p"}`)},
		{Type: "olm.bundle.object", Value: json.RawMessage(`{"data":"large"}`)},
		{Type: "olm.csv.metadata", Value: json.RawMessage(`{}`)},
	})
	if want := `{"properties":[{"type":"olm.package","value":{"packageName":"p"}}]}`; got != want || err != nil {
		t.Errorf("PropertiesAnnotation() = %s, %v; want %s", got, err, want)
	}
}

func TestPlace(t *testing.T) {
	object := func(text string) *unstructured.Unstructured {
		u := &unstructured.Unstructured{}
		if err := json.Unmarshal([]byte(text), &u.Object); err != nil {
			t.Fatal(err)
		}
		return u
	}
	owner := func(name string, uid types.UID) metav1.OwnerReference {
		return metav1.OwnerReference{
			APIVersion: "operators.coreos.com/v1alpha1", Kind: "ClusterServiceVersion", Name: name, UID: uid,
			Controller: new(false), BlockOwnerDeletion: new(false),
		}
	}
	tests := map[string]struct {
		object     string
		clusterly  bool
		wantLabels map[string]string
		wantOwners []metav1.OwnerReference
		wantField  string // name of a field, with wantValue
		wantValue  any
		wantKind   failure.Kind
	}{
		"a namespaced object goes to the plan's namespace": {
			object:     `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"elsewhere","labels":{"l":"x"}}}`,
			wantLabels: map[string]string{"olm.managed": "true", "l": "x"}, wantOwners: []metav1.OwnerReference{owner("op", "u1")},
		},
		"a role of a bundle is shared by namespaces": {
			object:     `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"r"}}`,
			clusterly:  true,
			wantLabels: map[string]string{"olm.managed": "true", "olm.owner": "op"},
		},
		"another cluster-wide object belongs to one operator": {
			object:    `{"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"p","namespace":"x"}}`,
			clusterly: true,
			wantLabels: map[string]string{
				"olm.managed": "true", "olm.owner": "op", "olm.owner.namespace": "ns", "olm.owner.kind": "ClusterServiceVersion",
			},
		},
		"the labels of a generated role stay": {
			object:     `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"r","labels":{"olm.owner":"other"}}}`,
			clusterly:  true,
			wantLabels: map[string]string{"olm.managed": "true", "olm.owner": "other"},
		},
		"a reference to an operator gets its UID": {
			object:     `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"c","ownerReferences":[{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","name":"second","uid":"stale","controller":false,"blockOwnerDeletion":false},{"apiVersion":"v1","kind":"Node","name":"n","uid":""}]}}`,
			wantLabels: map[string]string{"olm.managed": "true"}, wantOwners: []metav1.OwnerReference{owner("second", "u2"), owner("op", "u1")},
		},
		"a reference to an operator that does not exist": {
			object:   `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"c","ownerReferences":[{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","name":"third"}]}}`,
			wantKind: failure.NotFound,
		},
		"a Subscription says which plan made it": {
			object:     `{"apiVersion":"operators.coreos.com/v1alpha1","kind":"Subscription","metadata":{"name":"s"}}`,
			wantLabels: map[string]string{"olm.managed": "true"}, wantField: "annotations", wantValue: map[string]any{"olm.generated-by": "plan"},
		},
		"text in a Secret is encoded": {
			object:     `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"a":"YQ=="},"stringData":{"b":"b"}}`,
			wantLabels: map[string]string{"olm.managed": "true"}, wantOwners: []metav1.OwnerReference{owner("op", "u1")},
			wantField: "data", wantValue: map[string]any{"a": "YQ==", "b": "Yg=="},
		},
		"an empty target port is left to the API server": {
			object:     `{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"ports":[{"name":"a","targetPort":0},{"name":"b","targetPort":"x"}]}}`,
			wantLabels: map[string]string{"olm.managed": "true"}, wantOwners: []metav1.OwnerReference{owner("op", "u1")},
			wantField: "ports", wantValue: []any{map[string]any{"name": "a"}, map[string]any{"name": "b", "targetPort": "x"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			parsed := render.Manifest{JSON: []byte(tt.object), Version: "v1", Kind: object(tt.object).GetKind(), Group: object(tt.object).GroupVersionKind().Group}
			u, err := parsed.Object()
			if err != nil {
				t.Fatal(err)
			}
			err = render.Place(u, render.Placement{
				Plan: "plan", Namespace: "ns", Namespaced: !tt.clusterly, Operator: "op", UIDs: map[string]types.UID{"op": "u1", "second": "u2"},
			})
			if tt.wantKind != "" {
				if failure.KindOf(err) != tt.wantKind {
					t.Errorf("Place() = %v, want %s", err, tt.wantKind)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantNamespace := "ns"
			if tt.clusterly {
				wantNamespace = ""
			}
			if u.GetNamespace() != wantNamespace {
				t.Errorf("namespace %q, want %q", u.GetNamespace(), wantNamespace)
			}
			if diff := cmp.Diff(tt.wantLabels, u.GetLabels()); diff != "" {
				t.Errorf("labels (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantOwners, u.GetOwnerReferences()); diff != "" {
				t.Errorf("owners (-want +got)\n%s", diff)
			}
			if tt.wantField == "" {
				return
			}
			for _, parent := range []string{"", "metadata", "spec"} {
				m := u.Object
				if parent != "" {
					m, _ = u.Object[parent].(map[string]any)
				}
				if v, ok := m[tt.wantField]; ok {
					if diff := cmp.Diff(tt.wantValue, v); diff != "" {
						t.Errorf("%s (-want +got)\n%s", tt.wantField, diff)
					}
					return
				}
			}
			t.Errorf("no field %q", tt.wantField)
		})
	}
}

func crd(edit func(*apiextensionsv1.CustomResourceDefinition)) *apiextensionsv1.CustomResourceDefinition {
	c := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "widgets.example.com"}}
	c.Spec.Versions = []apiextensionsv1.CustomResourceDefinitionVersion{{
		Name: "v1",
		Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
			Default: &apiextensionsv1.JSON{Raw: []byte(`{"a":1,"b":2}`)},
		}},
	}}
	if edit != nil {
		edit(c)
	}
	return c
}

func TestNeedsSpec(t *testing.T) {
	by := render.Bringer{Namespace: "ns", Operator: "op.v1", Package: "op", Version: "1.2.0"}
	other := func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[0].Name = "v2" }
	conversion := func(c *apiextensionsv1.CustomResourceDefinition) {
		c.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.WebhookConverter}
	}
	broughtBy := func(text string) *apiextensionsv1.CustomResourceDefinition {
		return crd(func(c *apiextensionsv1.CustomResourceDefinition) {
			other(c)
			c.Annotations = map[string]string{"chandler.dev/brought-by": text}
		})
	}
	converting := by
	converting.Converts = true
	tests := map[string]struct {
		live *apiextensionsv1.CustomResourceDefinition
		by   render.Bringer
		want bool
	}{
		"there is none":  {nil, by, true},
		"it is the same": {crd(nil), by, false},
		"it is the same but for white space": {crd(func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Versions[0].Schema.OpenAPIV3Schema.Default.Raw = []byte(`{"b": 2, "a": 1}`)
		}), by, false},
		"it differs": {crd(other), by, true},
		"it differs and an older version made it":   {broughtBy("op 1.1.0"), by, true},
		"it differs and a newer version made it":    {broughtBy("op 1.10.0"), by, false},
		"it differs and another operator made it":   {broughtBy("po 9.0.0"), by, true},
		"its conversion is the operator's own":      {crd(conversion), converting, false},
		"its conversion is not what the bundle has": {crd(conversion), by, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := render.NeedsSpec(tt.live, crd(nil), tt.by); got != tt.want {
				t.Errorf("NeedsSpec() = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestReplaceCRD(t *testing.T) {
	by := render.Bringer{Namespace: "ns", Operator: "op.v1", Package: "op", Version: "1.2.0"}
	mine, gone, alive := render.AlongsideAnnotation("ns", "op.v1"), render.AlongsideAnnotation("x", "gone"), render.AlongsideAnnotation("y", "alive")
	live := crd(func(c *apiextensionsv1.CustomResourceDefinition) {
		c.ResourceVersion = "7"
		c.Annotations = map[string]string{gone: "x/gone", alive: "y/alive", "theirs": "kept"}
		c.Labels = map[string]string{"theirs": "kept"}
	})
	got := render.ReplaceCRD(live, crd(nil), by, func(name string) bool { return name == "y/alive" })
	wantAnnotations := map[string]string{mine: "ns/op.v1", alive: "y/alive", "theirs": "kept", "chandler.dev/brought-by": "op 1.2.0"}
	if diff := cmp.Diff(wantAnnotations, got.Annotations); diff != "" {
		t.Errorf("annotations (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"theirs": "kept", "olm.managed": "true", "operators.coreos.com/op.ns": ""}, got.Labels); diff != "" || got.ResourceVersion != "7" {
		t.Errorf("version %q, labels (-want +got)\n%s", got.ResourceVersion, diff)
	}
	if change := render.RecordCRD(&got.ObjectMeta, &crd(nil).ObjectMeta, by); !change.IsNothing() {
		t.Errorf("RecordCRD() = %+v, want nothing", change)
	}
	second := by
	second.Namespace = "other"
	want := render.CRDChange{Labels: map[string]string{"operators.coreos.com/op.other": ""}, Annotations: map[string]string{render.AlongsideAnnotation("other", "op.v1"): "other/op.v1"}}
	if diff := cmp.Diff(want, render.RecordCRD(&got.ObjectMeta, &crd(nil).ObjectMeta, second)); diff != "" {
		t.Errorf("RecordCRD() (-want +got)\n%s", diff)
	}
}
