package resolver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
)

var apiNames = []string{"A", "B", "C"}

// drawProblem draws a problem that is small enough to try all answers.
func drawProblem(t *rapid.T) resolver.Problem {
	p := resolver.Problem{Namespace: namespace}
	packages := []string{"p", "q", "r"}[:rapid.IntRange(1, 3).Draw(t, "packages")]
	for _, name := range []string{"main", "other/olm"}[:rapid.IntRange(1, 2).Draw(t, "catalogs")] {
		c := resolver.Catalog{Ref: refOf(name), Priority: rapid.IntRange(0, 1).Draw(t, "priority")}
		for _, pkg := range packages {
			if rapid.IntRange(0, 3).Draw(t, "lacks") > 0 {
				c.Packages = append(c.Packages, drawOffer(t, pkg, packages))
			}
		}
		p.Catalogs = append(p.Catalogs, c)
	}
	for _, pkg := range packages {
		drawWants(t, &p, pkg, packages)
	}
	if rapid.IntRange(0, 3).Draw(t, "cluster") == 0 {
		p.Cluster.APIs = []registry.GVK{gvkOf(rapid.SampledFrom(apiNames).Draw(t, "clusterAPI"))}
	}
	if rapid.IntRange(0, 5).Draw(t, "taken") == 0 {
		p.Cluster.Taken = []resolver.TakenAPI{{API: gvkOf(rapid.SampledFrom(apiNames).Draw(t, "takenAPI")), Owner: "somebody"}}
	}
	return p
}

// drawWide draws a problem with what the oracle does not know: starting
// points, version ranges, wrong names, failed upgrades and other limits.
func drawWide(t *rapid.T) resolver.Problem {
	p := drawProblem(t)
	for i := range p.Subscriptions {
		s := &p.Subscriptions[i]
		switch rapid.IntRange(0, 9).Draw(t, "wish") {
		case 0:
			s.StartingCSV = s.Package + ".v1"
		case 1:
			s.VersionRange = rapid.SampledFrom([]string{">=1.0.0", "<2.0.0", "2.0.0", "!1.0.0", "nonsense"}).Draw(t, "range")
		case 2:
			s.Channel = "yy"
		case 3:
			s.Package += "q"
		case 4:
			s.Catalog = refOf("nowhere")
		}
	}
	drawFailure(t, &p)
	drawKube(t, &p)
	return p
}

// drawFailure may let an upgrade have failed.
func drawFailure(t *rapid.T, p *resolver.Problem) {
	if len(p.Installed) == 0 || rapid.IntRange(0, 3).Draw(t, "failed") > 0 {
		return
	}
	last := &p.Installed[len(p.Installed)-1]
	last.Phase = resolver.PhaseFailed
	last.Replaces = "former"
	p.Installed = append(p.Installed, resolver.Installed{
		Bundle: drawBundle(t, []string{"p"}).bundle("", "former"), Phase: resolver.PhaseReplacing,
	})
	p.FailForward = rapid.Bool().Draw(t, "forward")
}

// drawKube may make the last bundle of every package too new for the cluster.
func drawKube(t *rapid.T, p *resolver.Problem) {
	if rapid.IntRange(0, 3).Draw(t, "kube") > 0 {
		return
	}
	p.Cluster.KubeVersion = "1.30.0"
	for _, c := range p.Catalogs {
		for _, o := range c.Packages {
			last := &o.Bundles[len(o.Bundles)-1]
			last.Properties = append(slices.Clone(last.Properties), registry.Property{Type: "olm.csv.metadata", Value: []byte(`{"minKubeVersion":"1.31.0"}`)})
		}
	}
}

// drawOffer draws a package with one or two channels of up to three versions.
func drawOffer(t *rapid.T, pkg string, packages []string) resolver.Offer {
	n := rapid.IntRange(1, 2).Draw(t, "versions")
	yaml := packageYAML{Default: "x", Channels: map[string][]string{}, Bundles: map[string]bundleYAML{}}
	for i := n; i > 0; i-- {
		line := fmt.Sprintf("%s.v%d", pkg, i)
		yaml.Bundles[line] = drawBundle(t, packages)
		if i > 1 {
			line += fmt.Sprintf(" -> %s.v%d", pkg, i-1)
			if rapid.IntRange(0, 4).Draw(t, "skip") == 0 {
				line += fmt.Sprintf(" skips %s.v%d", pkg, i-1)
			}
			if rapid.IntRange(0, 3).Draw(t, "range") == 0 {
				line += fmt.Sprintf(" range <%d.0.0", i)
			}
		}
		yaml.Channels["x"] = append(yaml.Channels["x"], line)
	}
	if rapid.IntRange(0, 3).Draw(t, "second") == 0 {
		yaml.Channels["y"] = []string{pkg + ".v1"}
	}
	return yaml.offer(pkg)
}

func drawBundle(t *rapid.T, packages []string) bundleYAML {
	var b bundleYAML
	for _, api := range apiNames {
		switch rapid.IntRange(0, 7).Draw(t, "api") {
		case 0, 1:
			b.Provides = append(b.Provides, api)
		case 2:
			b.Requires = append(b.Requires, api)
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "needs") == 0 {
		b.Requires = append(b.Requires, "package "+rapid.SampledFrom(packages).Draw(t, "needed")+" "+
			rapid.SampledFrom([]string{">=1.0.0", ">=2.0.0", "<2.0.0"}).Draw(t, "versions"))
	}
	b.Deprecated = rapid.IntRange(0, 9).Draw(t, "deprecated") == 0
	return b
}

// drawWants draws whether a package is installed and who wants it.
func drawWants(t *rapid.T, p *resolver.Problem, pkg string, packages []string) {
	kind := rapid.SampledFrom([]string{"nothing", "new", "new", "owned", "owned", "free", "two"}).Draw(t, "kind")
	sub := resolver.Subscription{Name: pkg, Package: pkg, Catalog: refOf("main")}
	switch rapid.IntRange(0, 5).Draw(t, "where") {
	case 0:
		sub.Catalog = resolver.CatalogRef{}
	case 1:
		sub.Channel = "x"
	}
	if kind == "owned" || kind == "free" {
		b := drawBundle(t, packages)
		b.Deprecated = false
		name := pkg + ".v1"
		installed := b.bundle(pkg, name)
		if kind == "free" {
			// Nobody knows its package, so that no subscription adopts it.
			installed = b.bundle("", name)
			installed.Name = "free-" + name
			installed.Version = "1.0.0"
		} else {
			sub.Installed = name
		}
		p.Installed = append(p.Installed, resolver.Installed{Bundle: installed})
	}
	if kind == "new" || kind == "owned" || kind == "two" {
		p.Subscriptions = append(p.Subscriptions, sub)
	}
	if kind == "two" {
		sub.Name, sub.Channel = pkg+"-two", "y"
		p.Subscriptions = append(p.Subscriptions, sub)
	}
}

// describe prints a problem and its answer for a failed check.
func describe(p resolver.Problem, s resolver.Solution) string {
	var b strings.Builder
	for _, c := range p.Catalogs {
		fmt.Fprintf(&b, "catalog %s priority %d\n", c.Ref, c.Priority)
		for _, o := range c.Packages {
			for _, ch := range o.Package.Channels {
				fmt.Fprintf(&b, "  %s/%s %v\n", o.Package.Name, ch.Name, ch.Entries)
			}
			for _, x := range o.Bundles {
				fmt.Fprintf(&b, "  %s %s\n", x.Name, properties(x))
			}
		}
	}
	for _, i := range p.Installed {
		fmt.Fprintf(&b, "installed %s %s\n", i.Bundle.Name, properties(i.Bundle))
	}
	for _, x := range p.Subscriptions {
		fmt.Fprintf(&b, "wanted %+v\n", x)
	}
	fmt.Fprintf(&b, "cluster %+v\n", p.Cluster)
	return b.String() + textOf(s)
}

func properties(b registry.Bundle) string {
	var parts []string
	for _, p := range b.Properties {
		parts = append(parts, p.Type+string(p.Value))
	}
	return strings.Join(parts, " ")
}

func resolve(t *rapid.T, p resolver.Problem) resolver.Solution {
	s, err := resolver.Resolve(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// refused reports whether a subscription has no candidates at all, which is
// decided before and apart from everything else.
func refused(s resolver.Solution, name string) bool {
	for _, c := range s.Components {
		if c.Unsolvable == nil || !slices.Contains(c.Subscriptions, name) {
			continue
		}
		for _, r := range c.Unsolvable.Reasons {
			if strings.HasPrefix(r.Text, "no operators found") {
				return true
			}
		}
	}
	return false
}

// withoutRefused leaves out the subscriptions that are refused; what they own
// stays like everything that nobody owns.
func withoutRefused(p resolver.Problem, s resolver.Solution) resolver.Problem {
	p.Subscriptions = slices.DeleteFunc(slices.Clone(p.Subscriptions), func(x resolver.Subscription) bool { return refused(s, x.Name) })
	return p
}

// TestAgreesWithBruteForce compares with an oracle that tries all answers.
func TestAgreesWithBruteForce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawProblem(rt)
		s := resolve(rt, p)
		o := newOracle(withoutRefused(p, s))
		if len(o.items) > 13 {
			return
		}
		want := o.prefer()
		unsolvable := slices.DeleteFunc(slices.Clone(s.Components), func(c resolver.Component) bool {
			return c.Unsolvable == nil || refused(s, c.Subscriptions[0])
		})
		if (want == nil) != (len(unsolvable) > 0) {
			rt.Fatalf("oracle: solvable %t\n%s", want != nil, describe(p, s))
		}
		if want != nil {
			if diff := gocmp.Diff(o.chosen(want), selected(p, s)); diff != "" {
				rt.Fatalf("preferred answer (-oracle +got):\n%s%s", diff, describe(p, s))
			}
			return
		}
		for _, c := range unsolvable {
			o.checkBlame(rt, p, s, c)
		}
	})
}

// checkBlame checks that the subscriptions of an unsolvable component cannot
// be served beside those that are.
func (o *oracle) checkBlame(t *rapid.T, p resolver.Problem, s resolver.Solution, blamed resolver.Component) {
	var wants []*wanted
	var standing []*item
	for _, w := range o.wants {
		i := slices.IndexFunc(s.Components, func(c resolver.Component) bool { return slices.Contains(c.Subscriptions, w.sub.Name) })
		if s.Components[i].Unsolvable == nil || slices.Contains(blamed.Subscriptions, w.sub.Name) {
			wants = append(wants, w)
		} else if w.current != nil {
			standing = append(standing, w.current)
		}
	}
	standing = slices.DeleteFunc(append(standing, o.standing...), func(x *item) bool {
		return slices.ContainsFunc(wants, func(w *wanted) bool { return w.current == x })
	})
	if o.possible(map[*item]bool{}, map[*item]bool{}, wants, standing) {
		t.Fatalf("%v could be served\n%s", blamed.Subscriptions, describe(p, s))
	}
}

func (o *oracle) chosen(set map[*item]bool) []string {
	names := []string{}
	for x := range set {
		if x.catalog >= 0 {
			names = append(names, o.p.Catalogs[x.catalog].Ref.String()+" "+x.name)
		}
	}
	slices.Sort(names)
	return names
}

func selected(_ resolver.Problem, s resolver.Solution) []string {
	names := []string{}
	for _, c := range s.Components {
		for _, x := range c.Selections {
			names = append(names, x.Catalog.String()+" "+x.Bundle.Name)
		}
	}
	slices.Sort(names)
	return names
}
