package resolver_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/constraint"
)

// TestEveryReasonIsTrue reads the sentences of explanations and looks whether
// the problem says the same.
func TestEveryReasonIsTrue(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		p := drawProblem(rt)
		s := resolve(rt, p)
		for _, c := range s.Components {
			if c.Unsolvable == nil {
				continue
			}
			texts := map[string]bool{}
			for _, r := range c.Unsolvable.Reasons {
				kind, ok := truth(p, r)
				seen[kind]++
				if !ok || texts[r.Text] {
					rt.Fatalf("%q is %s and true: %t, said before: %t\n%s", r.Text, kind, ok, texts[r.Text], describe(p, s))
				}
				texts[r.Text] = true
			}
		}
	})
	if len(seen) < 3 {
		t.Errorf("only explanations of kinds %v, that shows nothing", seen)
	}
}

var (
	wantedText     = regexp.MustCompile(`^subscription (\S+) exists$`)
	candidatesText = regexp.MustCompile(`^subscription (\S+) requires (?:at least one of )?(.*)$`)
	packageText    = regexp.MustCompile(`^(.*) originate from package (\S+)$`)
	apiText        = regexp.MustCompile(`^(.*) provide (\S+) \((\S+)/(\S+)\)$`)
	needText       = regexp.MustCompile(`^bundles? (.*) requires? an operator (.*)$`)
	deprecatedText = regexp.MustCompile(`^bundle (.*) (?:is|are) deprecated$`)
	takenText      = regexp.MustCompile(`^bundle (.*) (?:is|are) not allowed to bring (\S+) \((\S+)/(\S+)\), which somebody provides$`)
	fixedText      = regexp.MustCompile(`^clusterserviceversion (\S+) exists and (is not referenced by a subscription|subscription \S+ cannot change it now)$`)
	missingText    = regexp.MustCompile(`^no operators found in (?:channel (\S+) of )?package (\S+) in the catalog referenced by subscription (\S+)$`)
	emptyText      = regexp.MustCompile(`^no operators found from catalog (\S+) in namespace (\S+) referenced by subscription (\S+)$`)
)

// truth says of what kind a reason is and whether the problem says the same.
func truth(p resolver.Problem, r resolver.Reason) (string, bool) {
	if m := wantedText.FindStringSubmatch(r.Text); m != nil {
		return "wanted", subscriptionNamed(p, m[1]) != nil
	}
	if m := candidatesText.FindStringSubmatch(r.Text); m != nil {
		return "candidates", all(p, m[2], func(*constraint.Facts) bool { return true })
	}
	if m := packageText.FindStringSubmatch(r.Text); m != nil {
		return "package", all(p, m[1], func(f *constraint.Facts) bool { return slices.Contains(f.PackageNames(), m[2]) })
	}
	if m := apiText.FindStringSubmatch(r.Text); m != nil {
		api := registry.GVK{Kind: m[2], Group: m[3], Version: m[4]}
		return "API", all(p, m[1], func(f *constraint.Facts) bool { return slices.Contains(f.APIs, api) })
	}
	if m := deprecatedText.FindStringSubmatch(r.Text); m != nil {
		return "deprecated", all(p, m[1], func(f *constraint.Facts) bool { return f.Deprecated })
	}
	if m := takenText.FindStringSubmatch(r.Text); m != nil {
		api := registry.GVK{Kind: m[2], Group: m[3], Version: m[4]}
		return "taken", p.Cluster.Taken[0].API == api && all(p, m[1], func(f *constraint.Facts) bool { return slices.Contains(f.APIs, api) })
	}
	if m := needText.FindStringSubmatch(r.Text); m != nil {
		return "need", needed(p, m[1], m[2])
	}
	if m := fixedText.FindStringSubmatch(r.Text); m != nil {
		return "fixed", slices.ContainsFunc(p.Installed, func(i resolver.Installed) bool { return i.Bundle.Name == m[1] })
	}
	if m := missingText.FindStringSubmatch(r.Text); m != nil {
		s := subscriptionNamed(p, m[3])
		return "refused", s != nil && s.Package == m[2] && (m[1] == "" || m[1] == s.Channel) && !offersIt(p, *s, m[1])
	}
	if m := emptyText.FindStringSubmatch(r.Text); m != nil {
		i := slices.IndexFunc(p.Catalogs, func(c resolver.Catalog) bool { return c.Ref.Name == m[1] && c.Ref.Namespace == m[2] })
		return "refused", i < 0 || len(p.Catalogs[i].Packages) == 0
	}
	return "not known", false
}

func subscriptionNamed(p resolver.Problem, name string) *resolver.Subscription {
	for i := range p.Subscriptions {
		if p.Subscriptions[i].Name == name {
			return &p.Subscriptions[i]
		}
	}
	return nil
}

// offersIt reports whether the catalog of a subscription has its package, with
// that channel if one is named.
func offersIt(p resolver.Problem, s resolver.Subscription, channel string) bool {
	for _, c := range p.Catalogs {
		for _, o := range c.Packages {
			_, ok := o.Package.Channel(channel)
			if (s.Catalog == resolver.CatalogRef{} || s.Catalog == c.Ref) && o.Package.Name == s.Package && (ok || channel == "") {
				return true
			}
		}
	}
	return false
}

// all reports whether something holds for all bundles with these identifiers.
func all(p resolver.Problem, ids string, holds func(*constraint.Facts) bool) bool {
	for _, id := range split(ids) {
		f := factsOf(p, id)
		if f == nil || !holds(f) {
			return false
		}
	}
	return true
}

func split(list string) []string {
	list = strings.NewReplacer(" and ", ", ", " or ", ", ").Replace(list)
	return slices.DeleteFunc(strings.Split(list, ", "), func(s string) bool { return strings.HasSuffix(s, " more") })
}

// factsOf finds catalog/namespace/channel/bundle or @existing/namespace//bundle.
func factsOf(p resolver.Problem, id string) *constraint.Facts {
	parts := strings.Split(id, "/")
	if len(parts) != 4 {
		return nil
	}
	if parts[0] == "@existing" {
		for i := range p.Installed {
			if p.Installed[i].Bundle.Name == parts[3] {
				return constraint.Read(&p.Installed[i].Bundle)
			}
		}
		return nil
	}
	for _, c := range p.Catalogs {
		if c.Ref.Name != parts[0] || c.Ref.Namespace != parts[1] {
			continue
		}
		for _, o := range c.Packages {
			ch, _ := o.Package.Channel(parts[2])
			_, ok := ch.Entry(parts[3])
			i := slices.IndexFunc(o.Bundles, func(b registry.Bundle) bool { return b.Name == parts[3] })
			if ok && i >= 0 {
				return constraint.Read(&o.Bundles[i])
			}
		}
	}
	return nil
}

// needed reports whether bundles of these names state a requirement.
func needed(p resolver.Problem, names, requirement string) bool {
	requirement, _, ownRange := strings.Cut(requirement, " and with version in a range of its own")
	states := func(b registry.Bundle, name string) bool {
		return b.Name == name && slices.ContainsFunc(constraint.Read(&b).Requires, func(r constraint.Predicate) bool {
			return r.String() == requirement || ownRange && r.Subject() == requirement
		})
	}
	for _, name := range split(names) {
		found := slices.ContainsFunc(p.Installed, func(i resolver.Installed) bool { return states(i.Bundle, name) })
		for _, c := range p.Catalogs {
			for _, o := range c.Packages {
				found = found || slices.ContainsFunc(o.Bundles, func(b registry.Bundle) bool { return states(b, name) })
			}
		}
		if !found {
			return false
		}
	}
	return true
}
