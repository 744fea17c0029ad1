package proc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"
	for name, line := range map[string]string{
		"a plain name":                      "42 (etcd)" + rest,
		"a name with spaces":                "42 (tmux: server)" + rest,
		"a name that looks like the rest":   "42 (a) R 1 2)" + rest,
		"a name that ends in a parenthesis": "42 (a))" + rest,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parseStat([]byte(line))
			if want := (stat{state: "S", parent: "1", started: "4711"}); err != nil || s != want {
				t.Errorf("parseStat() = %+v, %v, want %+v", s, err, want)
			}
		})
	}
	for _, line := range []string{"", "42", "42 (x) S 1"} {
		if _, err := parseStat([]byte(line)); err == nil {
			t.Errorf("parseStat(%q) succeeded", line)
		}
	}
}

func TestSignalSparesAReusedID(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	id, err := Of(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	earlier := Identity{PID: id.PID, Started: id.Started + "0"}
	if earlier.Alive() {
		t.Error("another process of the same id counts as alive")
	}
	if err := earlier.Signal(syscall.SIGKILL); !errors.Is(err, ErrGone) {
		t.Errorf("Signal() = %v, want ErrGone", err)
	}
	if !id.Alive() {
		t.Fatal("the other process was killed")
	}
	if err := id.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	// Nobody has waited for it yet: a zombie does not count as alive.
	for deadline := time.Now().Add(10 * time.Second); id.Alive(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the process counts as alive after it was killed")
		}
	}
}

func TestChildFindsAProgram(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	self, err := Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := self.Child("sleep"); err != nil || got.PID != cmd.Process.Pid {
		t.Errorf("Child() = %+v, %v, want process %d", got, err, cmd.Process.Pid)
	}
	if _, err := self.Child("sleeper"); !errors.Is(err, ErrGone) {
		t.Errorf("Child() = %v, want ErrGone", err)
	}
}

func TestSpawnerReportsTheEnd(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	child, err := NewSpawner().Start(Command{
		Path: "/bin/sh", Args: []string{"-c", "echo $GREETING; sleep 0.2; exit 3"}, Env: []string{"GREETING=hello"}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-child.Exited
	var exit *exec.ExitError
	if !errors.As(child.Err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("Err = %v, want exit status 3", child.Err)
	}
	if content, err := os.ReadFile(log); err != nil || string(content) != "hello\n" {
		t.Errorf("log = %q, %v", content, err)
	}
}
