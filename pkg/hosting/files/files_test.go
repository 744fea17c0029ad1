package files_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/hosting/files"
)

func open(t *testing.T, dir string) *files.Cache {
	t.Helper()
	c, err := files.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func write(path string) error { return os.WriteFile(path, []byte(path), 0o600) }

func content(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "content"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func use(t *testing.T, c *files.Cache, key string) (release func()) {
	t.Helper()
	_, release, err := c.Use(key, write)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// TestLifeOfAFile walks through who keeps a file.
func TestLifeOfAFile(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	one, again, two := use(t, c, "one"), use(t, c, "one"), use(t, c, "two")
	if err := c.Remember(files.Record{Catalog: "ns/a", UID: "u", Origin: "image", Key: "one"}); err != nil {
		t.Fatal(err)
	}
	step := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, content(t, dir)); diff != "" {
			t.Errorf("%s, files (-want +got):\n%s", what, diff)
		}
	}
	step("all in use", "one.db", "two.db")
	one()
	one()
	two()
	step("two was released, and one once", "one.db")
	again()
	step("one is not in use but remembered", "one.db")
	if _, _, err := c.Use("three", func(string) error { return errors.New("broken") }); err == nil {
		t.Error("a file that could not be made is used")
	}
	step("nothing came of three", "one.db")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	c = open(t, dir)
	want := files.Record{Catalog: "ns/a", UID: "u", Origin: "image", Key: "one"}
	if diff := cmp.Diff(want, c.Recall("ns/a")); diff != "" {
		t.Errorf("Recall() after a restart (-want +got):\n%s", diff)
	}
	if err := write(filepath.Join(dir, "content", "stray.db")); err != nil {
		t.Fatal(err)
	}
	four := use(t, c, "four")
	if err := c.Sweep(func(catalog string) bool { return catalog == "ns/a" }); err != nil {
		t.Fatal(err)
	}
	step("strays are swept", "four.db", "one.db")
	if err := c.Sweep(func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	step("so is what nobody keeps", "four.db")
	if got := c.Recall("ns/a"); got.Key != "" {
		t.Errorf("Recall() = %v after it was forgotten", got)
	}
	four()
	if got := content(t, dir); len(got) != 0 {
		t.Errorf("files are left: %v", got)
	}
}

func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	if _, err := files.Open(dir); failure.KindOf(err) != failure.Conflict {
		t.Errorf("Open() of a folder in use = %v, want kind Conflict", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestWork(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	one, remove, err := c.Work()
	if err != nil {
		t.Fatal(err)
	}
	remove()
	two, _, err := c.Work()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	for _, path := range []string{one, two} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}
