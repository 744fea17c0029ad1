package fbc

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlainBundleIsWhatDecodeMakes(t *testing.T) {
	tests := map[string]struct {
		text string
		left bool // to decode
	}{
		"all fields": {text: `{"image":"i","name":"n","package":"p","properties":[{"type":"t","value":{"a":[1]}},{"type":"u\n","value":null}],
			"relatedImages":[{"image":"x","name":""}],"schema":"olm.bundle"}`},
		"no fields":                     {text: `{"schema":"olm.bundle"}`},
		"fields that nobody knows":      {text: `{"more":{"name":1},"schema":"olm.bundle"}`},
		"empty lists":                   {text: `{"properties":[],"relatedImages":[],"schema":"olm.bundle"}`},
		"a field in another case":       {text: `{"Image":"i","schema":"olm.bundle"}`, left: true},
		"a property in another case":    {text: `{"properties":[{"Type":"t","value":1}],"schema":"olm.bundle"}`, left: true},
		"a property without a value":    {text: `{"properties":[{"type":"t"}],"schema":"olm.bundle"}`, left: true},
		"a property with another field": {text: `{"properties":[{"errors":1,"type":"t","value":1}],"schema":"olm.bundle"}`, left: true},
		"an image without a name":       {text: `{"relatedImages":[{"image":"i"}],"schema":"olm.bundle"}`, left: true},
		"properties that are no list":   {text: `{"properties":{},"schema":"olm.bundle"}`, left: true},
		"an image that is a number":     {text: `{"image":1,"schema":"olm.bundle"}`, left: true},
		"an image that is null":         {text: `{"image":null,"schema":"olm.bundle"}`, left: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := parseMeta(document{text: []byte(tt.text), json: true})
			if err != nil {
				t.Fatal(err)
			}
			got, ok := plainBundle(m.fields)
			if ok == tt.left {
				t.Fatalf("plainBundle() decides %v", ok)
			}
			if !ok {
				return
			}
			want, err := decode[bundleBlob](m, "bundle")
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("plainBundle() (-want +got):\n%s%v", diff, err)
			}
		})
	}
}

func FuzzPlainBundle(f *testing.F) {
	f.Add([]byte(`{"image":"i","properties":[{"type":"t","value":{"a":[1]}}],"relatedImages":[{"image":"x","name":""}],"schema":"olm.bundle"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMeta(document{text: text, json: true})
		if err != nil {
			return
		}
		got, ok := plainBundle(m.fields)
		if !ok {
			return
		}
		var want bundleBlob
		if err := json.Unmarshal(m.json, &want); err != nil || !cmp.Equal(want, got) {
			t.Fatalf("plainBundle(%s) = %v, want %v, %v", m.json, got, want, err)
		}
	})
}
