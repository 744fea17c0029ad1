package resolver_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/constraint"
)

// TestReasonsAreEnoughAndNoneIsToSpare reads the sentences of an explanation as
// statements about which bundles may be there together, and tries all sets of
// bundles: no set agrees with all of them, and whichever is left out, some set
// agrees with the rest.
func TestReasonsAreEnoughAndNoneIsToSpare(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		p := drawTight(rt)
		s := resolve(rt, p)
		for _, c := range s.Components {
			if c.Unsolvable == nil || refusedOutright(c) {
				continue
			}
			reasons := c.Unsolvable.Reasons
			st, err := statements(p, reasons)
			if err != nil {
				rt.Fatal(err)
			}
			if st.agree(reasons) {
				rt.Fatalf("some bundles agree with all reasons of %v\n%s", c.Subscriptions, describe(p, s))
			}
			for i, r := range reasons {
				kind, _ := truth(p, r)
				seen[kind]++
				if !st.agree(slices.Delete(slices.Clone(reasons), i, i+1)) {
					rt.Fatalf("%q is to spare\n%s", r.Text, describe(p, s))
				}
			}
		}
	})
	for _, kind := range []string{"wanted", "candidates", "API", "need", "deprecated"} {
		if seen[kind] == 0 {
			t.Errorf("no explanation has a reason of kind %s, only %v", kind, seen)
		}
	}
}

// drawTight draws a problem with many reasons to fail, small enough to try all
// sets of bundles.
func drawTight(t *rapid.T) resolver.Problem {
	p := drawProblem(t)
	if len(p.Catalogs) == 2 && rapid.IntRange(0, 2).Draw(t, "one") > 0 {
		p.Catalogs = p.Catalogs[:1]
	}
	for i := range p.Installed {
		if b := &p.Installed[i].Bundle; rapid.IntRange(0, 3).Draw(t, "stray") == 0 {
			b.Package = "" // its owner upgrades it all the same
			b.Properties = slices.DeleteFunc(b.Properties, func(x registry.Property) bool { return x.Type == registry.PropertyPackage })
		}
	}
	drawFailure(t, &p)
	drawKube(t, &p)
	for _, c := range p.Catalogs {
		for _, o := range c.Packages {
			for i := range o.Bundles {
				b := &o.Bundles[i]
				more := bundleYAML{}
				switch rapid.IntRange(0, 5).Draw(t, "more") {
				case 0, 1:
					more.Requires = []string{rapid.SampledFrom(apiNames).Draw(t, "requires")}
				case 2:
					more.Requires = []string{"package " + rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "needed") + " " +
						rapid.SampledFrom([]string{">=2.0.0", "<2.0.0"}).Draw(t, "versions")}
				case 3:
					more.Provides = []string{rapid.SampledFrom(apiNames).Draw(t, "provides")}
				}
				b.Properties = append(slices.Clone(b.Properties), more.bundle(b.Package, b.Name).Properties...)
			}
		}
	}
	return p
}

// TestWithoutOneCauseTheRestIsNoReason takes the cause of each reason out of the
// problem: then nobody is refused for what is left of the reasons.
func TestWithoutOneCauseTheRestIsNoReason(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		p := drawTight(rt)
		s := resolve(rt, p)
		for _, c := range s.Components {
			if c.Unsolvable == nil {
				continue
			}
			for i, r := range c.Unsolvable.Reasons {
				less, ok := withoutCause(p, r)
				if !ok {
					continue
				}
				kind, _ := truth(p, r)
				seen[kind]++
				rest := slices.Delete(slices.Clone(c.Unsolvable.Reasons), i, i+1)
				after := resolve(rt, less)
				for _, x := range after.Components {
					if x.Unsolvable != nil && !slices.ContainsFunc(x.Unsolvable.Reasons, func(y resolver.Reason) bool { return !says(rest, y) }) {
						rt.Fatalf("without %q the rest is still the reason\n%s\nwithout it:\n%s", r.Text, describe(p, s), describe(less, after))
					}
				}
			}
		}
	})
	for _, kind := range []string{"wanted", "candidates", "need", "deprecated", "refused"} {
		if seen[kind] == 0 {
			t.Errorf("the cause of no reason of kind %s was taken away, only %v", kind, seen)
		}
	}
}

func says(reasons []resolver.Reason, r resolver.Reason) bool {
	return slices.ContainsFunc(reasons, func(x resolver.Reason) bool { return x.Text == r.Text })
}

// TestObstaclesAreEnoughAndNoneIsToSpare reads what keeps a subscription from the
// newest version in the same way: together with that version no set of bundles
// agrees, and without any one of the obstacles some set does.
func TestObstaclesAreEnoughAndNoneIsToSpare(t *testing.T) {
	obstacles := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := drawTight(rt)
		s := resolve(rt, p)
		for _, sub := range p.Subscriptions {
			why, err := resolver.WhyVersion(rt.Context(), p, sub.Name)
			if err != nil {
				rt.Fatal(err)
			}
			st, err := statements(p, why.Reasons)
			if len(why.Reasons) == 0 || unsolved(s, sub.Name) || err != nil {
				continue // it has the newest, no solution, or no upgrade leads there
			}
			obstacles++
			newest := resolver.Reason{Text: why.Newest}
			st.gets(newest.Text, sub.Name)
			if st.agree(append(why.Reasons, newest)) {
				rt.Fatalf("the obstacles %v do not keep %s away\n%s", why.Reasons, why.Newest, describe(p, s))
			}
			for i, r := range why.Reasons {
				rest := slices.Delete(slices.Clone(why.Reasons), i, i+1)
				if !st.agree(append(rest, newest)) {
					rt.Fatalf("%q is to spare\n%s", r.Text, describe(p, s))
				}
			}
		}
	})
	if obstacles < 5 {
		t.Errorf("only %d subscriptions were kept from the newest version", obstacles)
	}
}

func unsolved(s resolver.Solution, subscription string) bool {
	return slices.ContainsFunc(s.Components, func(c resolver.Component) bool {
		return c.Unsolvable != nil && slices.Contains(c.Subscriptions, subscription)
	})
}

// withoutCause takes out of a problem what a reason tells; false if that is a
// rule, such as one provider per API.
func withoutCause(p resolver.Problem, r resolver.Reason) (resolver.Problem, bool) {
	kind, _ := truth(p, r)
	switch kind {
	case "wanted":
		return resolver.Apply(p, resolver.Change{Unsubscribe: r.Subscription}), true
	case "candidates", "refused", "start", "range", "no way", "unreadable":
		return wishFree(p, r.Subscription), true
	case "fixed":
		m := fixedText.FindStringSubmatch(r.Text)
		p = resolver.Apply(p, resolver.Change{Uninstall: m[1]})
		for _, name := range ownersOf(p, m[1]) {
			p = resolver.Apply(p, resolver.Change{Unsubscribe: name})
		}
		return p, true
	case "need":
		m := needText.FindStringSubmatch(r.Text)
		return strip(p, split(m[1]), func(x registry.Property) bool {
			requires := constraint.Read(&registry.Bundle{Properties: []registry.Property{x}}).Requires
			return slices.ContainsFunc(requires, func(q constraint.Predicate) bool { return states(q, m[2]) })
		}), true
	case "deprecated":
		return strip(p, bundlesIn(ruledOut(r.Text)), func(x registry.Property) bool { return x.Type == registry.PropertyDeprecated }), true
	case "kube":
		return resolver.Apply(p, resolver.Change{KubeVersion: "1.99.0"}), true
	case "taken":
		return resolver.Apply(p, resolver.Change{Release: &p.Cluster.Taken[0].API}), true
	default:
		return p, false
	}
}

// wishFree makes a subscription ask for something that everybody can have.
func wishFree(p resolver.Problem, subscription string) resolver.Problem {
	free := packageYAML{Channels: map[string][]string{"x": {"free.v1"}}}
	return resolver.Apply(p,
		resolver.Change{Catalog: &resolver.Catalog{Ref: refOf("free"), Packages: []resolver.Offer{free.offer("free")}}},
		resolver.Change{Subscribe: &resolver.Subscription{Name: subscription, Package: "free", Catalog: refOf("free")}})
}

// bundlesIn returns the names of bundles in identifiers.
func bundlesIn(ids string) (names []string) {
	for _, id := range split(ids) {
		names = append(names, id[strings.LastIndex(id, "/")+1:])
	}
	return names
}

// strip takes properties away from the bundles of these names.
func strip(p resolver.Problem, names []string, gone func(registry.Property) bool) resolver.Problem {
	clean := func(b *registry.Bundle) {
		if slices.Contains(names, b.Name) {
			b.Properties = slices.DeleteFunc(slices.Clone(b.Properties), gone)
		}
	}
	p = shuffled(p, rand.New(rand.NewPCG(1, 1))) // a copy
	for i := range p.Installed {
		clean(&p.Installed[i].Bundle)
	}
	for _, c := range p.Catalogs {
		for _, o := range c.Packages {
			for i := range o.Bundles {
				clean(&o.Bundles[i])
			}
		}
	}
	return p
}

// refusedOutright reports whether a component is one subscription without any
// candidate.
func refusedOutright(c resolver.Component) bool {
	return !slices.ContainsFunc(c.Unsolvable.Reasons, func(r resolver.Reason) bool { return candidatesText.MatchString(r.Text) })
}

// stated is reasons as statements about sets of bundles; a bundle is a bit.
type stated struct {
	oracle *oracle
	bits   map[*item]uint32
	holds  map[string]func(set uint32) bool // by text
	// existence says that the reasons tell which subscriptions exist.
	existence bool
}

func statements(p resolver.Problem, reasons []resolver.Reason) (*stated, error) {
	p.Installed = slices.DeleteFunc(slices.Clone(p.Installed), func(i resolver.Installed) bool { return givesWay(p, i) })
	s := &stated{oracle: newOracle(p), bits: map[*item]uint32{}, holds: map[string]func(uint32) bool{}}
	for _, r := range reasons {
		holds, err := s.statement(p, r)
		if err != nil {
			return nil, err
		}
		s.holds[r.Text] = holds
		s.existence = s.existence || wantedText.MatchString(r.Text)
	}
	return s, nil
}

// gets states that a subscription gets the bundle of that name.
func (s *stated) gets(bundle, subscription string) {
	var any uint32
	for _, w := range s.oracle.wants {
		for _, x := range w.candidates {
			if w.sub.Name == subscription && x.name == bundle && x.catalog >= 0 {
				any |= s.bit(x)
			}
		}
	}
	s.holds[bundle] = func(set uint32) bool { return set&any != 0 }
}

func (s *stated) bit(x *item) uint32 {
	if s.bits[x] == 0 {
		s.bits[x] = 1 << len(s.bits)
	}
	return s.bits[x]
}

func (s *stated) mask(items []*item) (mask uint32) {
	for _, x := range items {
		mask |= s.bit(x)
	}
	return mask
}

func (s *stated) statement(p resolver.Problem, r resolver.Reason) (func(set uint32) bool, error) {
	if wantedText.MatchString(r.Text) {
		return func(uint32) bool { return true }, nil // agree leaves the candidates out without it
	}
	if m := candidatesText.FindStringSubmatch(r.Text); m != nil {
		any := s.mask(s.named(m[2]))
		return func(set uint32) bool { return set&any != 0 }, nil
	}
	if m := replacesText.FindStringSubmatch(r.Text); m != nil {
		return s.replaces(m[1], m[2]), nil
	}
	if m := fixedText.FindStringSubmatch(r.Text); m != nil {
		b := s.bit(s.oracle.find(-1, m[1]))
		return func(set uint32) bool { return set&b != 0 }, nil
	}
	if m := packageText.FindStringSubmatch(r.Text); m != nil {
		return s.atMostOne(p, s.namedOr(m[1], func(f *constraint.Facts) bool { return slices.Contains(f.PackageNames(), m[2]) })), nil
	}
	if m := apiText.FindStringSubmatch(r.Text); m != nil {
		api := registry.GVK{Kind: m[2], Group: m[3], Version: m[4]}
		return s.atMostOne(p, s.namedOr(m[1], func(f *constraint.Facts) bool { return slices.Contains(f.APIs, api) })), nil
	}
	if m := needText.FindStringSubmatch(r.Text); m != nil {
		return s.needs(m[1], m[2]), nil
	}
	if ids := ruledOut(r.Text); ids != "" {
		bad := s.mask(s.named(ids))
		return func(set uint32) bool { return set&bad == 0 }, nil
	}
	return nil, fmt.Errorf("nobody knows what %q states", r.Text)
}

// named finds the bundles of identifiers.
func (s *stated) named(ids string) []*item {
	var found []*item
	for _, id := range split(ids) {
		parts := strings.Split(id, "/") // catalog, namespace, channel, bundle
		ref := resolver.CatalogRef{Namespace: parts[1], Name: parts[0]}
		catalog := slices.IndexFunc(s.oracle.p.Catalogs, func(c resolver.Catalog) bool { return c.Ref == ref })
		found = append(found, s.oracle.find(catalog, parts[3])) // -1: installed
	}
	return found
}

// namedOr finds the bundles of identifiers; if the list ends with how many more
// there are, all that it can mean.
func (s *stated) namedOr(ids string, meant func(*constraint.Facts) bool) []*item {
	if !strings.HasSuffix(ids, " more") {
		return s.named(ids)
	}
	return slices.DeleteFunc(slices.Clone(s.oracle.items), func(x *item) bool { return !meant(x.facts) })
}

// replaces lets what a subscription has be there only without another of its
// candidates.
func (s *stated) replaces(subscription, bundle string) func(uint32) bool {
	old := s.bit(s.oracle.find(-1, bundle))
	var next uint32
	for _, w := range s.oracle.wants {
		if w.sub.Name == subscription {
			next = s.mask(w.candidates) &^ old
		}
	}
	return func(set uint32) bool { return set&old == 0 || set&next == 0 }
}

// atMostOne lets installed bundles stay side by side, unless one is a failed
// upgrade of the other.
func (s *stated) atMostOne(p resolver.Problem, items []*item) func(uint32) bool {
	var pairs []uint32
	for i, x := range items {
		for _, y := range items[:i] {
			if x.catalog >= 0 || y.catalog >= 0 || blocked(p, x.name, y.name) || blocked(p, y.name, x.name) {
				pairs = append(pairs, s.bit(x)|s.bit(y))
			}
		}
	}
	return func(set uint32) bool {
		return !slices.ContainsFunc(pairs, func(pair uint32) bool { return set&pair == pair })
	}
}

// blocked reports whether an operator failed to replace another one.
func blocked(p resolver.Problem, name, old string) bool {
	return !p.FailForward && slices.ContainsFunc(p.Installed, func(i resolver.Installed) bool {
		return i.Bundle.Name == name && i.Replaces == old && i.Phase == resolver.PhaseFailed
	})
}

// needs lets bundles be there only with one that meets their requirement.
func (s *stated) needs(names, requirement string) func(uint32) bool {
	type need struct{ asker, options uint32 }
	var all []need
	for _, x := range s.oracle.items {
		if !slices.Contains(split(names), x.name) {
			continue
		}
		for _, r := range x.facts.Requires {
			if text := r.String(); x.must[text] && states(r, requirement) {
				all = append(all, need{s.bit(x), s.mask(x.options[text])})
			}
		}
	}
	return func(set uint32) bool {
		return !slices.ContainsFunc(all, func(n need) bool { return set&n.asker != 0 && set&n.options == 0 })
	}
}

// states reports whether a requirement is what a sentence says.
func states(r constraint.Predicate, text string) bool {
	if m := ownRange.FindStringSubmatch(text); m != nil {
		return r.Subject() == m[1]
	}
	return r.String() == text
}

// agree reports whether some set of bundles agrees with all the reasons.
func (s *stated) agree(reasons []resolver.Reason) bool {
	var holds []func(uint32) bool
	for _, r := range reasons {
		// What a subscription requires counts as long as it exists.
		if m := candidatesText.FindStringSubmatch(r.Text); m == nil || !s.existence || says(reasons, resolver.Reason{Text: "subscription " + m[1] + " exists"}) {
			holds = append(holds, s.holds[r.Text])
		}
	}
	for set := range uint32(1) << len(s.bits) {
		if !slices.ContainsFunc(holds, func(h func(uint32) bool) bool { return !h(set) }) {
			return true
		}
	}
	return false
}
