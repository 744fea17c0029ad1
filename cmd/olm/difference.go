package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/controller/subscription"
	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/explain"
)

// difference is what `olm plan` says: what hypothetical changes would change,
// or, without any, what is about to change.
type difference struct {
	Namespace   string    `json:"namespace"`
	Changes     []string  `json:"changes,omitempty"`
	Unreachable []string  `json:"unreachableCatalogs,omitempty"` // from where the command runs
	Refusal     string    `json:"refusal,omitempty"`             // why nothing is resolved in the namespace at all
	Outcomes    []outcome `json:"outcomes"`
	Unchanged   []outcome `json:"unchanged,omitempty"` // with another catalog: the subscriptions that it changes nothing for
}

// outcome is what becomes of a subscription, or of a package that nobody
// subscribed to.
type outcome struct {
	Package      string   `json:"package"`
	Subscription string   `json:"subscription,omitempty"`
	Channel      string   `json:"channel,omitempty"` // of a subscription for which nothing changes; empty: any
	Now          string   `json:"now,omitempty"`     // name of the bundle; empty: none
	Then         string   `json:"then,omitempty"`    // name of the bundle; empty: none
	RequiredBy   []string `json:"requiredBy,omitempty"`
	Held         string   `json:"held,omitempty"` // why it does not happen yet
	Path         []string `json:"path,omitempty"` // names of the bundles after Then, on the way to the newest
	// Blocked says that there is no solution, and Freed that there was none.
	Blocked bool     `json:"blocked,omitempty"`
	Before  bool     `json:"blockedBefore,omitempty"` // without the changes there is none either
	Freed   bool     `json:"freed,omitempty"`
	Message string   `json:"message,omitempty"` // why there is no solution
	Reasons []reason `json:"reasons,omitempty"`
	Cures   []string `json:"cures,omitempty"` // tried changes that give it a solution

	outcome resolver.Outcome
}

func outcomeOf(o resolver.Outcome) outcome {
	x := outcome{
		Package: o.Package, Subscription: o.Subscription, Now: o.Now, Then: o.Then, RequiredBy: o.RequiredBy,
		Blocked: o.Blocked != nil, Freed: o.Freed != nil, outcome: o,
	}
	if o.Blocked != nil {
		x.Message, x.Reasons, x.Cures = explain.Condition(*o.Blocked), reasonsOf(o.Blocked.Reasons), curesOf(*o.Blocked)
	}
	return x
}

// compare fills in what changes do to the answer, and who has no solution
// either way; then is the problem after the changes.
func (d *difference) compare(p resolver.Preview, then resolver.Problem) {
	for _, o := range p.Outcomes {
		d.Outcomes = append(d.Outcomes, outcomeOf(o))
	}
	told := len(d.Outcomes)
	d.unsolved(p.Then, then, "")
	for i := range d.Outcomes[told:] {
		d.Outcomes[told+i].Before = true
	}
	for i := range d.Outcomes {
		d.Outcomes[i].Path = pathTo(p.Then, d.Outcomes[i].Then)
	}
}

// pending fills in what the answer changes in the cluster; pkg is the package
// that is asked about, or empty.
func (d *difference) pending(q *subscription.Question, s resolver.Solution, p resolver.Problem, pkg string) {
	packages := map[string]string{}
	for _, x := range p.Subscriptions {
		packages[x.Name] = x.Package
	}
	for _, c := range s.Components {
		if pkg != "" && !slices.ContainsFunc(c.Subscriptions, func(name string) bool { return packages[name] == pkg }) {
			continue
		}
		for _, sel := range c.Selections {
			o := resolver.Outcome{Package: sel.Bundle.Package, Then: sel.Bundle.Name, RequiredBy: sel.RequiredBy}
			if slices.ContainsFunc(p.Installed, func(i resolver.Installed) bool { return i.Bundle.Name == sel.Replaces }) {
				o.Now = sel.Replaces
			}
			if len(sel.Subscriptions) > 0 {
				o.Subscription = strings.Join(sel.Subscriptions, ", ")
			}
			x := outcomeOf(o)
			x.Path, x.Held = pathTo(s, o.Then), q.Hold(sel)
			d.Outcomes = append(d.Outcomes, x)
		}
	}
	d.unsolved(s, p, pkg)
}

// unsolved adds the subscriptions without a solution that are not told yet.
func (d *difference) unsolved(s resolver.Solution, p resolver.Problem, pkg string) {
	failed := unsolvables(s)
	for _, x := range p.Subscriptions {
		told := slices.ContainsFunc(d.Outcomes, func(o outcome) bool { return o.Subscription == x.Name && o.Blocked })
		if u := failed[x.Name]; u != nil && !told && (pkg == "" || x.Package == pkg) {
			d.Outcomes = append(d.Outcomes, outcomeOf(resolver.Outcome{Subscription: x.Name, Package: x.Package, Now: x.Installed, Then: x.Installed, Blocked: u}))
		}
	}
}

// stay adds the subscriptions that are not told yet, because changes do nothing
// to them; s is the answer to the problem after the changes.
func (d *difference) stay(s resolver.Solution, p resolver.Problem) {
	for _, x := range p.Subscriptions {
		if slices.ContainsFunc(d.Outcomes, func(o outcome) bool { return o.Subscription == x.Name }) {
			continue
		}
		bundle := x.Installed
		for _, c := range s.Components {
			for _, sel := range c.Selections {
				if slices.Contains(sel.Subscriptions, x.Name) {
					bundle = sel.Bundle.Name
				}
			}
		}
		d.Unchanged = append(d.Unchanged, outcome{Package: x.Package, Subscription: x.Name, Channel: x.Channel, Now: bundle, Then: bundle, Path: pathTo(s, bundle)})
	}
}

// pathTo returns the names of the bundles that follow a selected one.
func pathTo(s resolver.Solution, bundle string) []string {
	for _, c := range s.Components {
		for _, sel := range c.Selections {
			if sel.Bundle.Name == bundle && len(sel.Path) > 1 {
				return sel.Path[1:]
			}
		}
	}
	return nil
}

func (d *difference) print(out io.Writer) error {
	var text strings.Builder
	for _, o := range d.Outcomes {
		text.WriteString(o.text())
	}
	if len(d.Outcomes) == 0 {
		text.WriteString(explain.Preview(resolver.Preview{}))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func (o outcome) text() string {
	if u := o.outcome.Blocked; u != nil {
		return fmt.Sprintf("! subscription %s (package %s) has no solution\n", o.Subscription, o.Package) + indent(explain.Text(*u))
	}
	mark := "~ "
	switch {
	case o.Now == "":
		mark = "+ "
	case o.Then == "":
		mark = "- "
	}
	text := mark + explain.Preview(resolver.Preview{Outcomes: []resolver.Outcome{o.outcome}})
	if o.Held != "" {
		text += "    not yet: " + o.Held + "\n"
	}
	if len(o.Path) > 0 {
		text += "    and then " + strings.Join(o.Path, ", ") + "\n"
	}
	return text
}
