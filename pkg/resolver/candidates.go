package resolver

import (
	"cmp"
	"slices"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/registry"
)

// lookup is the search for the candidates of one want: how far it got decides
// what the refusal says.
type lookup struct {
	want    *want
	inRange semver.Range // nil: any version

	catalogs []*catalog
	offers   []*offer
	channels []route
	broken   error // why a channel that would count has no order
}

// route is a channel of an offer with its upgrade graph.
type route struct {
	offer   *offer
	channel registry.Channel
	graph   *registry.Graph // nil if the channel is broken
}

// findCandidates fills in what a want may get, best first, or why nothing.
func (w *world) findCandidates(s *want) {
	l := &lookup{want: s}
	s.search = l
	l.find(w)
	if s.refusal != nil {
		return
	}
	if s.VersionRange != "" {
		r, err := semver.ParseRange(s.VersionRange)
		if err != nil {
			s.refusal = refuseRange(s, err)
			return
		}
		l.inRange = r
	}
	switch {
	case len(l.channels) == 0:
	case s.current != nil:
		s.candidates = w.upgrades(l)
	default:
		s.candidates = w.firstInstalls(l)
	}
	if len(s.candidates) == 0 {
		s.refusal = w.refuse(l)
	}
}

// find narrows the catalogs down to the channels that count.
func (l *lookup) find(w *world) {
	for _, c := range w.catalogs {
		if l.want.Catalog == (CatalogRef{}) || l.want.Catalog == c.Ref {
			l.catalogs = append(l.catalogs, c)
		}
	}
	for _, c := range l.catalogs {
		if o, ok := c.offers[l.want.Package]; ok {
			l.offers = append(l.offers, o)
		}
	}
	for _, o := range l.offers {
		for _, ch := range o.channels() {
			if l.want.Channel != "" && ch.Name != l.want.Channel || len(ch.Entries) == 0 {
				continue
			}
			g, err := o.graph(ch)
			if err != nil && l.broken == nil {
				l.broken = brokenChannel(o.Package.Name, ch)
			}
			l.channels = append(l.channels, route{o, ch, g})
		}
	}
}

// firstInstalls returns what a want with nothing installed may get.
func (w *world) firstInstalls(l *lookup) []candidate {
	var list []candidate
	for _, r := range l.channels {
		if l.want.StartingCSV != "" {
			// The order of the channel does not matter: also what another
			// entry skips can be started with.
			if _, ok := r.channel.Entry(l.want.StartingCSV); ok {
				list = w.appendCandidate(list, r, l.want.StartingCSV)
			}
			continue
		}
		for _, name := range l.firstNames(r) {
			list = w.appendCandidate(list, r, name)
		}
	}
	return list
}

// firstNames returns the names in a channel that a want without a starting
// point may begin with. Skipped entries count only for a version range.
func (l *lookup) firstNames(r route) []string {
	if r.graph == nil {
		return nil
	}
	order := r.graph.Order()
	if l.inRange == nil {
		return order
	}
	names := slices.DeleteFunc(slices.Clone(order), func(n string) bool { return !l.accepts(r.offer, n) })
	var skipped []string
	for _, e := range r.channel.Entries {
		if !slices.Contains(order, e.Name) && l.accepts(r.offer, e.Name) {
			skipped = append(skipped, e.Name)
		}
	}
	slices.SortFunc(skipped, func(a, b string) int {
		return cmp.Or(compareVersions(r.offer.version(b), r.offer.version(a)), cmp.Compare(a, b))
	})
	return append(names, skipped...)
}

// upgrades returns what an installed bundle may become in one step, and the
// installed bundle itself as the last choice.
func (w *world) upgrades(l *lookup) []candidate {
	current := l.want.current
	var list []candidate
	for _, r := range l.channels {
		if r.graph == nil {
			continue
		}
		for _, name := range l.steps(r, current.bundle.Name, current.bundle.Version) {
			list = w.appendCandidate(list, r, name)
		}
	}
	stays := l.inRange == nil || l.inRangeVersion(current.bundle.Version)
	usable := slices.ContainsFunc(l.channels, func(r route) bool { return r.graph != nil })
	if len(list) == 0 && !stays || !usable {
		return nil
	}
	return append(list, candidate{entry: current})
}

// steps returns the direct upgrades from a bundle. With a version range, those
// inside of it; while the bundle itself is outside, also those outside from
// which a way leads in.
func (l *lookup) steps(r route, name, version string) []string {
	next := slices.DeleteFunc(r.graph.Successors(name, version), func(n string) bool { return n == name })
	if l.inRange == nil {
		return next
	}
	var inside, detour []string
	outside := !l.inRangeVersion(version)
	for _, n := range next {
		if l.accepts(r.offer, n) {
			inside = append(inside, n)
		} else if outside && l.leadsIn(r, n) {
			detour = append(detour, n)
		}
	}
	return append(inside, detour...)
}

// leadsIn reports whether upgrades lead from a bundle into the version range.
func (l *lookup) leadsIn(r route, name string) bool {
	seen := map[string]bool{}
	todo := []string{name}
	for len(todo) > 0 {
		n := todo[0]
		todo = todo[1:]
		for _, next := range r.graph.Successors(n, r.offer.version(n)) {
			if l.accepts(r.offer, next) {
				return true
			}
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return false
}

// path returns the names from a bundle to the one wanted in the end.
func (l *lookup) path(r route, name string) []string {
	path := []string{name}
	for r.graph != nil {
		next := l.steps(r, name, r.offer.version(name))
		if len(next) == 0 {
			break
		}
		name = next[0]
		path = append(path, name)
	}
	return path
}

func (l *lookup) accepts(o *offer, name string) bool {
	return l.inRange == nil || l.inRangeVersion(o.version(name))
}

func (l *lookup) inRangeVersion(version string) bool {
	v, err := semver.ParseTolerant(version)
	return err == nil && l.inRange(v)
}

func (w *world) appendCandidate(list []candidate, r route, name string) []candidate {
	e := w.entry(r.offer, name)
	if e == nil || slices.ContainsFunc(list, func(c candidate) bool { return c.entry == e }) {
		return list
	}
	return append(list, candidate{e, r.channel.Name})
}

// compareVersions orders versions, those that do not parse first.
func compareVersions(a, b string) int {
	va, errA := semver.ParseTolerant(a)
	vb, errB := semver.ParseTolerant(b)
	switch {
	case errA != nil && errB != nil:
		return 0
	case errA != nil:
		return -1
	case errB != nil:
		return 1
	}
	return va.Compare(vb)
}
