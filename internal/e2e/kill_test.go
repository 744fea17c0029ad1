package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// TestKilled kills a program without warning at a moment of an install or an
// upgrade, starts it again, and expects the same end as without that.
func TestKilled(t *testing.T) {
	bundles := testkit.Data(t, "bundles")
	tree := bundleSubset(t, bundles, "etcd")
	const first, second = etcdFirst, etcdSecond
	env := testkit.Own(t)
	s := &stack{Env: env}
	address, data := testkit.FreeAddress(t), t.TempDir()
	catalog := serveAt(t, address, tree)
	s.controller = startController(t, env, data)
	s.catalogSource(t, "killed", address)

	killController := func() {
		s.controller.Kill()
		s.controller = startController(t, env, data)
	}
	killControllerAndDisk := func() {
		s.controller.Kill()
		s.controller = startController(t, env, t.TempDir())
	}
	killCatalog := func() {
		catalog.Kill()
		catalog = serveAt(t, address, tree)
	}
	for name, at := range map[string]struct {
		moment func(*testing.T, string) func(context.Context) error
		kill   func()
	}{
		"at once":                                  {now, killController},
		"when the plan is written":                 {s.planExists(first), killController},
		"when the plan is written, disk lost":      {s.planExists(first), killControllerAndDisk},
		"when the first CSV appears":               {s.csvPhase(first, ""), killController},
		"when the first CSV is pending":            {s.csvPhase(first, operatorsv1alpha1.CSVPhasePending), killController},
		"when the first Deployment appears":        {s.deploymentExists, killController},
		"when the first CSV succeeded":             {s.csvPhase(first, operatorsv1alpha1.CSVPhaseSucceeded), killController},
		"when the upgrade is planned":              {s.planExists(second), killController},
		"when the old CSV is replaced":             {s.csvPhase(first, operatorsv1alpha1.CSVPhaseReplacing), killController},
		"when the new CSV installs":                {s.csvPhase(second, operatorsv1alpha1.CSVPhaseInstalling), killController},
		"the catalog at once":                      {now, killCatalog},
		"the catalog when the plan is written":     {s.planExists(first), killCatalog},
		"the catalog when the first CSV succeeded": {s.csvPhase(first, operatorsv1alpha1.CSVPhaseSucceeded), killCatalog},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they share the programs that die
			ns := s.Namespace(t, "kill")
			s.group(t, ns, ns)
			key := s.subscribe(t, wish{ns: ns, pkg: "etcd", channel: "singlenamespace-alpha", start: first, catalog: "killed"})
			testkit.Eventually(t, patience, at.moment(t, ns))
			at.kill()
			s.waitInstalled(t, key, second)
			s.checkHops(t, ns, []string{first, second})
			s.checkBundle(t, ns, filepath.Join(bundles, "etcd", "0.9.4"))
		})
	}
}

func now(*testing.T, string) func(context.Context) error {
	return func(context.Context) error { return nil }
}

func (s *stack) planExists(csv string) func(*testing.T, string) func(context.Context) error {
	return func(_ *testing.T, ns string) func(context.Context) error {
		return func(ctx context.Context) error {
			var plans operatorsv1alpha1.InstallPlanList
			if err := s.Client.List(ctx, &plans, client.InNamespace(ns)); err != nil {
				return err
			}
			for _, p := range plans.Items {
				if slices.Contains(p.Spec.ClusterServiceVersionNames, csv) {
					return nil
				}
			}
			return fmt.Errorf("no plan for %s", csv)
		}
	}
}

// csvPhases is the order in which a ClusterServiceVersion passes its phases.
var csvPhases = map[operatorsv1alpha1.ClusterServiceVersionPhase]int{
	"": 0, operatorsv1alpha1.CSVPhasePending: 1, operatorsv1alpha1.CSVPhaseInstallReady: 2, operatorsv1alpha1.CSVPhaseInstalling: 3,
	operatorsv1alpha1.CSVPhaseSucceeded: 4, operatorsv1alpha1.CSVPhaseReplacing: 5, operatorsv1alpha1.CSVPhaseDeleting: 6,
}

// csvPhase is the moment when a CSV has reached a phase, or gone past it.
func (s *stack) csvPhase(name string, phase operatorsv1alpha1.ClusterServiceVersionPhase) func(*testing.T, string) func(context.Context) error {
	return func(_ *testing.T, ns string) func(context.Context) error {
		seen := false
		return func(ctx context.Context) error {
			var csv operatorsv1alpha1.ClusterServiceVersion
			err := s.Client.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, &csv)
			if err != nil {
				if seen && client.IgnoreNotFound(err) == nil {
					return nil // it went all the way
				}
				return err
			}
			seen = true
			if csvPhases[csv.Status.Phase] >= csvPhases[phase] {
				return nil
			}
			return fmt.Errorf("%s is %s", name, csv.Status.Phase)
		}
	}
}

func (s *stack) deploymentExists(_ *testing.T, ns string) func(context.Context) error {
	return func(ctx context.Context) error {
		var list appsv1.DeploymentList
		if err := s.Client.List(ctx, &list, client.InNamespace(ns)); err != nil {
			return err
		}
		if meta.LenList(&list) == 0 {
			return fmt.Errorf("no Deployment in %s", ns)
		}
		return nil
	}
}
