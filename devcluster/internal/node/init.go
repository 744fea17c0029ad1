package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"chandler.dev/olm/devcluster/internal/clock"
)

const (
	pollEvery    = 50 * time.Millisecond
	restartPause = time.Second
)

// Init is the first process of the namespaces: it waits for its configuration, sets the node up, and keeps its processes
// running. It returns only with an error.
func Init(ctx context.Context, configPath string, log io.Writer) error {
	c, err := awaitConfig(ctx, configPath)
	if err != nil {
		return err
	}
	if err := c.writeFiles(); err != nil {
		return err
	}
	if err := c.mount(); err != nil {
		return err
	}
	RemoveCgroup(c.Cgroup) // after a crash: like after a reboot, there are none
	if err := makeCgroup(c.Cgroup); err != nil {
		return err
	}
	if err := awaitDevice(ctx); err != nil {
		return err
	}
	if err := c.Network.configure(ctx); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("forward packets of pods: %w", err)
	}
	k := &keeper{log: log, logs: c.Logs, running: map[int]process{}}
	if err := k.start(c.containerd()); err != nil {
		return err
	}
	ready := make(chan error, 1)
	go func() { ready <- c.prepare(ctx) }()
	return k.keep(ready, c.workers())
}

func awaitConfig(ctx context.Context, path string) (Config, error) {
	var c Config
	for {
		content, err := os.ReadFile(path)
		if err == nil {
			if err := json.Unmarshal(content, &c); err != nil {
				return c, fmt.Errorf("read node: %w", err)
			}
			return c, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return c, fmt.Errorf("read node: %w", err)
		}
		if err := clock.Wait(ctx, pollEvery); err != nil {
			return c, err
		}
	}
}

func awaitDevice(ctx context.Context) error {
	for {
		if _, err := net.InterfaceByName(nodeDevice); err == nil {
			return nil
		}
		if err := clock.Wait(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// mount gives the node its own view of what the host has for itself.
func (c Config) mount() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("separate mounts: %w", err)
	}
	// Volumes may be mounted by pods for others, within this namespace.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts: %w", err)
	}
	binds := map[string]string{"/var/lib/kubelet": c.path("kubelet"), "/var/log": c.Logs}
	for target, source := range binds {
		for _, dir := range []string{source, target} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("mount %s: %w", target, err)
			}
		}
		if err := syscall.Mount(source, target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return nil
}

// prepare returns when containerd has the pause image and the API server can be reached.
func (c Config) prepare(ctx context.Context) error {
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "unix", socket)
		if err == nil {
			_ = conn.Close()
			break
		}
		if err := clock.Wait(ctx, pollEvery); err != nil {
			return err
		}
	}
	image := c.path("pause.tar")
	if err := WriteImage(image, pauseImage, c.Programs["pause"]); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "ctr", ctrArgs("images", "import", image)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("import the pause image: %w: %s", err, out)
	}
	for {
		conn, err := dialer.DialContext(ctx, "tcp", c.Server)
		if err == nil {
			return conn.Close()
		}
		if err := clock.Wait(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// keeper is the part of an init that starts processes and buries them, also those that others have left to it.
type keeper struct {
	log     io.Writer
	logs    string
	running map[int]process
}

func (k *keeper) start(p process) error {
	path, err := exec.LookPath(p.path)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	log, err := os.OpenFile(filepath.Join(k.logs, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	defer func() { _ = log.Close() }()
	started, err := os.StartProcess(path, append([]string{path}, p.args...), &os.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []*os.File{nil, log, log}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	k.running[started.Pid] = p
	return started.Release()
}

// keep starts the workers when it is told that all is ready, and whatever has ended again. It is the only one who waits
// for processes, because an init cannot know whose end it will see next.
func (k *keeper) keep(ready <-chan error, workers []process) error {
	for {
		select {
		case err := <-ready:
			if err != nil {
				return err
			}
			ready = nil
			for _, w := range workers {
				if err := k.start(w); err != nil {
					return err
				}
			}
		default:
		}
		reap := k.reapAny
		if ready != nil {
			reap = k.reapOwn
		}
		pid, status := reap()
		p, ours := k.running[pid]
		switch {
		case pid <= 0:
			time.Sleep(pollEvery) //nolint:forbidigo // an init has nothing else to do
		case ours:
			delete(k.running, pid)
			_, _ = fmt.Fprintf(k.log, "%s ended with status %d, starting it again\n", p.name, status.ExitStatus())
			time.Sleep(restartPause) //nolint:forbidigo // not to do it too often
			if err := k.start(p); err != nil {
				return err
			}
		}
	}
}

// reapAny buries a process that has ended, if there is one.
func (k *keeper) reapAny() (pid int, status syscall.WaitStatus) {
	pid, _ = syscall.Wait4(-1, &status, syscall.WNOHANG, nil) // an error is the same as none
	return pid, status
}

// reapOwn buries a process of the keeper, and leaves those alone for which others in this program wait.
func (k *keeper) reapOwn() (pid int, status syscall.WaitStatus) {
	for known := range k.running {
		if pid, _ = syscall.Wait4(known, &status, syscall.WNOHANG, nil); pid > 0 {
			return pid, status
		}
	}
	return 0, status
}
