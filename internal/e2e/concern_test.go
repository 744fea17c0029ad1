package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"

	"chandler.dev/olm/internal/testkit"
)

// TestConditionsOfOneConcern has three Subscriptions side by side, one with a
// mistake and one to what its publisher deprecates: each says only what
// concerns itself, before and after the mistake is corrected.
func TestConditionsOfOneConcern(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	s.catalogSource(t, "aging", serve(t, agingCatalog(t, testkit.Data(t, "bundles"))))
	ns := s.Namespace(t, "concern")
	s.group(t, ns, ns)
	s.subscribe(t, wish{ns: ns, pkg: "prometheus", channel: "old", catalog: "aging"})
	s.subscribe(t, wish{ns: ns, pkg: "cockroachdb", channel: "stable", catalog: "aging"})
	mistaken := s.subscribe(t, wish{ns: ns, pkg: "etcd", channel: "stabel", catalog: "aging"})

	deprecated := []string{
		"BundleDeprecated: olm.bundle/prometheusoperator.0.56.3: version is over",
		"ChannelDeprecated: olm.channel/old: channel is over",
		"Deprecated: olm.package/prometheus: package is over; olm.channel/old: channel is over; olm.bundle/prometheusoperator.0.56.3: version is over",
		"PackageDeprecated: olm.package/prometheus: package is over",
	}
	s.waitAll(t, ns, []string{"cockroachdb.v5.0.4", "prometheusoperator.0.56.3"})
	s.waitTold(t, ns, map[string][]string{
		"prometheus": deprecated, "cockroachdb": nil,
		"etcd": {"ResolutionFailed: constraints not satisfiable: no operators found in channel stabel of package etcd"},
	})

	var sub operatorsv1alpha1.Subscription
	if err := s.Client.Get(t.Context(), mistaken, &sub); err != nil {
		t.Fatal(err)
	}
	before := sub.DeepCopy()
	sub.Spec.Channel = "stable"
	if err := s.Client.Patch(t.Context(), &sub, mergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	s.waitAll(t, ns, []string{"cockroachdb.v5.0.4", "etcdoperator.v0.9.4", "prometheusoperator.0.56.3"})
	s.waitTold(t, ns, map[string][]string{"prometheus": deprecated, "cockroachdb": nil, "etcd": nil})
}

// waitTold waits until the conditions of all Subscriptions that are True, by
// name and sorted, begin as wanted, and there are no others.
func (s *stack) waitTold(t testing.TB, ns string, want map[string][]string) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		var subs operatorsv1alpha1.SubscriptionList
		if err := s.Client.List(ctx, &subs, inNamespace(ns)); err != nil {
			return err
		}
		got := map[string][]string{}
		for _, sub := range subs.Items {
			var lines []string
			for _, c := range sub.Status.Conditions {
				if c.Status == corev1.ConditionTrue {
					lines = append(lines, fmt.Sprintf("%s: %s", c.Type, c.Message))
				}
			}
			slices.Sort(lines)
			got[sub.Name] = lines
		}
		for name, lines := range want {
			if len(got) != len(want) || !slices.EqualFunc(got[name], lines, strings.HasPrefix) {
				return fmt.Errorf("conditions (-want +got):\n%s", cmp.Diff(want, got))
			}
		}
		return nil
	})
}

// agingCatalog offers three packages in file-based form. All of prometheus is
// deprecated.
func agingCatalog(t testing.TB, tree string) string {
	t.Helper()
	dir := t.TempDir()
	var text strings.Builder
	for _, b := range []struct{ pkg, channel, name, version string }{
		{"prometheus", "old", "prometheusoperator.0.56.3", "0.56.3"},
		{"cockroachdb", "stable", "cockroachdb.v5.0.4", "5.0.4"},
		{"etcd", "stable", "etcdoperator.v0.9.4", "0.9.4"},
	} {
		fmt.Fprintf(&text, "---\n{schema: olm.package, name: %s, defaultChannel: %s}\n", b.pkg, b.channel)
		fmt.Fprintf(&text, "---\n{schema: olm.channel, package: %s, name: %s, entries: [{name: %s}]}\n", b.pkg, b.channel, b.name)
		blob := inlineBundle(t, b.pkg, b.name, b.version, filepath.Join(tree, b.pkg, b.version))
		if err := os.WriteFile(filepath.Join(dir, b.pkg+".json"), blob, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text.WriteString(`---
schema: olm.deprecations
package: prometheus
entries:
- {reference: {schema: olm.package}, message: package is over}
- {reference: {schema: olm.channel, name: old}, message: channel is over}
- {reference: {schema: olm.bundle, name: prometheusoperator.0.56.3}, message: version is over}
`)
	if err := os.WriteFile(filepath.Join(dir, "catalog.yaml"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
