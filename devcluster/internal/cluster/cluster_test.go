package cluster

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"chandler.dev/olm/devcluster/internal/proc"
)

func TestFreePortsAreDifferentAndFree(t *testing.T) {
	ports, err := freePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range ports {
		if seen[p] || !isFree(p) {
			t.Errorf("port %d is not good", p)
		}
		seen[p] = true
	}
}

func TestAnOccupiedPortIsNotFree(t *testing.T) {
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if isFree(l.Addr().(*net.TCPAddr).Port) {
		t.Error("isFree() = true for a port with a listener")
	}
}

func TestNewFolder(t *testing.T) {
	for _, name := range []string{"", "..", "a/b", "A", "-a", "a-", strings.Repeat("a", 49)} {
		if f, err := NewFolder(t.TempDir(), name); err == nil {
			t.Errorf("NewFolder(%q) = %q, want an error", name, f)
		}
	}
	f, err := NewFolder("relative", "a-1")
	if err != nil || !filepath.IsAbs(string(f)) || f.Name() != "a-1" {
		t.Errorf("NewFolder() = %q, %v", f, err)
	}
}

func TestStateSurvivesTheFile(t *testing.T) {
	f, err := NewFolder(t.TempDir(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.State(); !errors.Is(err, ErrNotFound) {
		t.Errorf("State() = %v, want ErrNotFound", err)
	}
	if err := os.MkdirAll(string(f), 0o755); err != nil {
		t.Fatal(err)
	}
	want := State{
		Name: "a", Phase: Ready, Nodes: Simulated, NodeCount: 2, Server: "https://127.0.0.1:1",
		Supervisor: proc.Identity{PID: 5, Started: "x/1"},
		Components: []Component{
			{Name: "etcd", Identity: proc.Identity{PID: 6, Started: "x/2"}},
			{Name: "kube-apiserver", Identity: proc.Identity{PID: 7, Started: "x/3"}, Restarts: 1},
		},
	}
	if err := f.writeState(want); err != nil {
		t.Fatal(err)
	}
	got, err := f.State()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("State() = %+v, %v, want %+v", got, err, want)
	}
	if c, err := f.component("apiserver"); err != nil || c.PID != 7 {
		t.Errorf("component() = %+v, %v", c, err)
	}
	if _, err := f.component("kubelet"); err == nil || !strings.Contains(err.Error(), "only etcd, kube-apiserver") {
		t.Errorf("component() = %v, want the names that there are", err)
	}
}

func TestATakenPortIsRecognized(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("E1 failed: listen tcp 127.0.0.1:1: bind: address already in use\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !isPortTaken(&exitError{component: "etcd", log: log}) {
		t.Error("isPortTaken() = false")
	}
	if isPortTaken(errors.New("address already in use")) {
		t.Error("isPortTaken() = true for an error that is not of a component")
	}
}

func TestDownOfNothingSucceeds(t *testing.T) {
	f, err := NewFolder(t.TempDir(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := Down(t.Context(), f); err != nil {
		t.Error(err)
	}
}

func TestDownClearsWhatACrashLeft(t *testing.T) {
	f, err := NewFolder(t.TempDir(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(f.Path("etcd", "member"), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := proc.Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	self.Started += "0" // an earlier process whose id is ours now
	if err := f.writeState(State{Name: "a", Components: []Component{{Name: "etcd", Identity: self}}}); err != nil {
		t.Fatal(err)
	}
	if err := Down(t.Context(), f); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(string(f)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}
