package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chandler.dev/olm/devcluster/internal/cluster"
	"chandler.dev/olm/devcluster/internal/proc"
)

// asProgram makes the test's own binary behave as devcluster, also when it starts itself.
const asProgram = "DEVCLUSTER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func devcluster(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...) //nolint:noctx // also used in cleanups, after the context of the test
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	cmd := devcluster(t, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("devcluster %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

func skipUnlessBuilt(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real clusters; run without -short")
	}
	mustRun(t, "build")
}

func state(t *testing.T, dir string) cluster.State {
	t.Helper()
	f, err := cluster.NewFolder(dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantGone fails unless every process of the cluster ends soon.
func wantGone(t *testing.T, s cluster.State) {
	t.Helper()
	ids := []proc.Identity{s.Supervisor}
	for _, c := range s.Components {
		ids = append(ids, c.Identity)
	}
	for _, id := range ids {
		for deadline := time.Now().Add(10 * time.Second); id.Alive(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d is still there", id.PID)
			}
		}
	}
}

func TestAClusterSurvivesWhatHappensToIt(t *testing.T) {
	skipUnlessBuilt(t)
	dir := t.TempDir()
	target := []string{"--dir", dir, "--name", "a"}
	up := append([]string{"up"}, target...)
	t.Cleanup(func() { mustRun(t, append([]string{"down"}, target...)...) })

	if got, want := mustRun(t, up...), "kubeconfig: "+filepath.Join(dir, "a", "kubeconfig")+"\n"; got != want {
		t.Errorf("up wrote %q, want %q", got, want)
	}
	first := state(t, dir)
	if first.Phase != cluster.Ready || len(first.Components) != 5 {
		t.Errorf("state = %+v", first)
	}

	mustRun(t, up...)
	if again := state(t, dir); again.Supervisor != first.Supervisor {
		t.Error("up on a running cluster started another one")
	}
	if out := mustRun(t, "list", "--dir", dir); !strings.Contains(out, first.Server) {
		t.Errorf("list wrote %q", out)
	}

	mustRun(t, append([]string{"pause", "--component", "etcd"}, target...)...)
	mustRun(t, append([]string{"resume", "--component", "etcd"}, target...)...)
	mustRun(t, append([]string{"restart", "--component", "scheduler"}, target...)...)

	if err := first.Supervisor.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantGone(t, first)
	mustRun(t, up...)
	second := state(t, dir)
	if second.Supervisor == first.Supervisor || second.Phase != cluster.Ready {
		t.Errorf("state after a crash = %+v", second)
	}

	mustRun(t, append([]string{"down"}, target...)...)
	wantGone(t, second)
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("down left the folder: %v", err)
	}
	mustRun(t, append([]string{"down"}, target...)...)
}

func TestRunEnds(t *testing.T) {
	skipUnlessBuilt(t)
	ends := map[string]func(cmd *exec.Cmd, stdin io.Closer){
		"when its input ends":   func(_ *exec.Cmd, stdin io.Closer) { _ = stdin.Close() },
		"when it is terminated": func(cmd *exec.Cmd, _ io.Closer) { _ = cmd.Process.Signal(syscall.SIGTERM) },
		"when it is killed":     func(cmd *exec.Cmd, _ io.Closer) { _ = cmd.Process.Kill() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			dir := t.TempDir()
			cmd := devcluster(t, "run", "--dir", dir, "--name", "a")
			cmd.Stderr = os.Stderr
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
			line := make([]byte, 4096)
			n, err := stdout.Read(line)
			if err != nil || !bytes.HasPrefix(line[:n], []byte("kubeconfig: ")) {
				t.Fatalf("run wrote %q, %v", line[:n], err)
			}
			s := state(t, dir)
			end(cmd, stdin)
			_ = cmd.Wait()
			wantGone(t, s)
		})
	}
}
