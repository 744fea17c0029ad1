package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"
)

const (
	// check is how often the controller looks at what it did.
	check = 500 * time.Millisecond
	// idleCPU is the processor time that an idle controller may use between two checks.
	idleCPU = 8 * time.Millisecond
	// workCPU is the processor time after which pages are given back again.
	workCPU = 5 * time.Millisecond
	// gcPercent trades a little time for memory: the heap is small and the
	// controller mostly idles.
	gcPercent = 50
)

// saveMemory is a task of the controller. Pages of the program file go back
// after every half second of work: those that are used come back from the page
// cache within milliseconds. When it falls idle, the heap goes back as well.
func saveMemory(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ticker := clock.RealClock{}.NewTicker(check)
	defer ticker.Stop()
	used, dropped, busy := cpuTime(), time.Duration(0), true
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
		now := cpuTime()
		idle := now-used < idleCPU
		if idle && busy {
			debug.FreeOSMemory() // touches many pages, which go back next
			now = cpuTime()
		}
		if now-dropped > workCPU {
			if err := dropUntouchedPages("/proc/self/smaps"); err != nil {
				return err
			}
			now = cpuTime() // what this has cost is no work
			dropped = now
		}
		used, busy = now, !idle
	}
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// dropUntouchedPages tells the kernel to forget the pages of the program file
// that nobody changed. A start touches all of it, because every Kubernetes
// type registers itself; what the controller then runs is less than half, and
// comes back from the page cache when it is used.
func dropUntouchedPages(smaps string) error {
	file, err := os.Open(smaps) //nolint:gosec // a constant of the kernel
	if err != nil {
		return nil // not Linux: nothing to give back
	}
	defer func() { _ = file.Close() }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var start, end uintptr
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case strings.Contains(fields[0], "-"): // a mapping begins: address, mode, offset, device, inode, path
			start, end = 0, 0
			if len(fields) == 6 && fields[5] == self && !strings.Contains(fields[1], "w") {
				if _, err := fmt.Sscanf(fields[0], "%x-%x", &start, &end); err != nil {
					return err
				}
			}
		case fields[0] == "Anonymous:" && end > start && fields[1] == "0":
			// No page differs from the file, so that none can be lost.
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED); errno != 0 {
				return errno
			}
		}
	}
	return nil
}
