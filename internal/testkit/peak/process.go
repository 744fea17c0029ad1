package peak

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Process runs the test binary again, with a variable in its environment by
// which TestMain knows what to do. It fails the test if the process has more
// than limit bytes in memory at once, those of C included. It returns what the
// process wrote, and whether it succeeded.
func Process(t testing.TB, limit uint64, variable string) (out string, ok bool) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Env = append(os.Environ(), variable)
	return Command(t, limit, cmd)
}

// Command does the same with any command.
func Command(t testing.TB, limit uint64, cmd *exec.Cmd) (out string, ok bool) {
	t.Helper()
	var buf bytes.Buffer
	cmd.Stdout, cmd.Stderr = &buf, &buf
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for used := resident(cmd.Process.Pid); ; {
		select {
		case err := <-ended:
			if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
				t.Fatal(err)
			}
			t.Logf("%d MiB in memory at most", used>>20)
			if used > limit {
				t.Errorf("%d MiB were in memory, want at most %d", used>>20, limit>>20)
			}
			return buf.String(), err == nil
		case <-tick.C:
			used = max(used, resident(cmd.Process.Pid))
		}
	}
}

// resident returns how much memory a process has had at most so far. What the
// system says when it ended includes the process that started it.
func resident(pid int) uint64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // it has ended, or this is no Linux
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	const kib = 1024
	n, _ := strconv.ParseUint(fields[0], 10, 64) // it is a number
	return n * kib
}
