package drift

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Wounds are the objects of complete plans that have to be looked at, and how
// often each had to be put back.
type Wounds struct {
	Clock clock.PassiveClock

	mu      sync.Mutex
	open    map[types.NamespacedName]map[Object]bool
	mended  map[dispute]mending
	visited map[types.UID]bool
}

type dispute struct {
	plan   types.NamespacedName
	object Object
}

type mending struct {
	times int
	last  time.Time
}

// Everything stands for all objects of a plan.
func Everything() Object { return Object{} }

// Add opens a wound of a plan.
func (w *Wounds) Add(plan types.NamespacedName, objects ...Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		w.open = map[types.NamespacedName]map[Object]bool{}
	}
	if w.open[plan] == nil {
		w.open[plan] = map[Object]bool{}
	}
	for _, o := range objects {
		w.open[plan][o] = true
	}
}

// Take returns the wounds of a plan, never nil, and forgets them.
func (w *Wounds) Take(plan types.NamespacedName) map[Object]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	open := w.open[plan]
	delete(w.open, plan)
	if open == nil {
		open = map[Object]bool{}
	}
	return open
}

// Visited reports whether Visit was called for a plan.
func (w *Wounds) Visited(plan types.UID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.visited[plan]
}

// Visit notes that what a plan installed is watched from now on.
func (w *Wounds) Visit(plan types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.visited == nil || len(w.visited) >= visitedLimit {
		w.visited = map[types.UID]bool{}
	}
	w.visited[plan] = true
}

// What Wounds remember at most. Forgetting costs reads.
const (
	visitedLimit = 1 << 16
	mendedLimit  = 1 << 10
)

const (
	// calm is how long nobody must have touched an object that is put back, for
	// the next time to count as the first.
	calm = 10 * time.Minute
	// tolerated is how often an object is put back at once.
	tolerated = 3
	firstRest = 10 * time.Second
)

// Mend notes that an object was put back.
func (w *Wounds) Mend(plan types.NamespacedName, o Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mended == nil {
		w.mended = map[dispute]mending{}
	}
	if len(w.mended) >= mendedLimit {
		maps.DeleteFunc(w.mended, func(_ dispute, m mending) bool { return w.Clock.Since(m.last) > 2*calm })
	}
	m := w.recent(dispute{plan, o})
	m.times, m.last = m.times+1, w.Clock.Now()
	w.mended[dispute{plan, o}] = m
}

// Rest is how long an object is to be left alone, because others change it as
// often as it is put back: zero at first, then ten seconds and ever longer, up
// to ten minutes.
func (w *Wounds) Rest(plan types.NamespacedName, o Object) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.recent(dispute{plan, o})
	if m.times < tolerated {
		return 0
	}
	rest := min(firstRest<<min(m.times-tolerated, 6), calm)
	return max(rest-w.Clock.Since(m.last), 0)
}

// recent returns how often an object was put back lately, and drops what is
// no longer recent.
func (w *Wounds) recent(d dispute) mending {
	m, ok := w.mended[d]
	if ok && w.Clock.Since(m.last) > 2*calm {
		delete(w.mended, d)
		return mending{}
	}
	return m
}
