package resolver

import (
	"fmt"
	"slices"
)

// adopt gives installed bundles that nobody owns to the subscription of their
// package, if there is no doubt about which is meant: one such bundle, and one
// subscription of that package that has nothing.
func (w *world) adopt() {
	owned := w.owned()
	for _, s := range w.wants {
		if s.current != nil || w.rivals(s) > 0 {
			continue
		}
		var orphans []*entry
		for _, e := range w.installed {
			if !owned[e] && e.installed.Phase != PhaseReplacing && slices.Contains(e.facts().PackageNames(), s.Package) {
				orphans = append(orphans, e)
			}
		}
		if len(orphans) == 1 {
			s.current, s.adopted = orphans[0], true
		}
	}
}

// rivals counts the other subscriptions of the same package.
func (w *world) rivals(s *want) int {
	n := 0
	for _, other := range w.wants {
		if other != s && other.Package == s.Package {
			n++
		}
	}
	return n
}

func (w *world) owned() map[*entry]bool {
	owned := map[*entry]bool{}
	for _, s := range w.wants {
		if s.current != nil {
			owned[s.current] = true
		}
	}
	return owned
}

// retire leaves out installed bundles that an owned one is about to replace.
// Behind a failed one they stay, and so block further upgrades, unless fail
// forward is on.
func (w *world) retire(failForward bool) {
	owned := w.owned()
	for _, s := range w.wants {
		if s.current == nil {
			continue
		}
		failed := s.current.installed.Phase == PhaseFailed
		seen := map[*entry]bool{s.current: true}
		for e := w.predecessor(s.current); e != nil && !owned[e]; e = w.predecessor(e) {
			switch {
			case failed && !failForward:
				e.blocks = s.current
			case seen[e]:
				s.refusal = w.refuseChain(s, e, "has already been seen")
			case failed && e.installed.Phase != PhaseReplacing:
				s.refusal = w.refuseChain(s, e, "in phase "+phaseName(e.installed.Phase)+" instead of Replacing")
			default:
				w.retired[e.bundle.Name] = s.Name
			}
			if seen[e] || s.refusal != nil {
				break
			}
			seen[e] = true
		}
	}
	w.installed = slices.DeleteFunc(w.installed, func(e *entry) bool {
		_, gone := w.retired[e.bundle.Name]
		return gone
	})
}

// predecessor is the installed bundle that another one replaces.
func (w *world) predecessor(e *entry) *entry { return w.installedNamed(e.installed.Replaces) }

func phaseName(p Phase) string {
	if p == PhaseRunning {
		return "Succeeded"
	}
	return string(p)
}

func (w *world) refuseChain(s *want, e *entry, what string) *Reason {
	return &Reason{
		Subscription: s.Name,
		Text: fmt.Sprintf("error using catalogsource %s/@existing: csv %s/%s %s",
			w.namespace, w.namespace, e.bundle.Name, what),
		Cure: fmt.Sprintf("delete clusterserviceversion %s, or replace it by one that runs", e.bundle.Name),
	}
}
