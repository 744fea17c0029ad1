package subscription

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
)

// approve approves the plan that waits.
func (w *world) approve() {
	w.t.Helper()
	for _, plan := range w.plans() {
		if plan.Status.Phase == v1alpha1.InstallPlanPhaseRequiresApproval {
			edit(w, &plan, func(p *v1alpha1.InstallPlan) { p.Spec.Approved = true })
			return
		}
	}
	w.t.Fatal("no plan waits for an approval")
}

func TestLives(t *testing.T) {
	for name, tt := range lives {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, group("group"), catalogSource("main"))
			tt.live(w)
			w.settle()
			if diff := cmp.Diff(tt.want, w.lines()); diff != "" {
				t.Errorf("the namespace (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLivesWithLateEvents has every life end the same when the cache is always
// one reconcile behind what was written.
func TestLivesWithLateEvents(t *testing.T) {
	for name, tt := range lives {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, group("group"), catalogSource("main"))
			w.cache.lags = true
			tt.live(w)
			w.settle()
			if diff := cmp.Diff(tt.want, w.lines()); diff != "" {
				t.Errorf("the namespace (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLivesWithCrashes has every life end the same when a write fails and the
// controller starts again with an empty memory, whichever write it is.
func TestLivesWithCrashes(t *testing.T) {
	for name, tt := range lives {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				w := newWorld(t, group("group"), catalogSource("main"))
				w.failAt = n
				tt.live(w)
				w.settle()
				if len(w.writes) < n {
					return
				}
				w.restart()
				w.settle()
				if diff := cmp.Diff(tt.want, w.lines()); diff != "" {
					t.Errorf("after the failure of write %d, %q (-want +got):\n%s", n, w.writes[n-1], diff)
				}
			}
		})
	}
}
