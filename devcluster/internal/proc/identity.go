// Package proc starts processes and names them so that no other process can be mistaken for them later.
//
// A process id alone is reused by the kernel; an Identity holds the time of the start as well, and every signal is sent
// through a handle that was compared with it.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Identity names one process of one boot of one machine. The zero value names no process.
type Identity struct {
	PID int `json:"pid"`
	// Started is the boot of the machine and the start of the process in clock ticks since then.
	Started string `json:"started"`
}

// ErrGone is returned for a process that has ended.
var ErrGone = errors.New("the process has ended")

var bootID = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(id))
})

// Of returns the identity of the process with this id, and ErrGone if there is none or only its zombie.
func Of(pid int) (Identity, error) {
	if pid <= 0 {
		return Identity{}, ErrGone
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Identity{}, ErrGone
	}
	s, err := parseStat(line)
	if err != nil {
		return Identity{}, fmt.Errorf("process %d: %w", pid, err)
	}
	if s.state == "Z" || s.state == "X" {
		return Identity{}, ErrGone
	}
	return Identity{PID: pid, Started: bootID() + "/" + s.started}, nil
}

// Child returns the child of the process that runs the program of this name, and ErrGone if there is none.
func (i Identity) Child(program string) (Identity, error) {
	found, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return Identity{}, fmt.Errorf("list processes: %w", err)
	}
	for _, file := range found {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		s, err := parseStat(content)
		if err != nil || s.parent != strconv.Itoa(i.PID) {
			continue
		}
		path, err := os.Readlink(filepath.Join(filepath.Dir(file), "exe"))
		if err != nil || filepath.Base(path) != program {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		return Of(pid)
	}
	return Identity{}, ErrGone
}

// stat is what a line of /proc/<pid>/stat says.
type stat struct {
	state   string
	parent  string
	started string
}

// parseStat reads a line of /proc/<pid>/stat, whose second field is the name of the program in parentheses and may hold
// spaces and parentheses of its own.
func parseStat(line []byte) (stat, error) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, errors.New("unreadable stat line")
	}
	fields := strings.Fields(string(line[end+1:]))
	if len(fields) < 20 {
		return stat{}, errors.New("short stat line")
	}
	return stat{state: fields[0], parent: fields[1], started: fields[19]}, nil
}

// Alive says whether this very process still runs.
func (i Identity) Alive() bool {
	now, err := Of(i.PID)
	return err == nil && now == i
}

// Signal sends the signal to this very process, and returns ErrGone if it has ended.
func (i Identity) Signal(sig syscall.Signal) error {
	if i.PID <= 1 {
		return ErrGone
	}
	// The handle pins the process (pidfd), so the comparison below cannot be overtaken by a reused id.
	p, err := os.FindProcess(i.PID)
	if err != nil {
		return ErrGone
	}
	defer func() { _ = p.Release() }()
	if !i.Alive() {
		return ErrGone
	}
	if err := p.Signal(sig); err != nil {
		if errors.Is(err, os.ErrProcessDone) {
			return ErrGone
		}
		return fmt.Errorf("signal process %d: %w", i.PID, err)
	}
	return nil
}
