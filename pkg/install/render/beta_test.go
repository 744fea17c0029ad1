package render_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/install/render"
)

// beta is a CustomResourceDefinition of v1beta1 with more in its spec.
func beta(t *testing.T, spec string) render.Manifest {
	t.Helper()
	m, err := render.ParseManifest([]byte(`{"apiVersion":"apiextensions.k8s.io/v1beta1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.com"},
		"spec":{"group":"example.com","names":{"plural":"widgets","kind":"Widget"},` + spec + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBetaCRD converts definitions of v1beta1. What is expected of each is the
// versions of the result, as JSON.
func TestBetaCRD(t *testing.T) {
	const preserving = `{"type":"object","x-kubernetes-preserve-unknown-fields":true}`
	tests := map[string]struct{ spec, want string }{
		"without schema everything is accepted": {
			`"version":"v1"`,
			`[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":` + preserving + `}}]`,
		},
		"without schema everything is accepted, whatever becomes of unknown fields": {
			`"version":"v1","preserveUnknownFields":false`,
			`[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":` + preserving + `}}]`,
		},
		"what all versions share goes to each": {
			`"versions":[{"name":"v1","served":true,"storage":true},{"name":"v2","served":false,"storage":false}],"preserveUnknownFields":false,
			"subresources":{"status":{}},"additionalPrinterColumns":[{"name":"Age","type":"date","JSONPath":".metadata.creationTimestamp"}],
			"validation":{"openAPIV3Schema":{"type":"object"}}`,
			`[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}},"subresources":{"status":{}},
			"additionalPrinterColumns":[{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}]},
			{"name":"v2","served":false,"storage":false,"schema":{"openAPIV3Schema":{"type":"object"}},"subresources":{"status":{}},
			"additionalPrinterColumns":[{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}]}]`,
		},
		"fields that no schema knows stay, in every object but the metadata": {
			`"version":"v1","validation":{"openAPIV3Schema":{"properties":{"metadata":{"type":"object"},"spec":{"type":"object","properties":{
			"size":{"type":"integer"},"any":{},"list":{"type":"array","items":{"type":"object"}},"map":{"type":"object","additionalProperties":{"type":"object"}}}}}}}`,
			`[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{
			"metadata":{"type":"object"},"spec":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{
			"size":{"type":"integer"},"any":{},"list":{"type":"array","items":` + preserving + `},
			"map":{"type":"object","additionalProperties":` + preserving + `}}}}}}}]`,
		},
		"fields that are dropped stay so": {
			`"version":"v1","preserveUnknownFields":false,"validation":{"openAPIV3Schema":{"properties":{"spec":{"type":"object"}}}}`,
			`[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object"}}}}}]`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := beta(t, tt.spec)
			crd, err := render.CRD(m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(crd.Spec.Versions)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parsed(t, tt.want), parsed(t, string(got))); diff != "" {
				t.Errorf("versions (-want +got)\n%s", diff)
			}
			if crd.Spec.PreserveUnknownFields || crd.Spec.Scope != "Namespaced" || crd.Spec.Names.ListKind != "WidgetList" {
				t.Errorf("spec is %+v", crd.Spec)
			}
			head, err := render.HeadOf(m)
			if err != nil || head.Spec.Scope != "Namespaced" || len(head.Spec.Versions) != len(crd.Spec.Versions) || head.Spec.Versions[0].Name != "v1" {
				t.Errorf("HeadOf() = %+v, %v", head, err)
			}
			if got := m.GroupVersionKind().Version; got != "v1" || m.Version != "v1beta1" {
				t.Errorf("written as %s from a manifest of %s", got, m.Version)
			}
		})
	}
}

func parsed(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
