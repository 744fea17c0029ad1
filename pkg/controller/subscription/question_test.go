package subscription

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"

	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/resolver"
)

// ask reads the question of the namespace of a world.
func (w *world) ask() *Question {
	w.t.Helper()
	q, err := Read(w.t.Context(), Cluster{Reader: w.client, KubeVersion: "1.36.3", Inventory: w.inventory}, ns)
	if err != nil {
		w.t.Fatal(err)
	}
	return q
}

// sourcesOf is catalog main with some offers.
func (w *world) sourcesOf(offers ...offer) []resolver.Source {
	w.t.Helper()
	store, err := memory.New(w.t.Context(), items(offers))
	if err != nil {
		w.t.Fatal(err)
	}
	source := SourceOf(catalogSource("main"))
	source.Store = store
	return []resolver.Source{source}
}

// TestQuestionIsThatOfTheController asks before the controller does, in
// different situations, and wants the answer that the controller acts on.
func TestQuestionIsThatOfTheController(t *testing.T) {
	fast := offer{pkg: "etcd", name: "etcd.v9", channel: "fast", provides: "Etcd"}
	for name, tt := range map[string]struct {
		live   func(w *world)
		offers []offer
		want   []string // names of the bundles that get installed
	}{
		"a first install with a dependency": {
			live:   func(w *world) { w.make(subscription("backup")) },
			offers: []offer{v1, v2, backup}, want: []string{"backup.v1", "etcd.v2"},
		},
		"an upgrade": {
			live:   func(w *world) { w.serve(v1); w.make(subscription("etcd")); w.settle() },
			offers: []offer{v1, v2, v3}, want: []string{"etcd.v2"},
		},
		"a version that was deleted comes again, though a newer one is there": {
			live: func(w *world) {
				w.serve(v1)
				w.make(subscription("etcd", startingWith("etcd.v1")))
				w.settle()
				w.remove(w.csv("etcd.v1"))
			},
			offers: []offer{v1, v2}, want: []string{"etcd.v1"},
		},
		"one that was deleted and is not offered any more is the newest": {
			live: func(w *world) {
				w.serve(v1)
				w.make(subscription("etcd", startingWith("etcd.v1")))
				w.settle()
				w.remove(w.csv("etcd.v1"))
			},
			offers: []offer{v2, fast}, want: []string{"etcd.v2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, group("group"), catalogSource("main"))
			tt.live(w)
			p, err := w.ask().Problem(t.Context(), w.sourcesOf(tt.offers...))
			if err != nil {
				t.Fatal(err)
			}
			s, err := resolver.Resolve(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range s.Components {
				for _, x := range c.Selections {
					got = append(got, x.Bundle.Name)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			w.serve(tt.offers...)
			if err := w.reconcile(); err != nil {
				t.Fatal(err)
			}
			plans := w.plans()
			if diff := cmp.Diff(got, plans[len(plans)-1].Spec.ClusterServiceVersionNames, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
				t.Errorf("what the controller plans (-question +controller):\n%s", diff)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	sub := resolver.Subscription{Name: "etcd", Package: "etcd", Catalog: resolver.CatalogRef{Namespace: "olm", Name: "main"}, Channel: "stable", Installed: "etcd.v1"}
	fast, first := sub, resolver.Subscription{Name: "redis", Package: "redis", Catalog: sub.Catalog, Channel: "stable"}
	fast.Channel = "fast"
	for name, tt := range map[string]struct {
		then func(q *Question) *Question
		want []resolver.Change
	}{
		"nothing is different": {then: func(q *Question) *Question { return q }},
		"another channel": {
			then: func(q *Question) *Question {
				other := q.Subscriptions()[0].DeepCopy()
				other.Spec.Channel = "fast"
				return q.With(other)
			},
			want: []resolver.Change{{Subscribe: &fast}},
		},
		"a subscription more": {
			then: func(q *Question) *Question { return q.With(subscription("redis")) },
			want: []resolver.Change{{Subscribe: &first}},
		},
		"a subscription less, with what it installed": {
			then: func(q *Question) *Question { return q.Without("etcd") },
			want: []resolver.Change{{Unsubscribe: "etcd"}, {Uninstall: "etcd.v1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, group("group"), catalogSource("main"))
			w.serve(v1)
			w.make(subscription("etcd"))
			w.settle()
			q := w.ask()
			p, got, err := q.Compare(t.Context(), tt.then(q), w.sourcesOf(v1, redis))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Compare() (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]resolver.Subscription{sub}, p.Subscriptions); diff != "" {
				t.Errorf("the question became another (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuestionsThatAreRefused(t *testing.T) {
	own := func(g *operatorsv1.OperatorGroup) *operatorsv1.OperatorGroup {
		g.Annotations = map[string]string{excludeGlobal: "true"}
		return g
	}
	for name, tt := range map[string]struct {
		groups       []*operatorsv1.OperatorGroup
		want         string
		wantCatalogs []string
	}{
		"one group":                            {groups: []*operatorsv1.OperatorGroup{group("a")}, wantCatalogs: []string{ns, "olm"}},
		"one group that uses its own catalogs": {groups: []*operatorsv1.OperatorGroup{own(group("a"))}, wantCatalogs: []string{ns}},
		"no group": {
			want:         `namespace "db" has no OperatorGroup, so nothing is installed in it; create one that names the namespaces that operators here look after`,
			wantCatalogs: []string{ns, "olm"},
		},
		"two groups": {
			groups: []*operatorsv1.OperatorGroup{group("a"), group("b")}, wantCatalogs: []string{ns, "olm"},
			want: `namespace "db" has 2 OperatorGroups ("a", "b") and only one can count; delete the others`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, g := range tt.groups {
				w.make(g)
			}
			gone := subscription("gone", func(s *v1alpha1.Subscription) { s.Spec = nil })
			w.make(gone)
			q := w.ask()
			if diff := cmp.Diff(tt.want, q.Refusal()); diff != "" {
				t.Errorf("Refusal() (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantCatalogs, q.CatalogNamespaces("olm")); diff != "" {
				t.Errorf("CatalogNamespaces() (-want +got):\n%s", diff)
			}
			if n := len(q.Subscriptions()); n != 0 {
				t.Errorf("%d subscriptions count, want none: they ask for nothing", n)
			}
		})
	}
}
