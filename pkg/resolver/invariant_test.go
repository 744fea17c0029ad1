package resolver_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/constraint"
)

// TestEverySolutionPassesTheChecker applies all answers and looks at what is
// there then.
func TestEverySolutionPassesTheChecker(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawWide(rt)
		s := resolve(rt, p)
		if err := check(p, s); err != nil {
			rt.Fatalf("%v\n%s", err, describe(p, s))
		}
	})
}

// present is a bundle that is there after a solution.
type present struct {
	name  string
	facts *constraint.Facts
	fresh bool
}

// check looks at a solution without knowing how it was found.
func check(p resolver.Problem, s resolver.Solution) error {
	after, err := carryOut(p, s)
	if err != nil {
		return err
	}
	for _, x := range after {
		for _, y := range after {
			if x.name != y.name && (x.fresh || y.fresh) && clash(x, y) {
				return fmt.Errorf("%s and %s exclude each other", x.name, y.name)
			}
		}
		for _, r := range x.facts.Requires {
			matches := func(y present) bool { return r.Match(y.facts) }
			now := slices.ContainsFunc(after, matches) || metByCluster(p, r)
			if !now && (x.fresh || metBefore(p, r)) {
				return fmt.Errorf("%s lacks an operator %s", x.name, r)
			}
		}
	}
	return everybodyAnswered(p, s)
}

func clash(x, y present) bool {
	return excludes(&item{facts: x.facts}, &item{facts: y.facts})
}

func metByCluster(p resolver.Problem, r constraint.Predicate) bool {
	return slices.ContainsFunc((&oracle{p: p}).clusterAPIs(), func(api registry.GVK) bool {
		return r.Match(&constraint.Facts{APIs: []registry.GVK{api}})
	})
}

func metBefore(p resolver.Problem, r constraint.Predicate) bool {
	return slices.ContainsFunc(p.Installed, func(i resolver.Installed) bool {
		return !givesWay(p, i) && r.Match(constraint.Read(&i.Bundle))
	})
}

func carryOut(p resolver.Problem, s resolver.Solution) ([]present, error) {
	gone := map[string]bool{}
	var after []present
	for _, c := range s.Components {
		if c.Unsolvable != nil && len(c.Selections) > 0 {
			return nil, fmt.Errorf("component %v installs something without a solution", c.Subscriptions)
		}
		for _, sel := range c.Selections {
			b := sel.Bundle
			f := constraint.Read(&b)
			if f.Deprecated || slices.ContainsFunc(p.Cluster.Taken, func(t resolver.TakenAPI) bool { return slices.Contains(f.APIs, t.API) }) {
				return nil, fmt.Errorf("%s must not be installed", b.Name)
			}
			if len(sel.Subscriptions)+len(sel.RequiredBy) == 0 {
				return nil, fmt.Errorf("nobody asked for %s", b.Name)
			}
			after = append(after, present{b.Name, f, true})
			for _, name := range sel.Subscriptions {
				i := slices.IndexFunc(p.Subscriptions, func(x resolver.Subscription) bool { return x.Name == name })
				if old := p.Subscriptions[i].Installed; old != "" {
					gone[old] = true
					if sel.Replaces != old {
						return nil, fmt.Errorf("%s replaces %q, not %s", b.Name, sel.Replaces, old)
					}
				}
				if p.Subscriptions[i].Package != b.Package {
					return nil, fmt.Errorf("%s gets %s of another package", name, b.Name)
				}
			}
		}
	}
	for _, i := range p.Installed {
		if !gone[i.Bundle.Name] && !givesWay(p, i) {
			after = append(after, present{i.Bundle.Name, constraint.Read(&i.Bundle), false})
		}
	}
	return after, nil
}

// givesWay reports whether an operator that a subscription owns is replacing
// another one, so that this one counts as gone.
func givesWay(p resolver.Problem, old resolver.Installed) bool {
	return slices.ContainsFunc(p.Installed, func(i resolver.Installed) bool {
		owned := slices.ContainsFunc(p.Subscriptions, func(s resolver.Subscription) bool { return s.Installed == i.Bundle.Name })
		return owned && i.Replaces == old.Bundle.Name && (i.Phase != resolver.PhaseFailed || p.FailForward)
	})
}

// everybodyAnswered checks that each subscription is in one component and, if
// that is solved, has something.
func everybodyAnswered(p resolver.Problem, s resolver.Solution) error {
	for _, sub := range p.Subscriptions {
		n, got := 0, sub.Installed != ""
		for _, c := range s.Components {
			if !slices.Contains(c.Subscriptions, sub.Name) {
				continue
			}
			n++
			got = got || c.Unsolvable != nil || slices.ContainsFunc(c.Selections, func(x resolver.Selection) bool {
				return slices.Contains(x.Subscriptions, sub.Name)
			})
		}
		if n != 1 || !got {
			return fmt.Errorf("subscription %s is in %d components and has something: %t", sub.Name, n, got)
		}
	}
	return nil
}

func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawWide(rt)
		want := textOf(resolve(rt, p))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		if diff := gocmp.Diff(want, textOf(resolve(rt, shuffled(p, r)))); diff != "" {
			rt.Fatalf("after shuffling (-want +got):\n%s%s", diff, describe(p, resolve(rt, p)))
		}
	})
}

func shuffled(p resolver.Problem, r *rand.Rand) resolver.Problem {
	p.Subscriptions = shuffle(r, p.Subscriptions)
	p.Installed = shuffle(r, p.Installed)
	p.Catalogs = shuffle(r, p.Catalogs)
	for i := range p.Catalogs {
		packages := shuffle(r, p.Catalogs[i].Packages)
		for j := range packages {
			packages[j].Bundles = shuffle(r, packages[j].Bundles)
			packages[j].Package.Channels = shuffle(r, packages[j].Package.Channels)
			for k := range packages[j].Package.Channels {
				ch := &packages[j].Package.Channels[k]
				ch.Entries = shuffle(r, ch.Entries)
			}
			for k := range packages[j].Bundles {
				b := &packages[j].Bundles[k]
				b.Properties = shuffle(r, b.Properties)
			}
		}
		p.Catalogs[i].Packages = packages
	}
	return p
}

func shuffle[T any](r *rand.Rand, list []T) []T {
	list = slices.Clone(list)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// TestUnrelatedChangesNothing adds a catalog, a package, an installed operator
// and a subscription that nobody else has to do with.
func TestUnrelatedChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawWide(rt)
		want := resolve(rt, p)
		more := p
		foreign := packageYAML{Channels: map[string][]string{"x": {"zz.v2 -> zz.v1", "zz.v1"}}, Bundles: map[string]bundleYAML{
			"zz.v2": {Provides: []string{"Z"}, Requires: []string{"Y"}}, "zz.v1": {Provides: []string{"Z"}},
		}}
		more.Catalogs = append(slices.Clone(p.Catalogs), resolver.Catalog{
			Ref: refOf("foreign"), Priority: 1000, Packages: []resolver.Offer{foreign.offer("zz")},
		}, resolver.Catalog{Ref: refOf("broken"), Unavailable: "gone"})
		more.Subscriptions = append(slices.Clone(p.Subscriptions),
			resolver.Subscription{Name: "zz", Package: "zz", Catalog: refOf("foreign")},
			resolver.Subscription{Name: "zy", Package: "zy", Catalog: refOf("broken")})
		more.Installed = append(slices.Clone(p.Installed), resolver.Installed{Bundle: bundleYAML{Provides: []string{"W"}, Requires: []string{"V"}}.bundle("", "alone")})
		got := resolve(rt, more)
		got.Components = slices.DeleteFunc(got.Components, func(c resolver.Component) bool { return c.Subscriptions[0] >= "z" })
		if diff := gocmp.Diff(decisions(want), decisions(got)); diff != "" {
			rt.Fatalf("with something unrelated (-want +got):\n%s%s", diff, describe(more, got))
		}
	})
}

// decisions is a solution without its advice, which may name new catalogs.
func decisions(s resolver.Solution) []string {
	var list []string
	for _, c := range s.Components {
		line := fmt.Sprint(c.Subscriptions, c.Adopted)
		for _, x := range c.Selections {
			line += fmt.Sprintf(" %s from %v%s", x.Bundle.Name, x.Catalog, detailsOf(x))
		}
		if c.Unsolvable != nil {
			for _, r := range c.Unsolvable.Reasons {
				line += " | " + r.Text
			}
		}
		list = append(list, line)
	}
	return list
}

// TestFewerConstraintsStaySolvable takes requirements away from bundles that
// are offered.
func TestFewerConstraintsStaySolvable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawWide(rt)
		if !solved(resolve(rt, p)) {
			return
		}
		less := shuffled(p, rand.New(rand.NewPCG(1, 1)))
		for i := range less.Catalogs {
			for j := range less.Catalogs[i].Packages {
				bundles := less.Catalogs[i].Packages[j].Bundles
				for k := range bundles {
					if rapid.Bool().Draw(rt, "strip") {
						bundles[k].Properties = slices.DeleteFunc(bundles[k].Properties, func(p registry.Property) bool {
							return p.Type == registry.PropertyGVKRequired || p.Type == registry.PropertyPackageRequired || p.Type == registry.PropertyDeprecated
						})
					}
				}
			}
		}
		if s := resolve(rt, less); !solved(s) {
			rt.Fatalf("solvable before, and now:\n%s", describe(less, s))
		}
	})
}

func solved(s resolver.Solution) bool {
	return !slices.ContainsFunc(s.Components, func(c resolver.Component) bool { return c.Unsolvable != nil })
}

// TestEveryCureCures applies each cure to the whole problem.
func TestEveryCureCures(t *testing.T) {
	cures := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := drawWide(rt)
		s := resolve(rt, p)
		for _, c := range s.Components {
			if c.Unsolvable == nil {
				continue
			}
			for _, cure := range c.Unsolvable.Cures {
				cures++
				changed := resolver.Apply(p, cure.Changes...)
				after := resolve(rt, changed)
				for _, x := range after.Components {
					if x.Unsolvable != nil && slices.ContainsFunc(x.Subscriptions, func(n string) bool { return slices.Contains(c.Subscriptions, n) }) {
						rt.Fatalf("%q does not cure %v:\n%s\nafter it:\n%s", cure.Text, c.Subscriptions, describe(p, s), describe(changed, after))
					}
				}
			}
		}
	})
	if cures == 0 {
		t.Error("no cure was proposed in any problem")
	}
}

// TestGatherFindsEnough compares the answer from what was gathered with the
// answer from whole catalogs.
func TestGatherFindsEnough(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawWide(rt)
		var sources []resolver.Source
		for _, c := range p.Catalogs {
			sources = append(sources, resolver.Source{Ref: c.Ref, Priority: c.Priority, Store: &store{catalog: c, digest: c.Ref.String()}})
		}
		gathered, err := resolver.Gather(t.Context(), sources, p)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := gocmp.Diff(decisions(resolve(rt, p)), decisions(resolve(rt, gathered))); diff != "" {
			rt.Fatalf("from what was gathered (-want +got):\n%s%s", diff, describe(p, resolve(rt, p)))
		}
	})
}

// TestWhyAnswersForEverything asks why about random problems.
func TestWhyAnswersForEverything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawWide(rt)
		s := resolve(rt, p)
		for _, sub := range p.Subscriptions {
			why, err := resolver.WhyVersion(t.Context(), p, sub.Name)
			if err != nil {
				rt.Fatal(err)
			}
			if why.Bundle != why.Newest && len(why.Reasons) == 0 {
				rt.Fatalf("%+v says nothing\n%s", why, describe(p, s))
			}
		}
		if _, err := resolver.WhyHere(t.Context(), p); err != nil {
			rt.Fatal(err)
		}
	})
}
