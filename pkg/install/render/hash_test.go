package render_test

import (
	"strings"
	"testing"

	"chandler.dev/olm/pkg/install/render"
	"chandler.dev/olm/pkg/registry"
)

func TestHashes(t *testing.T) {
	must := func(s string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	tests := map[string]struct{ got, want string }{
		"a list":                  {must(render.Hash([]string{"something"})), "5L9sNXi3Y6mcOevFzYY3WOLIukKOeZwz1pfUlT"},
		"a name that fits":        {must(render.GeneratedName("myname", []string{"something"})), "myname-5L9sNXi3Y6mcOevFzYY3WOLIukKOeZwz1pfUlT"},
		"a name that is cut":      {must(render.GeneratedName(strings.Repeat("name", 100), []string{"something", "else"})), "namenamenamenamenamename-6XtefCelEzfYlFOD1fARIK5vhWVfWfGHja7H3q"},
		"an API":                  {render.GVKHash(registry.GVK{Group: "ghouls", Version: "v1alpha1", Kind: "Ghost"}), "6435ab0d7c6bda64"},
		"another API":             {render.GVKHash(registry.GVK{Group: "ghouls", Version: "v1alpha1", Kind: "Goblin"}), "557c9f42470aa352"},
		"no zero padding":         {render.AlongsideAnnotation("my-ns", "my-operator.v1.0.0"), "operatorframework.io/installed-alongside-a51448880126a0a"},
		"a bundle image":          {render.UnpackName("quay.io/example/bundle:1.0.0"), "60a23f7286baea1f37bc6eee1b58f4884311f2ab2b03090bb1826577c091cd1"},
		"an operator group":       {render.H224("my-ns/my-og/admin"), "4qwj2f0O3W2gbGfiJDJP8JQjIvTYepzJ8oAZt4"},
		"a base of the exact fit": {must(render.GeneratedName(strings.Repeat("n", 63-38), []string{"something"})), strings.Repeat("n", 25) + "-5L9sNXi3Y6mcOevFzYY3WOLIukKOeZwz1pfUlT"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}
