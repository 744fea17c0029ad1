package resolver

import (
	"cmp"
	"context"
	"slices"
)

// Preview is what hypothetical changes to a Problem would change in its answer.
type Preview struct {
	Now, Then Solution
	Outcomes  []Outcome // what differs, sorted by package and subscription
}

// Outcome is how the answer for a subscription, or for a package that nobody
// subscribed to, differs.
type Outcome struct {
	Subscription string // empty: a dependency, or an operator without owner
	Package      string
	// Now and Then are the names of the bundles that are there once the answer
	// is carried out, without and with the changes; empty: none.
	Now, Then string
	// RequiredBy are the names of the bundles that need Then, sorted.
	RequiredBy []string
	// Blocked and Freed say that the subscription becomes unsolvable, or stops
	// being it.
	Blocked, Freed *Unsolvable
}

// PreviewChanges answers a problem with and without changes and compares.
func PreviewChanges(ctx context.Context, p Problem, changes ...Change) (Preview, error) {
	now, err := Resolve(ctx, p)
	if err != nil {
		return Preview{}, err
	}
	changed := Apply(p, changes...)
	then, err := Resolve(ctx, changed)
	if err != nil {
		return Preview{}, err
	}
	before, after := results(p, now), results(changed, then)
	preview := Preview{Now: now, Then: then}
	for key := range before {
		if _, ok := after[key]; !ok {
			after[key] = result{}
		}
	}
	for key, t := range after {
		n := before[key]
		o := Outcome{Subscription: key.subscription, Package: key.pkg, Now: n.bundle, Then: t.bundle, RequiredBy: t.requiredBy}
		if t.unsolvable != nil && n.unsolvable == nil {
			o.Blocked = t.unsolvable
		}
		if n.unsolvable != nil && t.unsolvable == nil {
			o.Freed = n.unsolvable
		}
		if o.Now != o.Then || o.Blocked != nil || o.Freed != nil {
			preview.Outcomes = append(preview.Outcomes, o)
		}
	}
	slices.SortFunc(preview.Outcomes, func(a, b Outcome) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Subscription, b.Subscription), cmp.Compare(a.Now, b.Now))
	})
	return preview, nil
}

type resultKey struct{ subscription, pkg, orphan string }

type result struct {
	bundle     string
	requiredBy []string
	unsolvable *Unsolvable
}

// results lists what is there once a solution is carried out.
func results(p Problem, s Solution) map[resultKey]result {
	all := map[resultKey]result{}
	packages := map[string]string{}
	owned := map[string]bool{}
	for _, x := range p.Subscriptions {
		packages[x.Name] = x.Package
		r := result{}
		if hasInstalled(p, x.Installed) {
			r.bundle = x.Installed
			owned[x.Installed] = true
		}
		all[resultKey{subscription: x.Name, pkg: x.Package}] = r
	}
	for _, c := range s.Components {
		for _, name := range c.Subscriptions {
			key := resultKey{subscription: name, pkg: packages[name]}
			r := all[key]
			r.unsolvable = c.Unsolvable
			all[key] = r
		}
		for _, x := range c.Adopted {
			owned[x.Bundle] = true
			all[resultKey{subscription: x.Subscription, pkg: packages[x.Subscription]}] = result{bundle: x.Bundle}
		}
		for _, sel := range c.Selections {
			r := result{bundle: sel.Bundle.Name, requiredBy: sel.RequiredBy}
			for _, name := range sel.Subscriptions {
				all[resultKey{subscription: name, pkg: packages[name]}] = r
			}
			if len(sel.Subscriptions) == 0 {
				all[resultKey{pkg: sel.Bundle.Package}] = r
			}
		}
	}
	for _, i := range p.Installed {
		if name := i.Bundle.Name; !owned[name] {
			all[resultKey{pkg: i.Bundle.Package, orphan: name}] = result{bundle: name}
		}
	}
	return all
}

func hasInstalled(p Problem, name string) bool {
	return slices.ContainsFunc(p.Installed, func(i Installed) bool { return i.Bundle.Name == name })
}
