package install_test

import (
	"testing"

	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/registry"
)

func TestContentDigest(t *testing.T) {
	content := func(csv string, objects ...string) registry.Content {
		c := registry.Content{CSV: []byte(csv)}
		for _, o := range objects {
			c.Objects = append(c.Objects, []byte(o))
		}
		return c
	}
	base := content(`{"kind":"C","n":1.0}`, `{"kind":"C","n":1.0}`, `{"a":"<b>","b":9007199254740993}`)
	tests := map[string]struct {
		other registry.Content
		same  bool
	}{
		"itself":                    {base, true},
		"other order of manifests":  {content(`{"kind":"C","n":1.0}`, `{"a":"<b>","b":9007199254740993}`, `{"kind":"C","n":1.0}`), true},
		"other order of keys":       {content(`{"n":1.0,"kind":"C"}`, `{"n":1.0,"kind":"C"}`, `{"b":9007199254740993,"a":"<b>"}`), true},
		"other white space":         {content("{\"kind\": \"C\",\n \"n\":1.0}", `{"kind":"C","n":1.0}`, `{"a":"\u003cb>","b":9007199254740993}`), true},
		"a large number one higher": {content(`{"kind":"C","n":1.0}`, `{"kind":"C","n":1.0}`, `{"a":"<b>","b":9007199254740994}`), false},
		"one manifest less":         {content(`{"kind":"C","n":1.0}`, `{"kind":"C","n":1.0}`), false},
		"another operator":          {content(`{"kind":"D"}`, `{"kind":"C","n":1.0}`, `{"a":"<b>","b":9007199254740993}`), false},
		"not JSON":                  {content(`{"kind":"C"`, `{"kind":"C","n":1.0}`), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if same := install.ContentDigest(base) == install.ContentDigest(tt.other); same != tt.same {
				t.Errorf("ContentDigest() equal = %v, want %v", same, tt.same)
			}
		})
	}
}
