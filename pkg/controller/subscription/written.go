package subscription

import (
	"sync"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// written remembers which version of each Subscription this process wrote
// last, so that it does not decide from an older one.
type written struct {
	mu       sync.Mutex
	versions map[types.UID]string
}

func newWritten() *written { return &written{versions: map[types.UID]string{}} }

func (w *written) note(sub *v1alpha1.Subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions[sub.UID] = sub.ResourceVersion
}

// isAhead reports whether something newer than sub was written.
func (w *written) isAhead(sub *v1alpha1.Subscription) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	version, ok := w.versions[sub.UID]
	if !ok {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(sub.ResourceVersion, version); err == nil && order < 0 {
		return true
	}
	delete(w.versions, sub.UID)
	return false
}

// differs reports whether a status says something else; when it was written
// does not count.
func differs(a, b v1alpha1.SubscriptionStatus) bool {
	a.LastUpdated, b.LastUpdated = metav1.Time{}, metav1.Time{}
	return !equality.Semantic.DeepEqual(a, b)
}
