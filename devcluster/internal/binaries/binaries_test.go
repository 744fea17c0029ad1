package binaries

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newTestCache(t *testing.T, sum string) (*Cache, *bytes.Buffer) {
	t.Helper()
	t.Setenv("CHANDLER_CACHE", t.TempDir())
	var out bytes.Buffer
	c, err := NewCache([]byte("module chandler.dev/test\n"), []byte(sum), &out)
	if err != nil {
		t.Fatal(err)
	}
	return c, &out
}

func TestThePathDependsOnTheVersions(t *testing.T) {
	one, _ := newTestCache(t, "a")
	two := &Cache{root: one.root, modules: modules([]byte("module chandler.dev/test\n"), []byte("b"))}
	if one.Path(ControlPlane[0]) == two.Path(ControlPlane[0]) {
		t.Error("programs of different versions have the same path")
	}
}

func TestEnsureIsSilentWhenEverythingIsThere(t *testing.T) {
	c, out := newTestCache(t, "a")
	for _, p := range ControlPlane {
		if err := os.MkdirAll(filepath.Dir(c.Path(p)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.Path(p), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Ensure(t.Context(), ControlPlane...); err != nil || out.Len() > 0 {
		t.Errorf("Ensure() = %v, wrote %q", err, out)
	}
}

func TestEnsureBuildsWhatIsMissing(t *testing.T) {
	c, out := newTestCache(t, "")
	p := Program{Name: "version", Package: "cmd/test2json", module: kubernetes, Cold: time.Second}
	if err := c.Ensure(t.Context(), p); err != nil {
		t.Fatalf("Ensure() = %v: %s", err, out)
	}
	if info, err := os.Stat(c.Path(p)); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("the program is not there: %v", err)
	}
	if !strings.Contains(out.String(), "building version (1/1): done in") {
		t.Errorf("progress = %q", out)
	}
}

func TestAFailedBuildLeavesNothing(t *testing.T) {
	c, _ := newTestCache(t, "")
	p := Program{Name: "x", Package: "chandler.dev/test/nothing", module: kubernetes}
	if err := c.Ensure(t.Context(), p); err == nil {
		t.Error("Ensure() succeeded")
	}
	if _, err := os.Stat(c.Path(p)); err == nil {
		t.Error("a program was left")
	}
}

func TestReportEvery(t *testing.T) {
	var out bytes.Buffer
	c := &Cache{out: &out}
	stop := c.reportEvery(time.Millisecond, "title")
	time.Sleep(20 * time.Millisecond)
	stop()
	if !strings.HasPrefix(out.String(), "title: 0s so far\n") {
		t.Errorf("reportEvery() wrote %q", out.String())
	}
}
