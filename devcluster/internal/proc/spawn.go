package proc

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Command says what to start.
type Command struct {
	Path string
	Args []string
	// Env is added to the environment of this process, of which proxies are no part.
	Env []string
	Dir string
	// Log is the file to append standard output and standard error to.
	Log string
	// Cloneflags are namespaces (CLONE_NEWPID and the like) that the process gets for itself.
	Cloneflags uintptr
	ExtraFiles []*os.File
}

// Child is a process started by a Spawner.
type Child struct {
	Identity
	// Exited is closed after the process has ended and Err has been set.
	Exited chan struct{}
	Err    error
}

// Spawner starts processes that the kernel kills when this process dies, even by SIGKILL.
//
// The kernel ties that promise to the thread that started the child, so a Spawner owns one thread for its whole life.
type Spawner struct {
	requests chan func()
}

// NewSpawner starts the thread. It lives as long as this process.
func NewSpawner() *Spawner {
	s := &Spawner{requests: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range s.requests {
			f()
		}
	}()
	return s
}

// environment is that of this process without proxies, which would stand between the parts of one cluster.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasSuffix(strings.ToUpper(name), "_PROXY")
	})
}

// Start starts the command in a process group of its own.
func (s *Spawner) Start(c Command) (*Child, error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = log.Close() }()
	//nolint:noctx // the life of the child is not that of one call
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append(environment(), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = c.ExtraFiles
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: c.Cloneflags}

	started := make(chan error)
	s.requests <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	id, err := Of(cmd.Process.Pid)
	child := &Child{Identity: id, Exited: make(chan struct{})}
	go func() {
		child.Err = cmd.Wait()
		close(child.Exited)
	}()
	if err != nil {
		<-child.Exited
		return nil, fmt.Errorf("%s ended at once, see %s", c.Path, c.Log)
	}
	return child, nil
}
