package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// TestBadInput gives the controller what people give it by mistake, and
// expects a sentence that says what is wrong and what to do.
func TestBadInput(t *testing.T) {
	bundles := testkit.Data(t, "bundles")
	s := startStack(t)
	s.catalogSource(t, "good", serve(t, bundleSubset(t, bundles, "etcd")))
	s.catalogSource(t, "unreachable", testkit.FreeAddress(t))
	const (
		resolution = operatorsv1alpha1.SubscriptionResolutionFailed
		health     = operatorsv1alpha1.SubscriptionCatalogSourcesUnhealthy
	)
	for name, tt := range map[string]struct {
		wish   wish
		groups int
		typ    operatorsv1alpha1.SubscriptionConditionType
		want   []string // in the message
	}{
		"an unknown package":             {wish{pkg: "etdc", catalog: "good"}, 1, resolution, []string{"etdc", "etcd"}},
		"an unknown channel":             {wish{pkg: "etcd", channel: "stabel", catalog: "good"}, 1, resolution, []string{"stabel", "singlenamespace-alpha"}},
		"an unknown catalog":             {wish{pkg: "etcd", catalog: "godo"}, 1, resolution, []string{"godo"}},
		"an unknown startingCSV":         {wish{pkg: "etcd", channel: "singlenamespace-alpha", start: "etcdoperator.v9", catalog: "good"}, 1, resolution, []string{"etcdoperator.v9"}},
		"a namespace without a group":    {wish{pkg: "etcd", channel: "singlenamespace-alpha", catalog: "good"}, 0, resolution, []string{"OperatorGroup"}},
		"a namespace with two groups":    {wish{pkg: "etcd", channel: "singlenamespace-alpha", catalog: "good"}, 2, resolution, []string{"OperatorGroup", "group-a", "group-b"}},
		"a catalog that does not answer": {wish{pkg: "etcd", catalog: "unreachable"}, 1, health, []string{"unreachable", "does not answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.wish.ns = s.Namespace(t, "bad")
			for _, group := range []string{"group-a", "group-b"}[:tt.groups] {
				s.groupNamed(t, tt.wish.ns, group)
			}
			key := s.subscribe(t, tt.wish)
			message := s.condition(t, key, tt.typ, tt.want...)
			t.Log(message)
			s.checkStatusSays(t, key, message)
		})
	}
}

// TestUnservableBundles expects bundles that a current Kubernetes cannot take,
// because their CustomResourceDefinitions are of v1beta1, to be refused before
// anything is written.
func TestUnservableBundles(t *testing.T) {
	s := startStack(t)
	s.refuses(t, map[string]wish{
		"prometheus 0.32.0": {pkg: "prometheus", channel: "beta", start: "prometheusoperator.0.32.0", catalog: "bundles"},
		"prometheus 0.37.0": {pkg: "prometheus", channel: "beta", start: "prometheusoperator.0.37.0", catalog: "bundles"},
		"rook-ceph":         {pkg: "rook-ceph", catalog: "manifests"},
	}, "apiextensions.k8s.io/v1beta1")
}

// TestInconvertibleBundles expects that bundles are refused, too, whose
// definitions of v1beta1 are to be converted but have schemas that v1 does not
// accept.
func TestInconvertibleBundles(t *testing.T) {
	t.Parallel()
	env := testkit.Own(t)
	s := &stack{Env: env, controller: startController(t, env, t.TempDir(), "--convert-definitions")}
	s.refuses(t, map[string]wish{
		"prometheus 0.32.0": {pkg: "prometheus", channel: "beta", start: "prometheusoperator.0.32.0", catalog: "bundles"},
		"rook-ceph":         {pkg: "rook-ceph", catalog: "manifests"},
	}, "apiextensions.k8s.io/v1beta1", "cannot be converted to v1", "openAPIV3Schema")
}

// refuses expects wishes to end in a condition that says all of want.
func (s *stack) refuses(t *testing.T, wishes map[string]wish, want ...string) {
	t.Helper()
	s.catalogSource(t, "bundles", serve(t, bundleSubset(t, testkit.Data(t, "bundles"), "prometheus")))
	s.catalogSource(t, "manifests", serve(t, filepath.Join(testkit.Data(t, "package-manifests"), "rook-ceph")))
	for name, w := range wishes {
		t.Run(name, func(t *testing.T) {
			w.ns = s.Namespace(t, "old")
			s.group(t, w.ns, w.ns)
			key := s.subscribe(t, w)
			message := s.condition(t, key, operatorsv1alpha1.SubscriptionInstallPlanFailed, want...)
			t.Log(message)
			s.checkStatusSays(t, key, message)
			s.checkNothingWritten(t, w.ns)
		})
	}
}

// checkStatusSays runs `olm status` and looks for a sentence in it.
func (s *stack) checkStatusSays(t testing.TB, key client.ObjectKey, message string) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		out, err := testkit.Run(ctx, "olm", "status", "--kubeconfig", s.Kubeconfig, "-n", key.Namespace, "-o", "json")
		if err != nil {
			return err
		}
		var status struct {
			Operators []struct{ Message string } `json:"operators"`
		}
		if err := json.Unmarshal([]byte(out), &status); err != nil {
			return err
		}
		if len(status.Operators) != 1 || status.Operators[0].Message != message {
			return fmt.Errorf("olm status does not say %q: %s", message, out)
		}
		return nil
	})
}

// checkNothingWritten fails if a plan that was refused left something behind.
func (s *stack) checkNothingWritten(t testing.TB, ns string) {
	t.Helper()
	var csvs operatorsv1alpha1.ClusterServiceVersionList
	if err := s.Client.List(t.Context(), &csvs, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	for _, csv := range csvs.Items {
		t.Errorf("the refused plan created ClusterServiceVersion %s", csv.Name)
	}
	var crds apiextensionsv1.CustomResourceDefinitionList
	if err := s.Client.List(t.Context(), &crds); err != nil {
		t.Fatal(err)
	}
	for _, crd := range crds.Items {
		if crd.Spec.Group != "operators.coreos.com" {
			t.Errorf("the refused plan created CustomResourceDefinition %s", crd.Name)
		}
	}
}

// TestBrokenBundle serves a good catalog, breaks a bundle in it, and expects
// the good one to go on and the server to say what is wrong.
func TestBrokenBundle(t *testing.T) {
	bundles := testkit.Data(t, "bundles")
	tree := bundleSubset(t, bundles, "etcd")
	address := testkit.FreeAddress(t)
	server := serveAt(t, address, "--watch", tree)
	s := startStack(t)
	s.catalogSource(t, "edited", address)
	ns := s.Namespace(t, "broken")
	s.group(t, ns, ns)
	key := s.subscribe(t, wish{ns: ns, pkg: "etcd", channel: "singlenamespace-alpha", start: "etcdoperator.v0.9.2", catalog: "edited", manual: true})
	broken := filepath.Join(tree, "etcd", "0.9.4", "manifests", "etcdoperator.v0.9.4.clusterserviceversion.yaml")
	if err := os.WriteFile(broken, []byte("apiVersion: operators.coreos.com/v1alpha1\nkind: ClusterServiceVersion\nmetadata: {name: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func(context.Context) error {
		if log := server.Log(); !strings.Contains(log, filepath.Base(broken)) {
			return fmt.Errorf("the server does not name the broken file: %s", log)
		}
		return nil
	})
	s.condition(t, key, operatorsv1alpha1.SubscriptionInstallPlanPending)
	if _, err := testkit.Run(t.Context(), "olm", "approve", "etcd", "-n", ns, "--kubeconfig", s.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, s.csvPhase("etcdoperator.v0.9.2", operatorsv1alpha1.CSVPhaseSucceeded)(t, ns))
}
