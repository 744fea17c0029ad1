package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"

	"chandler.dev/olm/internal/testkit"
)

// TestPublishedDependencies installs operators that need others with one
// Subscription each, and lets all of them walk to the newest versions that go
// together.
func TestPublishedDependencies(t *testing.T) {
	bundles := testkit.Data(t, "bundles")
	s := startStack(t)
	s.catalogSource(t, "semver", serve(t, "--graph", "semver",
		bundleSubset(t, bundles, "kuadrant-operator", "authorino-operator", "limitador-operator", "dns-operator", "cert-manager")))
	s.catalogSource(t, "replaces", serve(t,
		bundleSubset(t, bundles, "rabbitmq-cluster-operator", "rabbitmq-messaging-topology-operator", "node-healthcheck-operator", "self-node-remediation")))
	for name, tt := range map[string]struct {
		wishes []wish
		want   []string            // names of all bundles in the end, sorted
		ran    map[string][]string // by package: each version that ran, in order
	}{
		"kuadrant": {
			// Its versions before 0.7.1 pin dependencies that are not published here.
			wishes: []wish{{pkg: "kuadrant-operator", channel: "stable", start: "kuadrant-operator.v0.7.1", catalog: "semver"}},
			want:   []string{"authorino-operator.v0.13.0", "cert-manager.v1.16.5", "dns-operator.v0.6.0", "kuadrant-operator.v0.11.1", "limitador-operator.v0.11.0"},
			// A version is exact about its dependencies, so they follow it in
			// step; 0.10.0 lets go of cert-manager, which then walks alone.
			ran: map[string][]string{
				"kuadrant-operator":  {"0.7.1", "0.7.2", "0.10.0", "0.11.0", "0.11.1"},
				"authorino-operator": {"0.11.1", "0.12.0", "0.13.0"},
				"limitador-operator": {"0.8.0", "0.10.0", "0.11.0"},
				"dns-operator":       {"0.2.0", "0.6.0"},
				"cert-manager":       {"1.14.2", "1.15.0", "1.15.2", "1.16.1", "1.16.5"},
			},
		},
		"rabbitmq": {
			wishes: []wish{{pkg: "rabbitmq-messaging-topology-operator", channel: "stable", start: "rabbitmq-messaging-topology-operator.v1.15.0", catalog: "replaces"}},
			want:   []string{"rabbitmq-cluster-operator.v2.22.3", "rabbitmq-messaging-topology-operator.v1.19.3"},
			ran: map[string][]string{
				"rabbitmq-messaging-topology-operator": {"1.15.0", "1.16.0", "1.17.4", "1.18.1", "1.18.2", "1.19.2", "1.19.3"},
				"rabbitmq-cluster-operator":            {"2.22.3"}, // any above 2.0.0 will do: the newest
			},
		},
		"node healthcheck": {
			wishes: []wish{
				{pkg: "node-healthcheck-operator", channel: "stable", start: "node-healthcheck-operator.v0.10.0", catalog: "replaces"},
				{pkg: "self-node-remediation", channel: "stable", start: "self-node-remediation.v0.12.0", catalog: "replaces"},
			},
			want: []string{"node-healthcheck-operator.v0.12.0", "self-node-remediation.v0.13.0"},
			// Both heads have a skipRange over what lies between.
			ran: map[string][]string{
				"node-healthcheck-operator": {"0.10.0", "0.12.0"},
				"self-node-remediation":     {"0.12.0", "0.13.0"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they watch all namespaces
			ns := s.Namespace(t, "needs")
			s.group(t, ns)
			succeeded := s.watchSuccess(t, ns)
			for _, w := range tt.wishes {
				w.ns = ns
				s.subscribe(t, w)
			}
			s.waitAll(t, ns, tt.want)
			testkit.Eventually(t, patience, func(context.Context) error { // the watch may lag behind
				if diff := cmp.Diff(tt.ran, succeeded()); diff != "" {
					return fmt.Errorf("versions that ran (-want +got):\n%s", diff)
				}
				return nil
			})
		})
	}
}

// watchSuccess notes from now on which bundles of a namespace succeed. It
// returns a function that says so: versions by package, in the order in which
// each succeeded first. Plans cannot tell, because old ones are deleted.
func (s *stack) watchSuccess(t testing.TB, ns string) func() map[string][]string {
	t.Helper()
	watcher, err := s.Client.Watch(t.Context(), &operatorsv1alpha1.ClusterServiceVersionList{}, inNamespace(ns))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watcher.Stop)
	var mu sync.Mutex
	versions := map[string][]string{}
	go func() {
		for event := range watcher.ResultChan() {
			csv, ok := event.Object.(*operatorsv1alpha1.ClusterServiceVersion)
			if !ok || csv.IsCopied() || csv.Status.Phase != operatorsv1alpha1.CSVPhaseSucceeded {
				continue
			}
			pkg, version, _ := strings.Cut(csv.Name, ".v")
			mu.Lock()
			if !slices.Contains(versions[pkg], version) {
				versions[pkg] = append(versions[pkg], version)
			}
			mu.Unlock()
		}
	}()
	return func() map[string][]string {
		mu.Lock()
		defer mu.Unlock()
		got := map[string][]string{}
		for pkg, list := range versions {
			got[pkg] = slices.Clone(list)
		}
		return got
	}
}

// waitAll waits until exactly these bundles are in a namespace, and run.
func (s *stack) waitAll(t testing.TB, ns string, want []string) {
	t.Helper()
	testkit.Eventually(t, 2*patience, func(ctx context.Context) error {
		var csvs operatorsv1alpha1.ClusterServiceVersionList
		if err := s.Client.List(ctx, &csvs, inNamespace(ns)); err != nil {
			return err
		}
		var got, unwell []string
		for i := range csvs.Items {
			c := &csvs.Items[i]
			if c.IsCopied() {
				continue
			}
			got = append(got, c.Name)
			if c.Status.Phase != operatorsv1alpha1.CSVPhaseSucceeded {
				unwell = append(unwell, fmt.Sprintf("%s %s/%s: %s %v", c.Name, c.Status.Phase, c.Status.Reason, c.Status.Message, unmet(c)))
			}
		}
		slices.Sort(got)
		if len(unwell) > 0 || !slices.Equal(got, want) {
			return fmt.Errorf("have %q, want %q; not well: %q; %s", got, want, unwell, s.subscriptions(ctx, ns))
		}
		return nil
	})
}

// subscriptions describes those of a namespace that are in trouble.
func (s *stack) subscriptions(ctx context.Context, ns string) (text string) {
	var subs operatorsv1alpha1.SubscriptionList
	if err := s.Client.List(ctx, &subs, inNamespace(ns)); err != nil {
		return err.Error()
	}
	for i := range subs.Items {
		sub := &subs.Items[i]
		text += fmt.Sprintf("\n%s: installed %q, current %q, state %q, changed %s ago, %s", sub.Name, sub.Status.InstalledCSV,
			sub.Status.CurrentCSV, sub.Status.State, time.Since(sub.Status.LastUpdated.Time).Round(time.Second), conditions(sub))
	}
	return text
}
