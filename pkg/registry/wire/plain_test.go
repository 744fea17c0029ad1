package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/registry"
)

func bundleWith(metadata, version string) registry.Bundle {
	return registry.Bundle{
		Name: `a"b`, Version: version, Content: registry.Content{Metadata: []byte(metadata)},
		RelatedImages: []registry.RelatedImage{{Name: "", Image: "example.com/<x>"}},
	}
}

func TestPlainTemplateIsWhatDecodingMakes(t *testing.T) {
	const apis = `"apiServiceDefinitions":{},"crdDescriptions":{"owned":[]}`
	tests := map[string]struct {
		metadata string
		left     bool // to decodedTemplate
	}{
		"all fields": {metadata: `{"annotations":{"a":"<\n","b":""},` + apis + `,"description":"d\"","displayName":"é","installModes":[],"keywords":["k"],` +
			`"labels":{"l":"1"},"links":[{}],"maintainers":[],"maturity":"m","minKubeVersion":"1","nativeAPIs":[],"provider":{"name":"p"}}`},
		"only what must be there":       {metadata: `{` + apis + `}`},
		"no definitions of services":    {metadata: `{"crdDescriptions":{}}`, left: true},
		"a field that nobody knows":     {metadata: `{` + apis + `,"more":1}`, left: true},
		"an empty description":          {metadata: `{` + apis + `,"description":""}`, left: true},
		"annotations that are empty":    {metadata: `{"annotations":{},` + apis + `}`, left: true},
		"an annotation that is null":    {metadata: `{"annotations":{"a":null},` + apis + `}`, left: true},
		"a name with an escape":         {metadata: `{"annotations":{"a\n":"1","ab":"2"},` + apis + `}`, left: true},
		"keywords that are null":        {metadata: `{` + apis + `,"keywords":null}`, left: true},
		"fields out of order":           {metadata: `{"crdDescriptions":{},"apiServiceDefinitions":{}}`, left: true},
		"spaces":                        {metadata: `{ ` + apis + `}`, left: true},
		"an escape that nobody needs":   {metadata: `{` + apis + `,"description":"\u003c"}`, left: true},
		"a description of another kind": {metadata: `{` + apis + `,"description":[]}`, left: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, version := range []string{"", "1.0.0", "01.x"} {
				b := bundleWith(tt.metadata, version)
				got, ok := plainTemplate(b)
				if ok == tt.left {
					t.Fatalf("plainTemplate() decides %v", ok)
				}
				if ok {
					sameAsDecoded(t, b, got)
				}
			}
		})
	}
}

func sameAsDecoded(t *testing.T, b registry.Bundle, got Template) {
	t.Helper()
	want, err := decodedTemplate(b)
	if err != nil {
		t.Fatalf("plainTemplate(%s) = %s, want %v", b.Content.Metadata, got.CSV, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("plainTemplate(%s) (-want +got):\n%s", b.Content.Metadata, diff)
	}
	if diff := cmp.Diff(string(b.Content.Metadata), string(got.MetadataOf())); diff != "" {
		t.Fatalf("plainTemplate(%s) is not faithful (-want +got):\n%s", b.Content.Metadata, diff)
	}
}

func FuzzPlainTemplate(f *testing.F) {
	f.Add(`{"apiServiceDefinitions":{},"crdDescriptions":{"owned":[]}}`, "1.0.0")
	f.Add(`{"annotations":{"a":"<"},"apiServiceDefinitions":{},"crdDescriptions":{},"description":"d","displayName":"n","provider":{}}`, "")
	f.Fuzz(func(t *testing.T, metadata, version string) {
		b := bundleWith(metadata, version)
		if got, ok := plainTemplate(b); ok {
			sameAsDecoded(t, b, got)
		}
	})
}
