package subscription

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWrites counts what an install and an upgrade write, and that nothing is
// written afterwards, whatever event comes.
func TestWrites(t *testing.T) {
	w := newWorld(t, group("group"), catalogSource("main"))
	w.serve(v1)
	w.make(subscription("etcd"))
	w.settle()
	once := []string{"create installplan", "status subscription", "status installplan", "status subscription"}
	if diff := cmp.Diff(once, w.writes); diff != "" {
		t.Errorf("the install (-want +got):\n%s", diff)
	}
	w.writes = nil
	w.serve(v1, v2)
	w.settle()
	if diff := cmp.Diff(once, w.writes); diff != "" {
		t.Errorf("the upgrade (-want +got):\n%s", diff)
	}
	w.writes = nil
	w.serve(v1, v2, redis)
	w.settle()
	w.restart()
	w.settle()
	if len(w.writes) > 0 {
		t.Errorf("with nothing to do %v were written", w.writes)
	}
}

// TestRefusalsAreSilent covers that a problem is written once.
func TestRefusalsAreSilent(t *testing.T) {
	w := newWorld(t, group("group"), catalogSource("main"))
	w.serve(redis)
	w.make(subscription("etcd"))
	w.settle()
	w.restart()
	w.settle()
	if diff := cmp.Diff([]string{"status subscription"}, w.writes); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}
