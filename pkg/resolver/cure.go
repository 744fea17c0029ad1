package resolver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver/constraint"
)

const (
	maxCures   = 3  // proposed for one component
	maxTries   = 16 // of changes for one component
	maxMissing = 4  // offers that one cure puts together
	largeSize  = 1000
	fewTries   = 3 // for a component with more than largeSize bundles
)

// cure tries changes until some solve the component.
func (a *answers) cure(p Problem, x *answered) {
	ctx, cancel := a.allowance()
	defer cancel()
	tries := maxTries
	if len(x.entries) > largeSize {
		tries = fewTries
	}
	u := x.component.Unsolvable
	for _, proposal := range a.proposals(x) {
		if tries == 0 || len(u.Cures) == maxCures || ctx.Err() != nil {
			return
		}
		tries--
		if a.cures(ctx, p, proposal, x) {
			u.Cures = append(u.Cures, proposal)
		}
	}
	if len(u.Cures) == 0 {
		if c := a.offerAll(ctx, p, x); len(c.Changes) > 1 && a.cures(ctx, p, c, x) {
			u.Cures = append(u.Cures, c)
		}
	}
}

// offerAll proposes to offer one thing after the other that is missing, for a
// component that misses several.
func (a *answers) offerAll(ctx context.Context, p Problem, x *answered) Cure {
	var all Cure
	facts := x.facts
	for range maxMissing {
		i := slices.IndexFunc(facts, func(f fact) bool { return len(missing(f)) > 0 })
		if i < 0 {
			break
		}
		next := missing(facts[i])[0]
		all.Changes = append(all.Changes, next.Changes...)
		all.Text += ", and " + next.Text
		part := a.part(p, only(p.Subscriptions, x.neighbors, all))
		after, err := answer(ctx, Apply(part, all.Changes...), a.world)
		if err != nil {
			break
		}
		facts = nil
		for _, y := range after.answers {
			if slices.ContainsFunc(y.component.Subscriptions, func(n string) bool { return slices.Contains(x.component.Subscriptions, n) }) {
				facts = append(facts, y.facts...)
			}
		}
	}
	all.Text = strings.TrimPrefix(all.Text, ", and ")
	return all
}

// cures reports whether the subscriptions of a component, as far as they are
// still there, can be served after the change, and no other one suffers from
// it. It answers the problem of the component with the change, and of all that
// the change brings together with it.
func (a *answers) cures(ctx context.Context, p Problem, c Cure, x *answered) bool {
	names := slices.Clone(x.neighbors)
	for {
		small := a.part(p, only(p.Subscriptions, names, c))
		before, err := answer(ctx, small, a.world)
		if err != nil {
			return false
		}
		after, err := answer(ctx, Apply(small, c.Changes...), a.world)
		if err != nil || !better(before, after, x.component.Subscriptions) {
			return false
		}
		more := a.together(names, after)
		if len(more) == len(names) {
			return true
		}
		names = more
	}
}

// part is the problem with some of its subscriptions only. What others are
// about to replace counts as gone in it too.
func (a *answers) part(p Problem, subscriptions []Subscription) Problem {
	p.Subscriptions = subscriptions
	p.Installed = without(p.Installed, func(i Installed) bool {
		owner, gone := a.retired[i.Bundle.Name]
		return gone && !slices.ContainsFunc(subscriptions, func(s Subscription) bool { return s.Name == owner })
	})
	return p
}

// better reports whether after a change nobody suffers who did not before, and
// none of these.
func better(before, after *answers, subscriptions []string) bool {
	suffering := before.unsolvable()
	for name := range after.unsolvable() {
		if slices.Contains(subscriptions, name) || !suffering[name] {
			return false
		}
	}
	return true
}

// only returns the named subscriptions and all others of their packages,
// before and after a change.
func only(list []Subscription, names []string, c Cure) []Subscription {
	packages := map[string]bool{}
	for _, change := range c.Changes {
		if change.Subscribe != nil {
			packages[change.Subscribe.Package] = true
		}
	}
	for _, s := range list {
		packages[s.Package] = packages[s.Package] || slices.Contains(names, s.Name)
	}
	return without(list, func(s Subscription) bool { return !packages[s.Package] })
}

// together adds to the names those of all subscriptions that touch what the
// answers to a part of the problem touch.
func (a *answers) together(names []string, part *answers) []string {
	if a.touched == nil {
		a.touched = map[any][]int{}
		for i := range a.answers {
			for key := range touches(a.answers[i].entries) {
				a.touched[key] = append(a.touched[key], i)
			}
		}
	}
	all := map[string]bool{}
	for _, name := range names {
		all[name] = true
	}
	for i := range part.answers {
		for key := range touches(part.answers[i].entries) {
			for _, j := range a.touched[key] {
				for _, name := range a.answers[j].neighbors {
					all[name] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// touches returns the packages and APIs of entries.
func touches(entries []*entry) map[any]bool {
	keys := map[any]bool{}
	for _, e := range entries {
		for _, name := range e.facts().PackageNames() {
			keys[name] = true
		}
		for _, api := range e.facts().APIs {
			keys[api] = true
		}
	}
	return keys
}

func (a *answers) unsolvable() map[string]bool {
	found := map[string]bool{}
	for _, x := range a.answers {
		if x.component.Unsolvable == nil {
			continue
		}
		for _, name := range x.component.Subscriptions {
			found[name] = true
		}
	}
	return found
}

// proposals returns the changes to try, the smallest intervention first.
func (a *answers) proposals(x *answered) []Cure {
	var list []Cure
	for _, s := range x.wants {
		list = append(list, a.edits(s)...)
	}
	for _, f := range x.facts {
		if f.kind == factWanted && !slices.Contains(x.wants, f.want) {
			list = append(list, a.edits(f.want)...)
		}
	}
	for _, f := range x.facts {
		list = append(list, a.remedies(f)...)
	}
	for _, f := range x.facts {
		// Alone, it would only be cured of being wanted.
		if f.kind == factWanted && (len(x.wants) > 1 || x.wants[0] != f.want) {
			list = append(list, removal(f.want))
		}
	}
	return list
}

// edits are the changes to a subscription itself.
func (a *answers) edits(s *want) []Cure {
	var list []Cure
	propose := func(edit func(*Subscription), format string, args ...any) {
		changed := s.Subscription
		edit(&changed)
		if changed != s.Subscription {
			list = append(list, Cure{Text: fmt.Sprintf(format, args...), Changes: []Change{{Subscribe: &changed}}})
		}
	}
	if s.StartingCSV != "" && s.current == nil {
		if name := nearest(s.StartingCSV, s.search.bundleNames()); name != "" {
			propose(func(c *Subscription) { c.StartingCSV = name }, "set startingCSV of subscription %s to %s", s.Name, name)
		}
		propose(func(c *Subscription) { c.StartingCSV = "" }, "remove startingCSV from subscription %s", s.Name)
	}
	if s.VersionRange != "" {
		propose(func(c *Subscription) { c.VersionRange = "" }, "remove annotation chandler.dev/version-range from subscription %s", s.Name)
	}
	for _, name := range a.otherChannels(s) {
		propose(func(c *Subscription) { c.Channel = name }, "set channel of subscription %s to %s", s.Name, name)
	}
	for _, c := range a.catalogs {
		if _, ok := c.offers[s.Package]; ok && s.Catalog != (CatalogRef{}) {
			propose(func(x *Subscription) { x.Catalog = c.Ref }, "set source and sourceNamespace of subscription %s to %s and %s", s.Name, c.Ref.Name, c.Ref.Namespace)
		}
	}
	if len(s.search.offers) == 0 {
		for _, c := range s.search.catalogs {
			if name := nearest(s.Package, c.names()); name != "" {
				propose(func(x *Subscription) { x.Package = name }, "set the package name of subscription %s to %s", s.Name, name)
			}
		}
	}
	return list
}

// otherChannels returns the channels of the package, the nearest name first.
func (a *answers) otherChannels(s *want) []string {
	if s.Channel == "" {
		return nil
	}
	var names []string
	for _, o := range s.search.offers {
		for _, ch := range o.channels() {
			if ch.Name != s.Channel && !slices.Contains(names, ch.Name) {
				names = append(names, ch.Name)
			}
		}
	}
	if i := slices.Index(names, nearest(s.Channel, names)); i > 0 {
		names[0], names[i] = names[i], names[0]
	}
	return names
}

// remedies are the changes that take away a fact.
func (a *answers) remedies(f fact) []Cure {
	switch f.kind {
	case factKube:
		return []Cure{{
			Text:    "upgrade the cluster to Kubernetes " + f.detail,
			Changes: []Change{{KubeVersion: f.detail}},
		}}
	case factTaken:
		return []Cure{{
			Text:    a.release(f),
			Changes: []Change{{Release: &f.api}},
		}}
	case factFixed:
		return a.dislodge(f.entries[0])
	case factNeed:
		return missing(f)
	default:
		return nil
	}
}

// dislodge proposes how an installed bundle that nobody owns can give way.
func (a *answers) dislodge(e *entry) []Cure {
	if slices.ContainsFunc(a.wants, func(s *want) bool { return s.current == e }) {
		return nil
	}
	var list []Cure
	if e.blocks != nil {
		list = append(list, Cure{
			Text:    "set upgradeStrategy TechPreviewUnsafeFailForward on the operator group",
			Changes: []Change{{FailForward: true}},
		})
	}
	for _, pkg := range e.facts().PackageNames() {
		for _, c := range a.catalogs {
			if _, ok := c.offers[pkg]; ok {
				list = append(list, Cure{
					Text:    fmt.Sprintf("subscribe to package %s in catalog %s, so that %s is upgraded", pkg, c.Ref, e.bundle.Name),
					Changes: []Change{{Subscribe: &Subscription{Name: pkg, Package: pkg, Catalog: c.Ref}}},
				})
			}
		}
	}
	return append(list, Cure{
		Text:    fmt.Sprintf("delete clusterserviceversion %s", e.bundle.Name),
		Changes: []Change{{Uninstall: e.bundle.Name}},
	})
}

// missing proposes to offer what a requirement asks for, if nobody does.
func missing(f fact) []Cure {
	var list []Cure
	for _, n := range f.needs {
		b, ok := constraint.Example(n.predicate)
		if len(n.options) > 0 || !ok || len(list) > 0 {
			continue
		}
		if b.Package == constraint.ExamplePackage {
			// Several examples must not exclude each other.
			b.Package += " " + n.predicate.String()
		}
		pkg := registry.Package{Name: b.Package, DefaultChannel: "stable", Channels: []registry.Channel{{
			Name: "stable", Head: b.Name, Entries: []registry.Entry{{Name: b.Name}},
		}}}
		list = append(list, Cure{
			Text: fmt.Sprintf("add a catalog that offers an operator %s", n.predicate),
			Changes: []Change{{Catalog: &Catalog{
				Ref:      CatalogRef{Name: "example " + n.predicate.String()},
				Packages: []Offer{{Package: pkg, Bundles: []registry.Bundle{b}}},
			}}},
		})
	}
	return list
}

// removal proposes to do without a subscription that others cannot live with.
func removal(s *want) Cure {
	c := Cure{Text: "delete subscription " + s.Name, Changes: []Change{{Unsubscribe: s.Name}}}
	if s.current != nil {
		c.Text += " and clusterserviceversion " + s.current.bundle.Name
		c.Changes = append(c.Changes, Change{Uninstall: s.current.bundle.Name})
	}
	return c
}
