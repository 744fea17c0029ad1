package csv

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/step"
)

// errStale says that a cache has not yet delivered what this process wrote. A decision
// from such a cache would undo or repeat what was just done.
var errStale = errors.New("the cache is behind this process")

// forgetAfter bounds the trust in memory: an object that somebody deleted right after
// this process wrote it never shows up in a cache.
const forgetAfter = 5 * time.Second

// memoryLimit is how many objects are remembered before those are dropped that
// no cache will ask about again.
const memoryLimit = 256

// memory knows the newest version of objects that this process wrote.
type memory struct {
	clock clock.PassiveClock
	mu    sync.Mutex
	wrote map[ref]written
}

type ref struct {
	kind reflect.Type
	key  client.ObjectKey
}

type written struct {
	version string
	at      time.Time
}

func newMemory(c clock.PassiveClock) *memory {
	return &memory{clock: c, wrote: map[ref]written{}}
}

func refOf(obj client.Object) ref {
	return ref{reflect.TypeOf(obj), client.ObjectKeyFromObject(obj)}
}

// note remembers obj as the API server returned it from a write.
func (m *memory) note(obj client.Object) { m.noteVersion(obj, obj.GetResourceVersion()) }

// noteVersion remembers that this process wrote version of the object that named names.
func (m *memory) noteVersion(named client.Object, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.wrote) >= memoryLimit {
		maps.DeleteFunc(m.wrote, func(_ ref, w written) bool { return m.clock.Since(w.at) >= forgetAfter })
	}
	m.wrote[refOf(named)] = written{version, m.clock.Now()}
}

// behind tells whether cached, which is nil if the cache has no such object, is older
// than what this process wrote of the object that named names.
func (m *memory) behind(named, cached client.Object) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := refOf(named)
	last, ok := m.wrote[key]
	if !ok {
		return false
	}
	if m.clock.Since(last.at) < forgetAfter {
		if cached == nil {
			return true
		}
		if order, err := resourceversion.CompareResourceVersion(cached.GetResourceVersion(), last.version); err == nil && order < 0 {
			return true
		}
	}
	delete(m.wrote, key)
	return false
}

// result is step.Result for a reconciler that lets the cache catch up quickly.
func result(ctx context.Context, outcome step.Outcome, err error) (ctrl.Result, error) {
	if errors.Is(err, errStale) || apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	}
	return step.Result(ctx, outcome, err)
}
