package fingerprint_test

import (
	"os"
	"path/filepath"
	"testing"

	"chandler.dev/olm/pkg/registry/fingerprint"
)

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func of(t *testing.T, root string, words ...string) string {
	t.Helper()
	got, err := fingerprint.Of(t.Context(), root, words...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestOf(t *testing.T) {
	base := map[string]string{"a/catalog.yaml": "a", "b/catalog.yaml": "b"}
	want := of(t, write(t, t.TempDir(), base), "replaces")
	for name, test := range map[string]struct {
		files map[string]string
		words []string
		same  bool
	}{
		"a copy":                         {base, []string{"replaces"}, true},
		"files of a mounted volume":      {map[string]string{"a/catalog.yaml": "a", "b/catalog.yaml": "b", "..data/catalog.yaml": "c", "a/..x": "d"}, []string{"replaces"}, true},
		"another text":                   {map[string]string{"a/catalog.yaml": "a", "b/catalog.yaml": "c"}, []string{"replaces"}, false},
		"another name":                   {map[string]string{"a/catalog.yaml": "a", "c/catalog.yaml": "b"}, []string{"replaces"}, false},
		"one more file":                  {map[string]string{"a/catalog.yaml": "a", "b/catalog.yaml": "b", "c": ""}, []string{"replaces"}, false},
		"one file less":                  {map[string]string{"a/catalog.yaml": "a"}, []string{"replaces"}, false},
		"texts that have changed places": {map[string]string{"a/catalog.yaml": "b", "b/catalog.yaml": "a"}, []string{"replaces"}, false},
		"another word":                   {base, []string{"semver"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := of(t, write(t, t.TempDir(), test.files), test.words...); (got == want) != test.same {
				t.Errorf("Of() = %s, the other is %s, want the same: %t", got, want, test.same)
			}
		})
	}
}

func TestOfFile(t *testing.T) {
	a := of(t, filepath.Join(write(t, t.TempDir(), map[string]string{"c.yaml": "a", "other": "x"}), "c.yaml"))
	b := of(t, filepath.Join(write(t, t.TempDir(), map[string]string{"c.yaml": "a"}), "c.yaml"))
	if a != b {
		t.Errorf("Of() = %s and %s of the same file", a, b)
	}
	if _, err := fingerprint.Of(t.Context(), filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("Of() of a file that is not there gives no error")
	}
}
