package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// patience is how long a state may take before a test gives up on it. Nothing
// waits that long unless it is broken or the machine is very busy.
const patience = 90 * time.Second

// stack is a cluster with a controller on it.
type stack struct {
	*testkit.Env
	controller *testkit.Process
}

// startStack runs a controller on a cluster of the test's own.
func startStack(t testing.TB) *stack {
	t.Helper()
	env := testkit.Own(t)
	return &stack{Env: env, controller: startController(t, env, t.TempDir())}
}

func startController(t testing.TB, env *testkit.Env, dir string, flags ...string) *testkit.Process {
	t.Helper()
	return testkit.Start(t, "olm", append([]string{
		"controller", "--kubeconfig", env.Kubeconfig, "--data-dir", dir,
		"--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0",
	}, flags...)...)
}

// serve runs a catalog server over sources and returns its address.
func serve(t testing.TB, args ...string) string {
	t.Helper()
	address := testkit.FreeAddress(t)
	serveAt(t, address, args...)
	return address
}

func serveAt(t testing.TB, address string, args ...string) *testkit.Process {
	t.Helper()
	return testkit.Start(t, "catalog", append([]string{"serve", "--address", address, "--http-address", ""}, args...)...)
}

// catalogSource makes a served catalog known to the cluster.
func (s *stack) catalogSource(t testing.TB, name, address string) {
	t.Helper()
	source := &operatorsv1alpha1.CatalogSource{ObjectMeta: metav1.ObjectMeta{Namespace: "olm", Name: name}}
	source.Spec.SourceType = operatorsv1alpha1.SourceTypeGrpc
	source.Spec.Address = address
	s.create(t, source)
}

// group makes the operators of ns watch targets: none means all namespaces.
func (s *stack) group(t testing.TB, ns string, targets ...string) {
	t.Helper()
	group := &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "group"}}
	group.Spec.TargetNamespaces = targets
	s.create(t, group)
}

func (s *stack) create(t testing.TB, obj client.Object) {
	t.Helper()
	if err := s.Client.Create(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
}

// wish is a Subscription.
type wish struct {
	ns, pkg, channel, start, catalog string
	catalogNS                        string // of the catalog; olm if empty
	manual                           bool
}

func (s *stack) subscribe(t testing.TB, w wish) client.ObjectKey {
	t.Helper()
	sub := &operatorsv1alpha1.Subscription{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: w.pkg}}
	sub.Spec = &operatorsv1alpha1.SubscriptionSpec{
		Package: w.pkg, Channel: w.channel, StartingCSV: w.start, CatalogSource: w.catalog, CatalogSourceNamespace: cmp.Or(w.catalogNS, "olm"),
	}
	if w.manual {
		sub.Spec.InstallPlanApproval = operatorsv1alpha1.ApprovalManual
	}
	s.create(t, sub)
	return client.ObjectKeyFromObject(sub)
}

// waitInstalled waits until the bundle of a Subscription is csv, runs, and is alone.
func (s *stack) waitInstalled(t testing.TB, key client.ObjectKey, csv string) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error { return s.installed(ctx, key, csv) })
}

// errNotYet is what a check says that has nothing to tell.
var errNotYet = errors.New("not yet")

func (s *stack) isInstalled(t testing.TB, key client.ObjectKey, csv string) bool {
	t.Helper()
	return s.installed(t.Context(), key, csv) == nil
}

func (s *stack) installed(ctx context.Context, key client.ObjectKey, csv string) error {
	var sub operatorsv1alpha1.Subscription
	if err := s.Client.Get(ctx, key, &sub); err != nil {
		return err
	}
	if sub.Status.InstalledCSV != csv || sub.Status.State != operatorsv1alpha1.SubscriptionStateAtLatest {
		return fmt.Errorf("subscription %s: installed %q, current %q, state %q, conditions %s", key, sub.Status.InstalledCSV, sub.Status.CurrentCSV, sub.Status.State, conditions(&sub))
	}
	var csvs operatorsv1alpha1.ClusterServiceVersionList
	if err := s.Client.List(ctx, &csvs, client.InNamespace(key.Namespace)); err != nil {
		return err
	}
	var others []string
	for i := range csvs.Items {
		c := &csvs.Items[i]
		if c.Name == csv && c.Status.Phase == operatorsv1alpha1.CSVPhaseSucceeded {
			continue
		}
		if !c.IsCopied() {
			others = append(others, fmt.Sprintf("%s %s/%s: %s %v", c.Name, c.Status.Phase, c.Status.Reason, c.Status.Message, unmet(c)))
		}
	}
	if len(others) > 0 {
		return fmt.Errorf("not only %s Succeeded in %s: %q", csv, key.Namespace, others)
	}
	return nil
}

func unmet(csv *operatorsv1alpha1.ClusterServiceVersion) (names []string) {
	for _, r := range csv.Status.RequirementStatus {
		if r.Status != operatorsv1alpha1.RequirementStatusReasonPresent {
			names = append(names, r.Kind+" "+r.Name+": "+string(r.Status)+" "+r.Message)
		}
	}
	return names
}

func conditions(sub *operatorsv1alpha1.Subscription) string {
	text := ""
	for _, c := range sub.Status.Conditions {
		text += fmt.Sprintf("[%s=%s %s: %s]", c.Type, c.Status, c.Reason, c.Message)
	}
	return text
}

// condition waits for a True condition of a Subscription whose message names
// all of wants, and returns the message.
func (s *stack) condition(t testing.TB, key client.ObjectKey, typ operatorsv1alpha1.SubscriptionConditionType, wants ...string) string {
	t.Helper()
	message := ""
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		var sub operatorsv1alpha1.Subscription
		if err := s.Client.Get(ctx, key, &sub); err != nil {
			return err
		}
		for _, c := range sub.Status.Conditions {
			missing := func(want string) bool { return !strings.Contains(c.Message, want) }
			if c.Type == typ && c.Status == corev1.ConditionTrue && !slices.ContainsFunc(wants, missing) {
				message = c.Message
				return nil
			}
		}
		return fmt.Errorf("subscription %s has no condition %s that names %q: %s", key, typ, wants, conditions(&sub))
	})
	return message
}

func (s *stack) groupNamed(t testing.TB, ns, name string) {
	t.Helper()
	group := &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	group.Spec.TargetNamespaces = []string{ns}
	s.create(t, group)
}

func objectKey(ns, name string) client.ObjectKey { return client.ObjectKey{Namespace: ns, Name: name} }

func inNamespace(ns string) client.InNamespace { return client.InNamespace(ns) }

func mergeFrom(obj client.Object) client.Patch { return client.MergeFrom(obj) }
