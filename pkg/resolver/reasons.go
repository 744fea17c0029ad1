package resolver

import (
	"fmt"
	"slices"

	"chandler.dev/olm/pkg/resolver/constraint"
	"chandler.dev/olm/pkg/resolver/solver"
)

// unsolvable tells a core as reasons, and finds who is to blame: the wants in
// it that have nothing yet, or all wants in it if there is no such one. What
// runs is not held up by what somebody would like to add.
func (f *formula) unsolvable(core []solver.Group) answered {
	x := answered{neighbors: names(f.g.wants), entries: f.g.entries}
	var reasons []Reason
	var wants, newcomers []*want
	for _, g := range core {
		k := f.facts[g]
		x.facts = append(x.facts, k)
		reasons = append(reasons, f.reason(k))
		if k.kind != factWanted {
			continue
		}
		wants = append(wants, k.want)
		if k.want.current == nil {
			newcomers = append(newcomers, k.want)
		}
	}
	switch {
	case len(newcomers) > 0:
		x.wants = newcomers
	case len(wants) > 0:
		x.wants = wants
	default:
		x.wants = f.g.wants
	}
	x.component = Component{
		Subscriptions: names(x.wants),
		Adopted:       adopted(x.wants),
		Unsolvable:    &Unsolvable{Reasons: sorted(reasons)},
	}
	return x
}

// reason says a fact in the words of the existing resolver where it has them.
func (f *formula) reason(k fact) Reason {
	switch k.kind {
	case factWanted:
		return Reason{Subscription: k.want.Name, Text: fmt.Sprintf("subscription %s exists", k.want.Name)}
	case factCandidates:
		return f.candidatesReason(k.want)
	case factReplaces:
		return Reason{Subscription: k.want.Name, Text: fmt.Sprintf("an upgrade of subscription %s replaces %s", k.want.Name, k.entries[0].bundle.Name)}
	case factFixed:
		return f.fixedReason(k.entries[0])
	case factNeed:
		return f.needReason(k)
	case factOnePackage:
		return Reason{
			Text:    fmt.Sprintf("%s originate from package %s", f.ids(k.entries), k.pkg),
			Details: []string{"there can be only one operator from package " + k.pkg},
		}
	case factOneProvider:
		api := apiText(k)
		return Reason{
			Text:    fmt.Sprintf("%s provide %s", f.ids(k.entries), api),
			Details: []string{"there can be only one provider of " + api},
		}
	default:
		return f.flawReason(k)
	}
}

func apiText(k fact) string {
	return fmt.Sprintf("%s (%s/%s)", k.api.Kind, k.api.Group, k.api.Version)
}

func (f *formula) candidatesReason(s *want) Reason {
	var ids []string
	for _, c := range s.candidates[:min(listed, len(s.candidates))] {
		ids = append(ids, c.id(f.w, c.channel))
	}
	if len(s.candidates) == 1 {
		return Reason{Subscription: s.Name, Text: fmt.Sprintf("subscription %s requires %s", s.Name, ids[0])}
	}
	return Reason{
		Subscription: s.Name,
		Text:         fmt.Sprintf("subscription %s requires at least one of %s", s.Name, some(ids, len(s.candidates), "or")),
	}
}

// fixedReason says why an installed bundle stays.
func (f *formula) fixedReason(e *entry) Reason {
	for _, s := range f.w.wants {
		if s.current == e {
			return Reason{
				Subscription: s.Name,
				Text:         fmt.Sprintf("clusterserviceversion %s exists and subscription %s cannot change it now", e.bundle.Name, s.Name),
			}
		}
	}
	return Reason{
		Text: fmt.Sprintf("clusterserviceversion %s exists and is not referenced by a subscription", e.bundle.Name),
		Cure: fmt.Sprintf("subscribe to the package of %s, or delete it", e.bundle.Name),
	}
}

func (f *formula) needReason(k fact) Reason {
	n := k.needs[0]
	texts := map[string]bool{}
	for _, other := range k.needs {
		texts[other.predicate.String()] = true
	}
	what := n.predicate.String()
	if len(texts) > 1 {
		what = n.predicate.Subject() + " and with version in a range of its own"
	}
	r := Reason{Text: fmt.Sprintf("%s an operator %s", requires(k.entries), what)}
	options := k.options()
	if len(options) > 0 {
		r.Details = []string{"there is " + f.someIDs(options, "or")}
		return r
	}
	r.Details = []string{"no catalog offers one"}
	r.Cure = "add a catalog with an operator " + what
	for _, c := range f.w.catalogs {
		if c.Unavailable != "" {
			r.Details = append(r.Details, fmt.Sprintf("catalog %s is unavailable: %s", c.Ref, c.Unavailable))
		}
	}
	r.Details = append(r.Details, f.nearMisses(n.predicate)...)
	return r
}

// options are the entries that meet one of the needs, each once.
func (k fact) options() []*entry {
	var options []*entry
	seen := map[*entry]bool{}
	for _, n := range k.needs {
		for _, o := range n.options {
			if !seen[o] {
				seen[o] = true
				options = append(options, o)
			}
		}
	}
	return options
}

// nearMisses names the bundles that a requirement looked at in vain: other
// versions of its package, and those that a channel skips or that are in none.
func (f *formula) nearMisses(p constraint.Predicate) []string {
	keys := p.Keys()
	if keys.Anywhere {
		return nil
	}
	var details []string
	for _, c := range f.w.catalogs {
		var passed []string
		for _, o := range f.w.offersFor(c, keys) {
			var versions []string
			for i := range o.Bundles {
				e := f.w.entry(o, o.Bundles[i].Name)
				if p.Match(e.facts()) {
					passed = append(passed, e.bundle.Name)
				}
				versions = append(versions, o.Bundles[i].Version)
			}
			if len(passed) == 0 && slices.Contains(keys.Packages, o.Package.Name) {
				slices.SortFunc(versions, func(a, b string) int { return compareVersions(b, a) })
				details = append(details, fmt.Sprintf("catalog %s offers package %s in versions %s", c.Ref, o.Package.Name, list(versions)))
			}
		}
		if len(passed) > 0 {
			slices.Sort(passed)
			details = append(details, fmt.Sprintf("catalog %s has %s, which no channel leads to any more", c.Ref, list(passed)))
		}
	}
	return details
}

func (f *formula) flawReason(k fact) Reason {
	ids := f.ids(k.entries)
	switch k.kind {
	case factDeprecated:
		return Reason{
			Text: fmt.Sprintf("bundle %s deprecated", isAre(ids, k.entries)),
			Cure: "choose a channel with bundles that are not deprecated",
		}
	case factKube:
		return Reason{
			Text: fmt.Sprintf("bundle %s made for Kubernetes %s or newer and the cluster has %s", isAre(ids, k.entries), k.detail, f.w.cluster.KubeVersion),
			Cure: fmt.Sprintf("upgrade the cluster to Kubernetes %s", k.detail),
		}
	case factTaken:
		return Reason{
			Text: fmt.Sprintf("bundle %s not allowed to bring %s, which %s provides", isAre(ids, k.entries), apiText(k), k.detail),
			Cure: f.w.release(k),
		}
	default:
		return Reason{
			Text: fmt.Sprintf("bundle %s not usable because of a constraint that cannot be read: %s", isAre(ids, k.entries), k.detail),
			Cure: "have the catalog corrected",
		}
	}
}

// release says how an API that belongs to somebody else gets free.
func (w *world) release(k fact) string {
	if t := w.taken[k.api]; t.Release != "" {
		return t.Release
	}
	return fmt.Sprintf("remove %s from %s", apiText(k), k.detail)
}

func isAre(ids string, entries []*entry) string {
	if len(entries) == 1 {
		return ids + " is"
	}
	return ids + " are"
}

// requires begins the sentence about what bundles need.
func requires(entries []*entry) string {
	var names []string
	for _, e := range entries {
		if !slices.Contains(names, e.bundle.Name) {
			names = append(names, e.bundle.Name)
		}
	}
	if len(names) == 1 {
		return "bundle " + names[0] + " requires"
	}
	return "bundles " + list(names) + " require"
}

func (f *formula) id(e *entry) string {
	if e.installed != nil {
		return e.id(f.w, "")
	}
	for _, s := range f.g.wants {
		for _, c := range s.candidates {
			if c.entry == e {
				return e.id(f.w, c.channel)
			}
		}
	}
	return e.id(f.w, e.route("").channel.Name)
}

func (f *formula) ids(entries []*entry) string { return f.someIDs(entries, "and") }

// someIDs names the first entries and counts the rest.
func (f *formula) someIDs(entries []*entry, word string) string {
	var ids []string
	for _, e := range entries[:min(listed, len(entries))] {
		ids = append(ids, f.id(e))
	}
	return some(ids, len(entries), word)
}
