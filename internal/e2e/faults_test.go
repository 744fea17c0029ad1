package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	coordinationv1 "k8s.io/api/coordination/v1"

	"chandler.dev/olm/internal/testkit"
)

const (
	etcdFirst, etcdSecond = "etcdoperator.v0.9.2", "etcdoperator.v0.9.4"
	etcdChannel           = "singlenamespace-alpha"
	// frozen is how long etcd gives no answer.
	frozen = 30 * time.Second
	// handover is how soon another controller has to act for one that died.
	handover = 20 * time.Second
)

// TestClusterFaults breaks the cluster under a controller in the middle of an
// install or an upgrade, and expects the same end as without that.
func TestClusterFaults(t *testing.T) {
	t.Parallel()
	bundles := testkit.Data(t, "bundles")
	s := startStack(t)
	s.catalogSource(t, "faults", serve(t, bundleSubset(t, bundles, "etcd")))
	freeze := func(t *testing.T) {
		s.cluster(t, "pause", "etcd")
		time.Sleep(frozen)
		s.cluster(t, "resume", "etcd")
	}
	restart := func(t *testing.T) { s.cluster(t, "restart", "kube-apiserver") }
	for name, tt := range map[string]struct {
		moment func(*testing.T, string) func(context.Context) error
		fault  func(*testing.T)
	}{
		"the API server restarts when the plan is written":     {s.planExists(etcdFirst), restart},
		"the API server restarts when the old CSV is replaced": {s.csvPhase(etcdFirst, operatorsv1alpha1.CSVPhaseReplacing), restart},
		"etcd stands still when the first CSV is pending":      {s.csvPhase(etcdFirst, operatorsv1alpha1.CSVPhasePending), freeze},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they share the cluster that breaks
			ns := s.Namespace(t, "fault")
			s.group(t, ns, ns)
			key := s.subscribe(t, wish{ns: ns, pkg: "etcd", channel: etcdChannel, start: etcdFirst, catalog: "faults"})
			testkit.Eventually(t, patience, tt.moment(t, ns))
			tt.fault(t)
			s.waitInstalled(t, key, etcdSecond)
			s.checkHops(t, ns, []string{etcdFirst, etcdSecond})
			s.checkBundle(t, ns, filepath.Join(bundles, "etcd", "0.9.4"))
		})
	}
}

// cluster lets devcluster do something to a component.
func (s *stack) cluster(t testing.TB, verb, component string) {
	t.Helper()
	out, err := testkit.Run(t.Context(), "devcluster", verb, "--component", component, "--dir", s.Dir, "--name", s.Name)
	if err != nil {
		t.Fatalf("devcluster %s %s: %v\n%s", verb, component, err, out)
	}
}

// TestTwoControllers runs two controllers that do not know of each other. They
// are in each other's way, but the end is right.
func TestTwoControllers(t *testing.T) {
	t.Parallel()
	bundles := testkit.Data(t, "bundles")
	s := startStack(t)
	startController(t, s.Env, t.TempDir())
	s.catalogSource(t, "two", serve(t, bundleSubset(t, bundles, "etcd")))
	ns := s.Namespace(t, "two")
	s.group(t, ns, ns)
	key := s.subscribe(t, wish{ns: ns, pkg: "etcd", channel: etcdChannel, start: etcdFirst, catalog: "two"})
	s.waitInstalled(t, key, etcdSecond)
	s.checkHops(t, ns, []string{etcdFirst, etcdSecond})
	s.checkBundle(t, ns, filepath.Join(bundles, "etcd", "0.9.4"))
}

// TestHandover kills the one of two controllers that acts.
func TestHandover(t *testing.T) {
	t.Parallel()
	bundles := testkit.Data(t, "bundles")
	s := &stack{Env: testkit.Own(t)}
	elected := func() *testkit.Process {
		return testkit.Start(t, "olm", "controller", "--kubeconfig", s.Kubeconfig, "--data-dir", t.TempDir(),
			"--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--leader-elect")
	}
	first := elected()
	holder := s.leader(t, "")
	elected()
	s.catalogSource(t, "handover", serve(t, bundleSubset(t, bundles, "etcd")))
	ns := s.Namespace(t, "handover")
	s.group(t, ns, ns)
	key := s.subscribe(t, wish{ns: ns, pkg: "etcd", channel: etcdChannel, start: etcdFirst, catalog: "handover"})
	testkit.Eventually(t, patience, s.planExists(etcdFirst)(t, ns))
	first.Kill()
	died := time.Now()
	s.leader(t, holder)
	if took := time.Since(died); took > handover {
		t.Errorf("the other controller took over after %s, want less than %s", took, handover)
	}
	s.waitInstalled(t, key, etcdSecond)
	s.checkHops(t, ns, []string{etcdFirst, etcdSecond})
}

// leader waits until another controller than not has the lease.
func (s *stack) leader(t testing.TB, not string) (holder string) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		lease := &coordinationv1.Lease{}
		if err := s.Client.Get(ctx, objectKey("olm", "chandler-olm"), lease); err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == not || *lease.Spec.HolderIdentity == "" {
			return fmt.Errorf("the lease is held by %v", lease.Spec.HolderIdentity)
		}
		holder = *lease.Spec.HolderIdentity
		return nil
	})
	return holder
}
