// Package peak measures how much memory something takes at most, for tests of
// limits.
package peak

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

const (
	interval = 5 * time.Millisecond
	// eager collects garbage soon, so that what is measured is what is used.
	eager = 50
)

// Heap fails the test if work has more than limit bytes on the heap at once,
// above what is there already.
func Heap(t testing.TB, limit uint64, work func()) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(eager))
	runtime.GC()
	before := heap()
	stop, result := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for most := before; ; {
			select {
			case <-stop:
				result <- max(most, heap())
				return
			case <-tick.C:
				most = max(most, heap())
			}
		}
	}()
	work()
	close(stop)
	used := <-result - before
	t.Logf("%d MiB on the heap at most", used>>20)
	if used > limit {
		t.Errorf("%d MiB were on the heap, want at most %d", used>>20, limit>>20)
	}
}

func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
