package main

import (
	"context"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/explain"
)

// whyAnswer is what `olm why` says about a package in a namespace.
type whyAnswer struct {
	Namespace     string            `json:"namespace"`
	Package       string            `json:"package"`
	Refusal       string            `json:"refusal,omitempty"`             // why nothing is resolved in the namespace at all
	Unreachable   []string          `json:"unreachableCatalogs,omitempty"` // from where the command runs
	Subscriptions []whySubscription `json:"subscriptions"`                 // to the package
	Bundles       []whyBundle       `json:"bundles"`                       // of the package, that are there or get there
}

// whySubscription is why a subscription has its version.
type whySubscription struct {
	Name    string   `json:"name"`
	Solved  bool     `json:"solved"`
	Bundle  string   `json:"bundle,omitempty"`  // name of what it gets or keeps
	Newest  string   `json:"newest,omitempty"`  // name of the head of its channel
	Path    []string `json:"path,omitempty"`    // names of the bundles from Bundle to Newest
	Reasons []reason `json:"reasons,omitempty"` // why it has no solution, or not the newest
	Message string   `json:"message,omitempty"` // of the condition that says so
	Cures   []string `json:"cures,omitempty"`   // tried changes that give it a solution
	Status  string   `json:"status,omitempty"`  // as in `olm status`

	rationale  resolver.Rationale
	unsolvable *resolver.Unsolvable
	row        row
}

// whyBundle is why a bundle is here.
type whyBundle struct {
	Bundle        string   `json:"bundle"`
	Subscriptions []string `json:"subscriptions,omitempty"`
	RequiredBy    []string `json:"requiredBy,omitempty"`
	Chain         []string `json:"chain,omitempty"` // from who needs it to who is subscribed to
}

type reason struct {
	Text    string   `json:"text"`
	Cure    string   `json:"cure,omitempty"`
	Details []string `json:"details,omitempty"`
}

// resolve fills in what the resolver says.
func (a *whyAnswer) resolve(ctx context.Context, p resolver.Problem) error {
	solution, err := resolver.Resolve(ctx, p)
	if err != nil {
		return err
	}
	failed := unsolvables(solution)
	for _, s := range p.Subscriptions {
		if s.Package != a.Package {
			continue
		}
		why, err := resolver.WhyVersion(ctx, p, s.Name)
		if err != nil {
			return err
		}
		a.Subscriptions = append(a.Subscriptions, whyOf(why, failed[s.Name]))
	}
	here, err := resolver.WhyHere(ctx, p)
	if err != nil {
		return err
	}
	of := packagesOf(p, solution)
	for _, b := range here {
		if of[b.Bundle] == a.Package {
			a.Bundles = append(a.Bundles, whyBundle(b))
		}
	}
	return nil
}

func whyOf(why resolver.Rationale, u *resolver.Unsolvable) whySubscription {
	s := whySubscription{
		Name: why.Subscription, Solved: u == nil, Bundle: why.Bundle, Newest: why.Newest, Path: why.Path,
		Reasons: reasonsOf(why.Reasons), rationale: why, unsolvable: u,
	}
	if u != nil {
		s.Message, s.Reasons, s.Cures = explain.Condition(*u), reasonsOf(u.Reasons), curesOf(*u)
	}
	return s
}

// unsolvables returns why subscriptions have no solution, by their name.
func unsolvables(s resolver.Solution) map[string]*resolver.Unsolvable {
	all := map[string]*resolver.Unsolvable{}
	for _, c := range s.Components {
		for _, name := range c.Subscriptions {
			if c.Unsolvable != nil {
				all[name] = c.Unsolvable
			}
		}
	}
	return all
}

// packagesOf returns the packages of the bundles that are there or get there.
func packagesOf(p resolver.Problem, s resolver.Solution) map[string]string {
	of := map[string]string{}
	for _, i := range p.Installed {
		of[i.Bundle.Name] = i.Bundle.Package
	}
	for _, c := range s.Components {
		for _, x := range c.Selections {
			of[x.Bundle.Name] = x.Bundle.Package
		}
	}
	for _, x := range p.Subscriptions {
		if x.Installed != "" && of[x.Installed] == "" {
			of[x.Installed] = x.Package
		}
	}
	return of
}

func reasonsOf(list []resolver.Reason) (all []reason) {
	for _, r := range list {
		all = append(all, reason{r.Text, r.Cure, r.Details})
	}
	return all
}

func curesOf(u resolver.Unsolvable) (texts []string) {
	for _, c := range u.Cures {
		if !slices.Contains(texts, c.Text) {
			texts = append(texts, c.Text)
		}
	}
	return texts
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}
