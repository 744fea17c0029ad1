package subscription

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/subscription/inventory"
	"chandler.dev/olm/pkg/resolver"
)

// Question is what a namespace asks the resolver, read from a cluster at one
// moment and stated as the controller states it, for those who want to know the
// answer without waiting for it. The objects in it belong to it.
type Question struct {
	view    *view
	cluster Cluster
}

// Cluster is what a question depends on beside the objects of its namespace.
type Cluster struct {
	Reader      client.Reader
	KubeVersion string // such as "1.36.3"; may be empty
	Inventory   *inventory.Inventory
}

// Read reads what a namespace asks.
func Read(ctx context.Context, c Cluster, namespace string) (*Question, error) {
	reader, kubeVersion := c.Reader, c.KubeVersion
	v := &view{namespace: namespace, kubeVersion: kubeVersion}
	if err := v.readSubscriptions(ctx, reader); err != nil {
		return nil, err
	}
	if err := v.readOthers(ctx, reader); err != nil {
		return nil, err
	}
	slices.SortFunc(v.plans, comparePlans)
	return &Question{v, c}, nil
}

// Subscriptions are those that count, sorted by name.
func (q *Question) Subscriptions() []*v1alpha1.Subscription { return q.view.subscriptions }

// CatalogNamespaces are the namespaces whose catalogs the answer can use, when
// every namespace can use those of the global one.
func (q *Question) CatalogNamespaces(global string) []string { return q.view.catalogNamespaces(global) }

// Refusal is why nothing is resolved in the namespace at all, a sentence; empty
// if nothing prevents it.
func (q *Question) Refusal() string {
	if r := groupProblem(q.view); r != nil {
		return r.message
	}
	return ""
}

// Hold is why a bundle that the answer selects is not installed yet, a
// sentence; empty if nothing has to happen first.
func (q *Question) Hold(s resolver.Selection) string {
	switch next := gate(q.view, s); {
	case next.refusal != nil:
		return next.refusal.message
	case next.hold:
		return fmt.Sprintf("%s waits until %s is healthy", s.Bundle.Name, s.Replaces)
	}
	return ""
}

// SourceOf returns what the resolver knows about a catalog, without content.
func SourceOf(cs *v1alpha1.CatalogSource) resolver.Source {
	c := catalogOfSource(cs)
	return c.source()
}

// With returns the question with a Subscription added, or put in place of the
// one of that name.
func (q *Question) With(sub *v1alpha1.Subscription) *Question {
	v := *q.view
	v.subscriptions = append(exceptFor(v.subscriptions, sub.Name), sub)
	slices.SortFunc(v.subscriptions, compareSubscriptions)
	return &Question{&v, q.cluster}
}

// Without returns the question without a Subscription and without what it
// installed.
func (q *Question) Without(name string) *Question {
	v := *q.view
	installed := linksOf(q.view)[name].installed
	v.subscriptions = exceptFor(v.subscriptions, name)
	v.csvs = slices.DeleteFunc(slices.Clone(v.csvs), func(c *v1alpha1.ClusterServiceVersion) bool { return c.Name == installed })
	return &Question{&v, q.cluster}
}

func exceptFor(subs []*v1alpha1.Subscription, name string) []*v1alpha1.Subscription {
	return slices.DeleteFunc(slices.Clone(subs), func(s *v1alpha1.Subscription) bool { return s.Name == name })
}

// Problem states the question with what the catalogs offer.
func (q *Question) Problem(ctx context.Context, sources []resolver.Source) (resolver.Problem, error) {
	p, _, err := q.Compare(ctx, q, sources)
	return p, err
}

// Compare states the question and what is different in another one about the
// same namespace. What the catalogs offer is gathered for both.
func (q *Question) Compare(ctx context.Context, then *Question, sources []resolver.Source) (resolver.Problem, []resolver.Change, error) {
	offers, err := resolver.Gather(ctx, sources, q.joined(then))
	if err != nil {
		return resolver.Problem{}, nil, err
	}
	return q.difference(ctx, then, offers, offers.Catalogs)
}

// CompareCatalogs does what Compare does if the catalogs are others then, too.
func (q *Question) CompareCatalogs(ctx context.Context, then *Question, sources, replaced []resolver.Source) (resolver.Problem, []resolver.Change, error) {
	offers, err := resolver.Gather(ctx, sources, q.joined(then))
	if err != nil {
		return resolver.Problem{}, nil, err
	}
	others, err := resolver.Gather(ctx, replaced, q.joined(then))
	if err != nil {
		return resolver.Problem{}, nil, err
	}
	problem, changes, err := q.difference(ctx, then, offers, others.Catalogs)
	for i := range others.Catalogs {
		changes = append(changes, resolver.Change{Catalog: &others.Catalogs[i]})
	}
	return problem, changes, err
}

// joined states what two questions about the same namespace ask together.
func (q *Question) joined(then *Question) resolver.Problem {
	both := problemOf(q.view, linksOf(q.view))
	both.Subscriptions = append(both.Subscriptions, problemOf(then.view, linksOf(then.view)).Subscriptions...)
	return both
}

// difference states the question with what is offered, and what is different in
// another one with other offers, except for these.
func (q *Question) difference(ctx context.Context, then *Question, now resolver.Problem, others []resolver.Catalog) (resolver.Problem, []resolver.Change, error) {
	all := now
	all.Catalogs = slices.Concat(now.Catalogs, others)
	if err := q.view.surround(ctx, &all, footprintOf(all), q.cluster.Inventory, q.cluster.Reader); err != nil {
		return resolver.Problem{}, nil, err
	}
	offering := func(catalogs []resolver.Catalog) func(resolver.Problem) (resolver.Problem, error) {
		return func(p resolver.Problem) (resolver.Problem, error) {
			p.Catalogs, p.Cluster = catalogs, all.Cluster
			return p, nil
		}
	}
	before, err := ask(q.view, linksOf(q.view), offering(now.Catalogs))
	if err != nil {
		return resolver.Problem{}, nil, err
	}
	after, err := ask(then.view, linksOf(then.view), offering(others))
	return before, changesOf(before, after), err
}

// changesOf returns what leads from one problem to another with the same offers.
func changesOf(before, after resolver.Problem) (changes []resolver.Change) {
	for _, s := range before.Subscriptions {
		if !slices.ContainsFunc(after.Subscriptions, func(o resolver.Subscription) bool { return o.Name == s.Name }) {
			changes = append(changes, resolver.Change{Unsubscribe: s.Name})
		}
	}
	for _, i := range before.Installed {
		if !slices.ContainsFunc(after.Installed, func(o resolver.Installed) bool { return o.Bundle.Name == i.Bundle.Name }) {
			changes = append(changes, resolver.Change{Uninstall: i.Bundle.Name})
		}
	}
	for _, s := range after.Subscriptions {
		if !slices.Contains(before.Subscriptions, s) {
			changes = append(changes, resolver.Change{Subscribe: &s})
		}
	}
	for _, i := range after.Installed {
		if !slices.ContainsFunc(before.Installed, func(o resolver.Installed) bool { return reflect.DeepEqual(o, i) }) {
			changes = append(changes, resolver.Change{Install: &i})
		}
	}
	return changes
}
