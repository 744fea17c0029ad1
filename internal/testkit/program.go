package testkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var programs struct {
	sync.Mutex
	paths map[string]func() (string, error)
}

// Program builds one of the programs of this project, once a process, and
// returns its path: olm, catalog, devcluster or database.
func Program(name string) (string, error) {
	programs.Lock()
	if programs.paths == nil {
		programs.paths = map[string]func() (string, error){}
	}
	build, ok := programs.paths[name]
	if !ok {
		build = sync.OnceValues(func() (string, error) { return buildProgram(name) })
		programs.paths[name] = build
	}
	programs.Unlock()
	return build()
}

func buildProgram(name string) (string, error) {
	root := Root()
	dir, target := root, "./cmd/"+name
	switch name {
	case "devcluster":
		dir, target = filepath.Join(root, "devcluster"), "."
	case "database":
		dir, target = filepath.Join(root, "examples", "database"), "."
	}
	path := filepath.Join(root, "bin", name)
	// The linker writes into the file: build beside it and rename, so that a
	// process that runs the old one is left alone.
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.Command("go", "build", "-o", tmp, target) //nolint:noctx // a build is worth finishing
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return path, os.Rename(tmp, path)
}

// Root is the folder of this module.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Data returns the folder of published bundles and catalogs, below it path. A
// test that needs them is skipped where they are absent.
func Data(t testing.TB, path string) string {
	t.Helper()
	dir := os.Getenv("OLM_TESTDATA")
	if dir == "" {
		dir = filepath.Join(Root(), "..", "shared", "data")
	}
	full := filepath.Join(dir, path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("no test data at %s; point OLM_TESTDATA to a folder with bundles, package-manifests and catalogs", full)
	}
	return full
}

// Process is a program that runs while a test does.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	log  *lockedBuffer
}

// Start runs a program until the test ends. A test that fails prints the end
// of what it said.
func Start(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	bin, err := Program(name)
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{cmd: exec.Command(bin, args...), done: make(chan struct{}), log: &lockedBuffer{}} //nolint:noctx // Cleanup ends it
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() { // the thread that starts a child with Pdeathsig must outlive it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("%s %s said:\n%s", name, strings.Join(args, " "), p.log.tail(12_000))
		}
	})
	return p
}

// Pid of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Log is what the process has said so far.
func (p *Process) Log() string { return p.log.String() }

// Stop ends the process politely, and after ten seconds firmly.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.Kill()
	}
}

// Kill ends the process without a chance to clean up.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Run executes a program and returns what it wrote to stdout; a non-zero exit
// is an error with what it wrote to stderr.
func Run(ctx context.Context, name string, args ...string) (string, error) {
	bin, err := Program(name)
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return stdout.String(), &ExitError{Code: exit.ExitCode(), Stderr: stderr.String()}
		}
		return "", err
	}
	return stdout.String(), nil
}

// ExitError is a program that failed.
type ExitError struct {
	Code   int
	Stderr string
}

func (e *ExitError) Error() string { return fmt.Sprintf("exit code %d: %s", e.Code, e.Stderr) }

// lockedBuffer collects the output of a process while a test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *lockedBuffer) tail(n int) string {
	s := b.String()
	return s[max(0, len(s)-n):]
}
