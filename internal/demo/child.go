package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// child is a program that runs beside the demo and ends with it.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
	log   string
}

// start runs a program with its output in a log file. If ready is not empty,
// it returns the rest of the first line on stdout that begins with it.
func start(dir, ready, bin string, args ...string) (*child, string, error) {
	c := &child{name: filepath.Base(bin), done: make(chan struct{})}
	c.log = filepath.Join(dir, c.name+".log")
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, "", err
	}
	c.cmd = exec.Command(bin, args...) //nolint:noctx // stop ends it
	c.cmd.Stderr = log
	// Children die with the demo, however it dies; their own group keeps the
	// terminal's Ctrl-C from reaching them before the demo ends them in order.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, "", err
	}
	started, line := make(chan error), make(chan string, 1)
	go c.live(started, stdout, log, ready, line)
	if err := <-started; err != nil {
		return nil, "", err
	}
	if ready == "" {
		return c, "", nil
	}
	select {
	case found := <-line:
		return c, found, nil
	case <-c.done:
		text, _ := os.ReadFile(c.log)
		return nil, "", fmt.Errorf("%s ended: %s", c.name, bytes.TrimSpace(text))
	}
}

// live keeps the thread that started the child, because Pdeathsig follows it.
func (c *child) live(started chan<- error, stdout io.Reader, log io.WriteCloser, ready string, line chan<- string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(c.done)
	defer func() { _ = log.Close() }()
	err := c.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		_, _ = fmt.Fprintln(log, lines.Text())
		if found, ok := strings.CutPrefix(lines.Text(), ready); ok && ready != "" {
			line <- found
			ready = ""
		}
	}
	_ = c.cmd.Wait()
}

// stop ends the child politely, and after a while firmly.
func (c *child) stop() {
	_ = c.stdin.Close()
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// output runs a program to its end and returns what it wrote.
func output(ctx context.Context, bin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, bin, args...)
	text, err := cmd.CombinedOutput()
	if err != nil {
		return string(text), fmt.Errorf("%s %s: %w\n%s", filepath.Base(bin), strings.Join(args, " "), err, text)
	}
	return string(text), nil
}
