package main

import (
	"context"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"

	"chandler.dev/olm/internal/pages"
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
			if err := pages.DropUntouched(); err != nil {
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
