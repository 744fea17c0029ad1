// Package archtest keeps the layers of this module apart.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	module     = "chandler.dev/olm"
	maxImports = 10 // of our own packages, per package outside cmd
)

type pkg struct {
	ImportPath string
	Imports    []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// ours returns the imports of p inside this module, without the module path.
func (p pkg) ours() (names []string) {
	for _, path := range p.Imports {
		if name, ok := strings.CutPrefix(path, module+"/"); ok {
			names = append(names, name)
		}
	}
	return names
}

func list(t *testing.T) (pkgs []pkg) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(out)
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return pkgs
}

// TestPureCore fails if the core imports an I/O package, itself or through
// other packages of this module. (Libraries of types may: the operator kinds
// come with an event recorder that nobody here uses.)
func TestPureCore(t *testing.T) {
	forbidden := []string{"database/sql", "net/http", "os", "google.golang.org/grpc", "k8s.io/client-go", "sigs.k8s.io/controller-runtime", "github.com/mattn/go-sqlite3"}
	byName := map[string]pkg{}
	for _, p := range list(t) {
		byName[p.name()] = p
	}
	for _, name := range []string{"pkg/failure", "pkg/registry", "pkg/resolver", "pkg/install", "pkg/install/render", "pkg/install/preflight", "pkg/controller/admission", "pkg/controller/admission/policy", "pkg/hosting"} {
		if _, ok := byName[name]; !ok {
			t.Errorf("%s does not exist; fix this test", name)
		}
		seen := map[string]bool{}
		for todo := []string{name}; len(todo) > 0; todo = todo[1:] {
			p := byName[todo[0]]
			if seen[p.name()] {
				continue
			}
			seen[p.name()] = true
			todo = append(todo, p.ours()...)
			for _, path := range p.Imports {
				for _, bad := range forbidden {
					if path == bad || strings.HasPrefix(path, bad+"/") {
						t.Errorf("%s is pure, but %s imports %s", name, p.name(), path)
					}
				}
			}
		}
	}
}

// TestNoFolderCycles fails if two folders, two path elements deep, import each other.
func TestNoFolderCycles(t *testing.T) {
	imports := map[[2]string]string{}
	for _, p := range list(t) {
		for _, name := range p.ours() {
			imports[[2]string{folder(p.name()), folder(name)}] = p.name() + " imports " + name
		}
	}
	for edge, why := range imports {
		if back, ok := imports[[2]string{edge[1], edge[0]}]; ok && edge[0] < edge[1] {
			t.Errorf("%s and %s import each other: %s, %s", edge[0], edge[1], why, back)
		}
	}
}

// TestFanOut fails if a package outside cmd knows too much of this module.
func TestFanOut(t *testing.T) {
	for _, p := range list(t) {
		if n := len(p.ours()); n > maxImports && !strings.HasPrefix(p.name(), "cmd/") {
			t.Errorf("%s imports %d packages of this module, want at most %d", p.name(), n, maxImports)
		}
	}
}

func folder(name string) string {
	parts := strings.SplitN(name, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}
