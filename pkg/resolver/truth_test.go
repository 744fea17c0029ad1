package resolver_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/blang/semver/v4"
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
		p := drawWide(rt)
		if rapid.Bool().Draw(rt, "tight") {
			p = drawTight(rt)
		}
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
				if m := fixedText.FindStringSubmatch(r.Text); m != nil && m[2] != "" && !unsolved(s, m[2]) {
					rt.Fatalf("%q, but it is served\n%s", r.Text, describe(p, s))
				}
				if why := detailsAreTrue(p, r); why != "" {
					rt.Fatalf("%q: %s\n%s", r.Text, why, describe(p, s))
				}
			}
		}
	})
	for _, kind := range []string{"wanted", "candidates", "API", "need", "refused"} {
		if seen[kind] == 0 {
			t.Errorf("no explanation has a reason of kind %s, only %v", kind, seen)
		}
	}
}

var (
	wantedText     = regexp.MustCompile(`^subscription (\S+) exists$`)
	candidatesText = regexp.MustCompile(`^subscription (\S+) requires (?:at least one of )?(.*)$`)
	replacesText   = regexp.MustCompile(`^an upgrade of subscription (\S+) replaces (\S+)$`)
	packageText    = regexp.MustCompile(`^(.*) originate from package (\S+)$`)
	apiText        = regexp.MustCompile(`^(.*) provide (\S+) \((\S+)/(\S+)\)$`)
	needText       = regexp.MustCompile(`^bundles? (.*) requires? an operator (.*)$`)
	deprecatedText = regexp.MustCompile(`^bundle (.*) (?:is|are) deprecated$`)
	takenText      = regexp.MustCompile(`^bundle (.*) (?:is|are) not allowed to bring (\S+) \((\S+)/(\S+)\), which somebody provides$`)
	kubeText       = regexp.MustCompile(`^bundle (.*) (?:is|are) made for Kubernetes (\S+) or newer and the cluster has (\S+)$`)
	fixedText      = regexp.MustCompile(`^clusterserviceversion (\S+) exists and (?:is not referenced by a subscription|subscription (\S+) cannot change it now)$`)
	missingText    = regexp.MustCompile(`^no operators found in (?:channel (\S+) of )?package (\S+) in the catalog referenced by subscription (\S+)$`)
	emptyText      = regexp.MustCompile(`^no operators found from catalog (\S+) in namespace (\S+) referenced by subscription (\S+)$`)
	startText      = regexp.MustCompile(`^no operators found with name (\S+) in (?:channel (\S+) of )?package (\S+)? ?in the catalog referenced by subscription (\S+)$`)
	rangeText      = regexp.MustCompile(`^no operators found in version range "(.*)" in (?:channel (\S+) of )?package (\S+) in the catalog referenced by subscription (\S+)$`)
	noWayText      = regexp.MustCompile(`^no upgrade leads from (\S+) into version range "(.*)" of subscription (\S+) in package (\S+)$`)
	unreadableText = regexp.MustCompile(`^version range "(.*)" of subscription (\S+) cannot be read: .*$`)
	ownRange       = regexp.MustCompile(`^(.*) and with version in a range of its own$`)
)

// sentences are what a reason can say, and whether the problem says the same;
// m are the parts of the sentence.
var sentences = []struct {
	kind string
	form *regexp.Regexp
	says func(p resolver.Problem, m []string) bool
}{
	{"wanted", wantedText, func(p resolver.Problem, m []string) bool { return subscriptionNamed(p, m[1]) != nil }},
	{"candidates", candidatesText, func(p resolver.Problem, m []string) bool {
		s := subscriptionNamed(p, m[1])
		own := "@existing/" + p.Namespace + "//" + s.Installed // whatever package that says it is of
		return all(p, m[2], func(*constraint.Facts) bool { return true }) && !slices.ContainsFunc(split(m[2]), func(id string) bool {
			return id != own && !slices.Contains(factsOf(p, id).PackageNames(), s.Package)
		})
	}},
	{"replaces", replacesText, func(p resolver.Problem, m []string) bool { return subscriptionNamed(p, m[1]).Installed == m[2] }},
	{"package", packageText, func(p resolver.Problem, m []string) bool {
		return all(p, m[1], func(f *constraint.Facts) bool { return slices.Contains(f.PackageNames(), m[2]) })
	}},
	{"API", apiText, func(p resolver.Problem, m []string) bool {
		api := registry.GVK{Kind: m[2], Group: m[3], Version: m[4]}
		return all(p, m[1], func(f *constraint.Facts) bool { return slices.Contains(f.APIs, api) })
	}},
	{"deprecated", deprecatedText, func(p resolver.Problem, m []string) bool {
		return all(p, m[1], func(f *constraint.Facts) bool { return f.Deprecated })
	}},
	{"taken", takenText, func(p resolver.Problem, m []string) bool {
		api := registry.GVK{Kind: m[2], Group: m[3], Version: m[4]}
		return p.Cluster.Taken[0].API == api && all(p, m[1], func(f *constraint.Facts) bool { return slices.Contains(f.APIs, api) })
	}},
	{"kube", kubeText, func(p resolver.Problem, m []string) bool {
		return p.Cluster.KubeVersion == m[3] && m[2] > m[3] && all(p, m[1], func(f *constraint.Facts) bool { return f.MinKube == m[2] })
	}},
	{"need", needText, func(p resolver.Problem, m []string) bool { return needed(p, m[1], m[2]) }},
	{"fixed", fixedText, func(p resolver.Problem, m []string) bool {
		exists := slices.ContainsFunc(p.Installed, func(i resolver.Installed) bool { return i.Bundle.Name == m[1] })
		owners := ownersOf(p, m[1])
		return exists && (m[2] == "" && len(owners) == 0 || slices.Contains(owners, m[2]))
	}},
	{"refused", emptyText, func(p resolver.Problem, m []string) bool {
		i := slices.IndexFunc(p.Catalogs, func(c resolver.Catalog) bool { return c.Ref.Name == m[1] && c.Ref.Namespace == m[2] })
		return i < 0 || len(p.Catalogs[i].Packages) == 0
	}},
	{"refused", missingText, func(p resolver.Problem, m []string) bool {
		s := subscriptionNamed(p, m[3])
		return s != nil && s.Package == m[2] && (m[1] == "" || m[1] == s.Channel) && len(subscribed(p, *s, m[1])) == 0
	}},
	{"start", startText, func(p resolver.Problem, m []string) bool {
		s := subscriptionNamed(p, m[4])
		return s != nil && s.Package == m[3] && s.StartingCSV == m[1] && s.Installed == "" &&
			!slices.ContainsFunc(subscribed(p, *s, m[2]), func(b registry.Bundle) bool { return b.Name == m[1] })
	}},
	{"range", rangeText, func(p resolver.Problem, m []string) bool {
		s := subscriptionNamed(p, m[4])
		return s != nil && s.Package == m[3] && s.VersionRange == m[1] && s.Installed == "" &&
			!slices.ContainsFunc(subscribed(p, *s, m[2]), func(b registry.Bundle) bool { return inside(m[1], b.Version) })
	}},
	{"no way", noWayText, func(p resolver.Problem, m []string) bool {
		s := subscriptionNamed(p, m[3])
		i := slices.IndexFunc(p.Installed, func(i resolver.Installed) bool { return i.Bundle.Name == m[1] })
		return s != nil && s.Package == m[4] && s.VersionRange == m[2] && s.Installed == m[1] && !inside(m[2], p.Installed[i].Bundle.Version) &&
			!slices.ContainsFunc(reachable(p, *s), func(b registry.Bundle) bool { return inside(m[2], b.Version) })
	}},
	{"unreadable", unreadableText, func(p resolver.Problem, m []string) bool {
		_, err := semver.ParseRange(m[1])
		return subscriptionNamed(p, m[2]).VersionRange == m[1] && err != nil
	}},
}

// truth says of what kind a reason is and whether the problem says the same.
func truth(p resolver.Problem, r resolver.Reason) (string, bool) {
	for _, s := range sentences {
		if m := s.form.FindStringSubmatch(r.Text); m != nil {
			return s.kind, s.says(p, m)
		}
	}
	return "not known", false
}

// detailsAreTrue looks at who meets a requirement; it returns what is wrong.
func detailsAreTrue(p resolver.Problem, r resolver.Reason) string {
	m := needText.FindStringSubmatch(r.Text)
	if m == nil {
		return ""
	}
	var meant []constraint.Predicate
	for _, b := range bundlesOf(p) {
		if slices.Contains(split(m[1]), b.Name) {
			meant = append(meant, slices.DeleteFunc(slices.Clone(constraint.Read(&b).Requires), func(q constraint.Predicate) bool { return !states(q, m[2]) })...)
		}
	}
	meets := func(f *constraint.Facts) bool {
		return slices.ContainsFunc(meant, func(q constraint.Predicate) bool { return q.Match(f) })
	}
	for _, d := range r.Details {
		if ids, ok := strings.CutPrefix(d, "there is "); ok && !all(p, ids, meets) {
			return d
		}
		if d == "no catalog offers one" && slices.ContainsFunc(newOracle(p).items, func(x *item) bool { return reachableIn(p, x) && meets(x.facts) }) {
			return d
		}
	}
	if len(r.Details) == 0 {
		return "nothing is said about who meets it"
	}
	return ""
}

// reachableIn reports whether a bundle is installed for good, or a channel
// leads to it.
func reachableIn(p resolver.Problem, x *item) bool {
	if x.catalog < 0 {
		return !slices.ContainsFunc(p.Installed, func(i resolver.Installed) bool { return i.Bundle.Name == x.name && givesWay(p, i) })
	}
	for _, o := range newOracle(p).p.Catalogs[x.catalog].Packages {
		for _, ch := range o.Package.Channels {
			if slices.Contains(order(ch), x.name) {
				return true
			}
		}
	}
	return false
}

// bundlesOf returns all bundles of a problem.
func bundlesOf(p resolver.Problem) (all []registry.Bundle) {
	for _, i := range p.Installed {
		all = append(all, i.Bundle)
	}
	for _, c := range p.Catalogs {
		for _, o := range c.Packages {
			all = append(all, o.Bundles...)
		}
	}
	return all
}

// ruledOut returns the identifiers in a sentence about bundles that must not be
// installed; empty if it is another one.
func ruledOut(text string) string {
	for _, form := range []*regexp.Regexp{deprecatedText, takenText, kubeText} {
		if m := form.FindStringSubmatch(text); m != nil {
			return m[1]
		}
	}
	return ""
}

func ownersOf(p resolver.Problem, bundle string) (names []string) {
	for _, s := range p.Subscriptions {
		if s.Installed == bundle {
			names = append(names, s.Name)
		}
	}
	return names
}

func inside(versions, version string) bool {
	r, err := semver.ParseRange(versions)
	v, bad := semver.ParseTolerant(version)
	return err == nil && bad == nil && r(v)
}

// reachable returns what upgrades lead to from what a subscription has.
func reachable(p resolver.Problem, s resolver.Subscription) (found []registry.Bundle) {
	all := subscribed(p, s, s.Channel)
	at := slices.IndexFunc(p.Installed, func(i resolver.Installed) bool { return i.Bundle.Name == s.Installed })
	todo := []registry.Bundle{p.Installed[at].Bundle}
	for len(todo) > 0 {
		from := todo[0]
		todo = todo[1:]
		for _, c := range p.Catalogs {
			for _, o := range c.Packages {
				for _, ch := range o.Package.Channels {
					for _, b := range all {
						e, ok := ch.Entry(b.Name)
						if s.Catalog != (resolver.CatalogRef{}) && s.Catalog != c.Ref || s.Channel != "" && s.Channel != ch.Name || !ok {
							continue
						}
						now := []resolver.Installed{{Bundle: from}}
						if leads(now, from.Name, e, ch) && !slices.ContainsFunc(found, func(x registry.Bundle) bool { return x.Name == b.Name }) {
							found, todo = append(found, b), append(todo, b)
						}
					}
				}
			}
		}
	}
	return found
}

func subscriptionNamed(p resolver.Problem, name string) *resolver.Subscription {
	for i := range p.Subscriptions {
		if p.Subscriptions[i].Name == name {
			return &p.Subscriptions[i]
		}
	}
	return nil
}

// subscribed returns the bundles that the catalog of a subscription has in its
// package, in that channel if one is named.
func subscribed(p resolver.Problem, s resolver.Subscription, channel string) (found []registry.Bundle) {
	for _, c := range p.Catalogs {
		for _, o := range c.Packages {
			if s.Catalog != (resolver.CatalogRef{}) && s.Catalog != c.Ref || o.Package.Name != s.Package {
				continue
			}
			for _, ch := range o.Package.Channels {
				for _, b := range o.Bundles {
					if _, ok := ch.Entry(b.Name); ok && (channel == "" || channel == ch.Name) {
						found = append(found, b)
					}
				}
			}
		}
	}
	return found
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
	for _, name := range split(names) {
		if !slices.ContainsFunc(bundlesOf(p), func(b registry.Bundle) bool {
			return b.Name == name && slices.ContainsFunc(constraint.Read(&b).Requires, func(r constraint.Predicate) bool { return states(r, requirement) })
		}) {
			return false
		}
	}
	return true
}
