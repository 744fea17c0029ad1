package resolver_test

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/explain"
)

// TestRealJourneys subscribes to published operators with dependencies and
// carries out every answer until there is nothing to do.
func TestRealJourneys(t *testing.T) {
	root := os.Getenv("OLM_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, "bundles")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no published bundles; set OLM_TESTDATA to a directory with bundles/")
	}
	tests := map[string]struct {
		mode         bundle.Mode
		pkg, start   string
		want         []string
		with         []string // packages beside it
		why, wantWhy string
	}{
		"kuadrant takes its three dependencies along": {
			mode: bundle.SemVer, pkg: "kuadrant-operator", start: "kuadrant-operator.v0.10.0",
			want: []string{
				"authorino-operator.v0.12.0 dns-operator.v0.6.0 kuadrant-operator.v0.10.0 limitador-operator.v0.10.0",
				"authorino-operator.v0.13.0 kuadrant-operator.v0.11.0 limitador-operator.v0.11.0",
				"kuadrant-operator.v0.11.1",
			},
			why: "authorino-operator",
			wantWhy: `subscription authorino-operator has authorino-operator.v0.13.0 and not authorino-operator.v0.16.0
  because authorino-operator.v0.16.0 does not upgrade authorino-operator.v0.13.0 directly: the way is authorino-operator.v0.13.1, authorino-operator.v0.14.0, authorino-operator.v0.15.0, authorino-operator.v0.15.1 and then authorino-operator.v0.16.0
  because bundle kuadrant-operator.v0.11.1 requires an operator with package: authorino-operator and with version in range: 0.13.0
    there is @existing/ns//authorino-operator.v0.13.0 or main/ns/stable/authorino-operator.v0.13.0
  because main/ns/stable/authorino-operator.v0.13.1, @existing/ns//authorino-operator.v0.13.0 and main/ns/stable/authorino-operator.v0.13.0 originate from package authorino-operator
    there can be only one operator from package authorino-operator
  because subscription kuadrant-operator requires @existing/ns//kuadrant-operator.v0.11.1
`,
			with: []string{"authorino-operator", "dns-operator", "limitador-operator"},
		},
		"the messaging topology operator goes through its versions": {
			mode: bundle.Replaces, pkg: "rabbitmq-messaging-topology-operator", start: "rabbitmq-messaging-topology-operator.v1.15.0",
			with: []string{"rabbitmq-cluster-operator"},
			want: []string{
				"rabbitmq-cluster-operator.v2.22.3 rabbitmq-messaging-topology-operator.v1.15.0",
				"rabbitmq-messaging-topology-operator.v1.16.0",
				"rabbitmq-messaging-topology-operator.v1.17.4",
				"rabbitmq-messaging-topology-operator.v1.18.1",
				"rabbitmq-messaging-topology-operator.v1.18.2",
				"rabbitmq-messaging-topology-operator.v1.19.2",
				"rabbitmq-messaging-topology-operator.v1.19.3",
			},
		},
		"the node healthcheck operator goes as far as a range of versions reaches": {
			mode: bundle.SemVer, pkg: "node-healthcheck-operator", start: "node-healthcheck-operator.v0.10.0",
			with: []string{"self-node-remediation"},
			want: []string{"node-healthcheck-operator.v0.10.0", "node-healthcheck-operator.v0.12.0"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var trees trees
			for _, pkg := range append(tt.with, tt.pkg) {
				trees = append(trees, bundle.Dir(filepath.Join(dir, pkg), bundle.Options{Mode: tt.mode}))
			}
			s, err := memory.New(t.Context(), trees)
			if err != nil {
				t.Fatal(err)
			}
			j := &journey{t: t, sources: []resolver.Source{{Ref: refOf("main"), Store: s}}, p: resolver.Problem{
				Namespace: namespace, Cluster: resolver.Cluster{KubeVersion: "1.36.3"},
				Subscriptions: []resolver.Subscription{{Name: tt.pkg, Package: tt.pkg, Catalog: refOf("main"), StartingCSV: tt.start}},
			}}
			if diff := cmp.Diff(tt.want, j.steps()); diff != "" {
				t.Errorf("what was installed in each step (-want +got):\n%s", diff)
			}
			if tt.why == "" {
				return
			}
			why, err := resolver.WhyVersion(t.Context(), j.gathered(), tt.why)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.wantWhy, explain.Version(why)); diff != "" {
				t.Errorf("Version() (-want +got):\n%s", diff)
			}
		})
	}
}

// trees are several sources one after the other.
type trees []registry.Source

func (s trees) Items(ctx context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		for _, tree := range s {
			for item, err := range tree.Items(ctx) {
				if !yield(item, err) {
					return
				}
			}
		}
	}
}

// journey carries out answers as an install plan does: what nobody subscribed
// to gets a subscription of its own.
type journey struct {
	t       *testing.T
	sources []resolver.Source
	p       resolver.Problem
}

func (j *journey) gathered() resolver.Problem {
	j.t.Helper()
	p, err := resolver.Gather(j.t.Context(), j.sources, j.p)
	if err != nil {
		j.t.Fatal(err)
	}
	return p
}

// steps returns the names of the bundles that were installed together, step by
// step.
func (j *journey) steps() []string {
	j.t.Helper()
	var steps []string
	for range 100 {
		s, err := resolver.Resolve(j.t.Context(), j.gathered())
		if err != nil {
			j.t.Fatal(err)
		}
		var installed []string
		for _, c := range s.Components {
			if c.Unsolvable != nil {
				j.t.Fatal(explain.Text(*c.Unsolvable))
			}
			for _, x := range c.Selections {
				j.install(x)
				installed = append(installed, x.Bundle.Name)
			}
		}
		if len(installed) == 0 {
			return steps
		}
		steps = append(steps, strings.Join(installed, " "))
	}
	j.t.Fatal("there is always something to do")
	return nil
}

func (j *journey) install(x resolver.Selection) {
	if len(x.Subscriptions) == 0 {
		j.p.Subscriptions = append(j.p.Subscriptions, resolver.Subscription{
			Name: x.Bundle.Package, Package: x.Bundle.Package, Channel: x.Channel, Catalog: x.Catalog, Installed: x.Bundle.Name,
		})
	}
	for i := range j.p.Subscriptions {
		sub := &j.p.Subscriptions[i]
		if slices.Contains(x.Subscriptions, sub.Name) {
			old := sub.Installed
			j.p.Installed = slices.DeleteFunc(j.p.Installed, func(y resolver.Installed) bool { return y.Bundle.Name == old })
			sub.Installed = x.Bundle.Name
		}
	}
	j.p.Installed = append(j.p.Installed, resolver.Installed{Bundle: x.Bundle, Replaces: x.Replaces})
}
