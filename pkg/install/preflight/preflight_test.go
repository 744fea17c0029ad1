package preflight_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/preflight"
	"chandler.dev/olm/pkg/install/render"
)

type properties = map[string]apiextensionsv1.JSONSchemaProps

// served is a version whose spec has the given fields.
func served(name string, spec properties) apiextensionsv1.CustomResourceDefinitionVersion {
	return apiextensionsv1.CustomResourceDefinitionVersion{
		Name: name, Served: true,
		Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
			Type: "object", Properties: properties{"spec": {Type: "object", Properties: spec}},
		}},
	}
}

func unserved(v apiextensionsv1.CustomResourceDefinitionVersion) apiextensionsv1.CustomResourceDefinitionVersion {
	v.Served = false
	return v
}

// definition has the given versions, of which the first is stored.
func definition(versions ...apiextensionsv1.CustomResourceDefinitionVersion) *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	crd.Name = "widgets.example.com"
	crd.Spec.Group, crd.Spec.Scope = "example.com", apiextensionsv1.NamespaceScoped
	crd.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Kind: "Widget"}
	crd.Spec.Versions = versions
	if len(versions) > 0 {
		crd.Spec.Versions[0].Storage = true
		crd.Status.StoredVersions = []string{versions[0].Name}
	}
	return crd
}

func edited(crd *apiextensionsv1.CustomResourceDefinition, edit func(*apiextensionsv1.CustomResourceDefinition)) *apiextensionsv1.CustomResourceDefinition {
	edit(crd)
	return crd
}

func upTo(n float64) properties { return properties{"size": {Type: "integer", Maximum: &n}} }

func widget(size int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1alpha1", "kind": "Widget", "metadata": map[string]any{"name": "w", "namespace": "ns"},
		"spec": map[string]any{"size": size},
	}}
}

func message(e *failure.Error) string {
	if e == nil {
		return ""
	}
	return string(e.Kind) + ": " + e.Message
}

func TestKind(t *testing.T) {
	tests := map[string]string{
		"ConfigMap":      "",
		"BundleSecret":   "",
		"ServiceMonitor": "",
		"Namespace":      `Invalid: a bundle cannot bring Namespace "o": kind "Namespace" is not supported`,
		"Deployment":     `Invalid: a bundle cannot bring Deployment "o": kind "Deployment" is not supported`,
	}
	for kind, want := range tests {
		t.Run(kind, func(t *testing.T) {
			if got := message(preflight.Kind(render.Manifest{Version: "v1", Kind: kind, Name: "o"})); got != want {
				t.Errorf("Kind() = %q, want %q", got, want)
			}
		})
	}
}

func TestNewCRD(t *testing.T) {
	tests := map[string]struct {
		crd  *apiextensionsv1.CustomResourceDefinition
		want string
	}{
		"a good one": {definition(served("v1", nil)), ""},
		"another name": {
			edited(definition(served("v1", nil)), func(c *apiextensionsv1.CustomResourceDefinition) { c.Name = "x.example.com" }),
			`Invalid: CustomResourceDefinition "x.example.com" must be named "widgets.example.com"`,
		},
		"no versions": {definition(), `Invalid: CustomResourceDefinition "widgets.example.com" has no versions`},
		"no schema": {
			edited(definition(served("v1", nil)), func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[0].Schema = nil }),
			`Invalid: version "v1" of CustomResourceDefinition "widgets.example.com" has no schema`,
		},
		"two stored versions": {
			edited(definition(served("v1", nil), served("v2", nil)), func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[1].Storage = true }),
			`Invalid: CustomResourceDefinition "widgets.example.com" has 2 storage versions, and must have one`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := message(preflight.NewCRD(tt.crd)); got != tt.want {
				t.Errorf("NewCRD() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCreateCRD(t *testing.T) {
	group := func(name string, annotations map[string]string) func(*apiextensionsv1.CustomResourceDefinition) {
		return func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Group, c.Annotations = name, annotations }
	}
	typeless := definition(served("v1", properties{"any": {}}))
	tests := map[string]struct {
		version string // of the manifest
		crd     *apiextensionsv1.CustomResourceDefinition
		want    string
	}{
		"a structural schema": {"v1", definition(served("v1", upTo(3))), ""},
		"a schema that is not structural": {
			"v1", typeless, `Invalid: no API server accepts CustomResourceDefinition "widgets.example.com": ` +
				`spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[any].type: Required value: must not be empty for specified object fields`,
		},
		"one that was converted": {
			"v1beta1", typeless, `Invalid: CustomResourceDefinition "widgets.example.com" uses apiextensions.k8s.io/v1beta1, which this cluster does not serve, and cannot be converted to v1: ` +
				`spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[any].type: Required value: must not be empty for specified object fields`,
		},
		"a group of the Kubernetes project": {
			"v1", edited(definition(served("v1", nil)), group("charts.helm.k8s.io", nil)),
			`Invalid: no API server accepts CustomResourceDefinition "widgets.example.com": metadata.annotations[api-approved.kubernetes.io]: ` +
				`Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111`,
		},
		"a group of the Kubernetes project, approved": {
			"v1", edited(definition(served("v1", nil)), group("charts.helm.k8s.io", map[string]string{"api-approved.kubernetes.io": "https://example.com/1"})), "",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := render.Manifest{Group: "apiextensions.k8s.io", Version: tt.version, Kind: render.KindCRD, Name: tt.crd.Name}
			if got := message(preflight.CreateCRD(m, tt.crd)); got != tt.want {
				t.Errorf("CreateCRD() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestChangedCRD(t *testing.T) {
	cluster := edited(definition(served("v1", nil)), func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Scope = apiextensionsv1.ClusterScoped })
	if got := message(preflight.ChangedCRD(definition(served("v1", nil)), cluster)); !strings.Contains(got, "cannot change its scope from Namespaced to Cluster") {
		t.Errorf("ChangedCRD() = %q", got)
	}
	if got := preflight.ChangedCRD(definition(served("v1", nil)), definition(served("v2", nil))); got != nil {
		t.Errorf("ChangedCRD() = %v, want nil", got)
	}
}

func TestNewerCRD(t *testing.T) {
	newer := definition(served("v1", nil), unserved(served("v1alpha1", nil)))
	tests := map[string]struct {
		older *apiextensionsv1.CustomResourceDefinition
		want  string
	}{
		"what the older one serves is served":      {definition(served("v1", nil)), ""},
		"what the older one does not serve may go": {definition(served("v1", nil), unserved(served("v0", nil))), ""},
		"a version that is no longer served": {
			definition(served("v1alpha1", nil)),
			`Conflict: CustomResourceDefinition "widgets.example.com" came from widget 2.0.0 and does not serve version "v1alpha1"`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := message(preflight.NewerCRD(newer, tt.older, "widget 2.0.0")); got != tt.want {
				t.Errorf("NewerCRD() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestResourceChecks(t *testing.T) {
	tests := map[string]struct {
		live, desired *apiextensionsv1.CustomResourceDefinition
		object        *unstructured.Unstructured
		wantVersions  []string
		want          string
	}{
		"the same schema needs no look": {definition(served("v1", upTo(100))), definition(served("v1", upTo(100))), widget(100), nil, ""},
		"an object that fits":           {definition(served("v1", upTo(100))), definition(served("v1", upTo(50))), widget(50), []string{"v1"}, ""},
		"an object that no longer fits": {
			definition(served("v1", upTo(100))), definition(served("v1", upTo(50))), widget(100),
			[]string{"v1"},
			`Blocked: the new schema of "widgets.example.com" is too restrictive for Widget "ns/w": spec.size`,
		},
		"an object that never fitted is not our business": {definition(served("v1", upTo(70))), definition(served("v1", upTo(50))), widget(100), []string{"v1"}, ""},
		"a version that is new":                           {definition(served("v1", upTo(100))), definition(served("v2", upTo(50)), served("v1", upTo(100))), widget(100), nil, ""},
		"a version that was not served":                   {definition(served("v1", nil), unserved(served("v2", upTo(100)))), definition(served("v1", nil), served("v2", upTo(50))), widget(100), nil, ""},
		"a version that is served no more":                {definition(served("v1", upTo(100))), definition(unserved(served("v1", upTo(50)))), widget(100), nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			checks, err := preflight.ResourceChecks(tt.live, tt.desired)
			if err != nil {
				t.Fatal(err)
			}
			var versions []string
			got := ""
			for _, c := range checks {
				versions = append(versions, c.GVK.Version)
				got += message(c.Object(tt.object))
			}
			if diff := cmp.Diff(tt.wantVersions, versions); diff != "" || got != tt.want {
				t.Errorf("ResourceChecks() = %q, want %q; versions (-want +got)\n%s", got, tt.want, diff)
			}
		})
	}
}

func TestMigration(t *testing.T) {
	webhook := func(c *apiextensionsv1.CustomResourceDefinition) {
		c.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.WebhookConverter}
	}
	const loses = `Blocked: CustomResourceDefinition "widgets.example.com" would lose version v1alpha1, in which objects are stored: `
	tests := map[string]struct {
		live, desired *apiextensionsv1.CustomResourceDefinition
		wantLost      []string
		wantReadIn    string
		want          string
	}{
		"nothing is lost": {definition(served("v1alpha1", upTo(9))), definition(served("v1", upTo(9)), served("v1alpha1", upTo(9))), nil, "", ""},
		"an object that stays the same": {
			definition(served("v1alpha1", upTo(9)), served("v1", nil)), definition(served("v1", upTo(9))), []string{"v1alpha1"}, "v1alpha1", "",
		},
		"an object with a field that goes": {
			definition(served("v1alpha1", upTo(9))), definition(served("v1", nil)),
			[]string{"v1alpha1"},
			"v1alpha1",
			loses + `Widget "ns/w" would lose spec.size`,
		},
		"an object that does not fit": {
			definition(served("v1alpha1", upTo(9))), definition(served("v1", upTo(2))),
			[]string{"v1alpha1"},
			"v1alpha1",
			loses + `Widget "ns/w" does not fit version v1: spec.size`,
		},
		"objects that a webhook converts": {
			edited(definition(served("v1alpha1", upTo(9))), webhook), definition(served("v1", upTo(9))),
			[]string{"v1alpha1"},
			"v1alpha1",
			loses + `Widget "ns/w" is converted by a webhook`,
		},
		"a version that is not served is read in another": {
			definition(unserved(served("v1alpha1", upTo(9))), served("v1", upTo(9))), definition(served("v1", upTo(9))), []string{"v1alpha1"}, "v1", "",
		},
		"objects that cannot be read": {
			definition(unserved(served("v1alpha1", upTo(9)))), definition(served("v1", upTo(9))),
			[]string{"v1alpha1"},
			"",
			loses + `no version of it is served, so that its objects cannot be read`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			lost := preflight.LostVersions(tt.live, tt.desired)
			if diff := cmp.Diff(tt.wantLost, lost); diff != "" {
				t.Fatalf("LostVersions() (-want +got)\n%s", diff)
			}
			if len(lost) == 0 {
				return
			}
			m, err := preflight.MigrationOf(tt.live, tt.desired, lost)
			got := ""
			if e, ok := err.(*failure.Error); ok { //nolint:errorlint // as it is returned
				got = message(e)
			} else if err == nil {
				got = message(m.Object(widget(3)))
			}
			if got != tt.want || m.GVK.Version != tt.wantReadIn {
				t.Errorf("Object() = %q, want %q; read in %q, want %q", got, tt.want, m.GVK.Version, tt.wantReadIn)
			}
		})
	}
}
