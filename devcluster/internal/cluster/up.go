package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"chandler.dev/olm/devcluster/internal/clock"
	"chandler.dev/olm/devcluster/internal/lock"
	"chandler.dev/olm/devcluster/internal/node"
)

// The open files that a detached supervisor inherits.
const (
	lockFD   = 3
	reportFD = 4
)

const (
	reportReady = "ready"
	stopTimeout = 10 * time.Second
)

// Up makes sure that the cluster runs, in processes that go on without this one. It reports whether it started it.
func Up(ctx context.Context, f Folder, o Options) (started bool, err error) {
	for {
		l, err := lock.Try(f.lock())
		if err == nil {
			return true, detach(ctx, f, o, l)
		}
		if !errors.Is(err, lock.ErrHeld) {
			return false, err
		}
		running, err := awaitRunning(ctx, f, o)
		if err != nil || running {
			return false, err
		}
	}
}

// awaitRunning returns true when the cluster is healthy, and false when it is gone; an unhealthy one is taken down.
func awaitRunning(ctx context.Context, f Folder, o Options) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout())
	defer cancel()
	for {
		if l, err := lock.Try(f.lock()); err == nil {
			l.Release()
			return false, nil
		}
		s, err := f.State()
		if err == nil && s.Phase == Ready {
			if s.Nodes != o.Nodes || s.NodeCount != o.NodeCount {
				return false, fmt.Errorf("cluster %q runs with %d %s nodes: take it down first", s.Name, s.NodeCount, s.Nodes)
			}
			if f.healthy(ctx) == nil {
				return true, nil
			}
			return false, Down(ctx, f)
		}
		if err := clock.Wait(ctx, pollEvery); err != nil {
			return false, fmt.Errorf("wait for cluster %q, which another process is starting or stopping: %w", f.Name(), err)
		}
	}
}

// healthy succeeds when the API server of a running cluster serves within a few seconds.
func (f Folder) healthy(ctx context.Context) error {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := f.client()
	if err != nil {
		return err
	}
	return await(ctx, "the API server", client.ready)
}

// detach starts the supervisor as a daemon that inherits the lock, and waits for its report.
func detach(ctx context.Context, f Folder, o Options, l *lock.Lock) error {
	defer l.Release()
	if err := f.clear(); err != nil {
		return err
	}
	if err := os.MkdirAll(f.Path("logs"), 0o755); err != nil {
		return fmt.Errorf("create logs: %w", err)
	}
	log, err := os.OpenFile(f.Log("supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = log.Close() }()
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	defer func() { _ = reader.Close() }()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	args := append([]string{"supervise", "--dir", f.dir(), "--name", f.Name()}, o.flags()...)
	//nolint:noctx // the daemon outlives this call
	cmd := exec.Command(self, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{l.File(), writer}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = writer.Close()
	if err != nil {
		return fmt.Errorf("start supervisor: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })()
	report, err := io.ReadAll(reader)
	if err != nil {
		return fmt.Errorf("start cluster: %w", err)
	}
	if string(report) == reportReady {
		return nil
	}
	_ = cmd.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(report) == 0 {
		return fmt.Errorf("the supervisor of cluster %q died, see %s%s", f.Name(), log.Name(), tail(log.Name()))
	}
	return errors.New(string(report))
}

// SuperviseDetached is the daemon's side of Up.
func SuperviseDetached(ctx context.Context, f Folder, o Options, log io.Writer) error {
	syscall.CloseOnExec(lockFD)
	syscall.CloseOnExec(reportFD)
	l := lock.Adopt(os.NewFile(lockFD, "lock"), f.lock())
	if !l.Valid() {
		return errors.New("supervise is started by up, not by hand")
	}
	report := os.NewFile(reportFD, "report")
	tell := func(text string) {
		_, _ = report.WriteString(text) // who asked may be gone
		_ = report.Close()
	}
	o.keep = []string{"logs"}
	s, err := newSupervisor(f, o, l, log)
	if err == nil {
		err = supervise(ctx, s, func() { tell(reportReady) })
	}
	if err != nil {
		tell(err.Error())
	}
	return err
}

// flags are the options as the command line of the supervisor has them.
func (o Options) flags() []string {
	return []string{
		"--nodes=" + string(o.Nodes),
		"--node-count=" + strconv.Itoa(o.NodeCount),
		"--audit=" + strconv.FormatBool(o.Audit),
		"--timeout=" + o.timeout().String(),
	}
}

// Run runs the cluster in this process until ctx ends.
func Run(ctx context.Context, f Folder, o Options, log io.Writer, ready func()) error {
	l, err := lock.Try(f.lock())
	if errors.Is(err, lock.ErrHeld) {
		return fmt.Errorf("cluster %q is already running: take it down first or choose another name", f.Name())
	}
	if err != nil {
		return err
	}
	defer l.Release()
	s, err := newSupervisor(f, o, l, log)
	if err != nil {
		return err
	}
	return supervise(ctx, s, ready)
}

// Down stops the cluster, if it runs, and removes its folder.
func Down(ctx context.Context, f Folder) error {
	if _, err := os.Stat(string(f)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	l, err := lock.Try(f.lock())
	if errors.Is(err, lock.ErrHeld) {
		l, err = f.takeOver(ctx)
	}
	if err != nil {
		return err
	}
	defer l.Release()
	if s, err := f.State(); err == nil {
		for _, c := range s.Components {
			_ = c.Signal(killSignal) // they died with their supervisor, unless something is very wrong
		}
		if s.Nodes == Real {
			node.RemoveCgroup(node.Cgroup(string(f)))
		}
	}
	return f.remove()
}

// takeOver ends the supervisor and returns the lock that it held.
func (f Folder) takeOver(ctx context.Context) (*lock.Lock, error) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if s, err := f.State(); err == nil {
			_ = s.Supervisor.Signal(syscall.SIGCONT)
			_ = s.Supervisor.Signal(sig)
		}
		patience, cancel := context.WithTimeout(ctx, stopTimeout)
		l, err := lock.Wait(patience, f.lock(), nil)
		cancel()
		if err == nil {
			return l, nil
		}
	}
	s, err := f.State()
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("process %d does not let go of cluster %q", s.Supervisor.PID, strings.TrimSpace(f.Name()))
}
