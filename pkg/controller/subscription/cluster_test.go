package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"chandler.dev/olm/internal/testkit"
	"chandler.dev/olm/pkg/controller/catalogsource"
	"chandler.dev/olm/pkg/controller/catalogsource/dial"
	"chandler.dev/olm/pkg/controller/snapshot"
	"chandler.dev/olm/pkg/controller/subscription"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/rpc"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const patience = 20 * time.Second

// server is a catalog that a test serves.
type server struct {
	hosts   *rpc.Hosts
	address string
	grpc    *grpc.Server
}

// serve starts a catalog of the given releases of prometheus.
func serve(t *testing.T, address string, versions ...string) *server {
	t.Helper()
	s := &server{hosts: rpc.NewHosts(), grpc: grpc.NewServer()}
	s.publish(t, versions...)
	rpc.RegisterHosts(s.grpc, s.hosts)
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	go func() { _ = s.grpc.Serve(l) }()
	t.Cleanup(s.grpc.Stop)
	return s
}

func (s *server) publish(t *testing.T, versions ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, v := range versions {
		from := filepath.Join(testkit.Data(t, "bundles"), "prometheus", v)
		if err := os.CopyFS(filepath.Join(dir, v), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	store, err := memory.New(t.Context(), registry.Validated(bundle.Dir(dir, bundle.Options{})))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.hosts.Swap(t.Context(), "", store, nil); err != nil {
		t.Fatal(err)
	}
}

// start runs the controllers that decide. Nobody executes plans.
func start(t *testing.T, env *testkit.Env, dir string) (stop func()) {
	t.Helper()
	ctrl.SetLogger(zap.New(zap.WriteTo(logger{t})))
	mgr, err := ctrl.NewManager(env.Config, ctrl.Options{
		Scheme: testkit.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	snapshots, err := snapshot.New(snapshot.Options{Dir: dir, Open: dial.OpenFile})
	if err != nil {
		t.Fatal(err)
	}
	options, err := subscription.OptionsFor(mgr, snapshots, "olm")
	if err != nil {
		t.Fatal(err)
	}
	catalogs, err := catalogsource.OptionsFor(mgr, snapshots, dial.Address)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(subscription.New(options).SetupWithManager(mgr), catalogsource.New(catalogs).SetupWithManager(mgr))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-done, snapshots.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

type logger struct{ t *testing.T }

func (l logger) Write(p []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func catalogSource(namespace, address string) *v1alpha1.CatalogSource {
	return &v1alpha1.CatalogSource{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "main"},
		Spec:       v1alpha1.CatalogSourceSpec{SourceType: v1alpha1.SourceTypeGrpc, Address: address},
	}
}

func prometheus(namespace string) *v1alpha1.Subscription {
	return &v1alpha1.Subscription{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "prometheus"},
		Spec: &v1alpha1.SubscriptionSpec{
			Package: "prometheus", Channel: "beta", CatalogSource: "main", CatalogSourceNamespace: namespace,
			InstallPlanApproval: v1alpha1.ApprovalManual,
		},
	}
}

func create(t *testing.T, env *testkit.Env, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := env.Client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

// waitFor waits until a Subscription is as check wants it.
func waitFor(t *testing.T, env *testkit.Env, namespace string, check func(*v1alpha1.Subscription) error) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		var sub v1alpha1.Subscription
		if err := env.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "prometheus"}, &sub); err != nil {
			return err
		}
		if err := check(&sub); err != nil {
			return fmt.Errorf("%w: %+v", err, sub.Status)
		}
		return nil
	})
}

func planned(name string) func(*v1alpha1.Subscription) error {
	return func(sub *v1alpha1.Subscription) error {
		if sub.Status.CurrentCSV != name || sub.Status.State != v1alpha1.SubscriptionStateUpgradePending || sub.Status.InstallPlanRef == nil {
			return fmt.Errorf("no plan for %s", name)
		}
		if c := sub.Status.GetCondition(v1alpha1.SubscriptionInstallPlanPending); c.Reason != "RequiresApproval" {
			return fmt.Errorf("the plan is not pending")
		}
		return nil
	}
}

func has(kind v1alpha1.SubscriptionConditionType, text string) func(*v1alpha1.Subscription) error {
	return func(sub *v1alpha1.Subscription) error {
		c := sub.Status.GetCondition(kind)
		if c.Status != corev1.ConditionTrue || !strings.Contains(c.Message, text) {
			return fmt.Errorf("no condition %s with %q", kind, text)
		}
		return nil
	}
}

func hasNot(kind v1alpha1.SubscriptionConditionType) func(*v1alpha1.Subscription) error {
	return func(sub *v1alpha1.Subscription) error {
		if sub.Status.GetCondition(kind).Status == corev1.ConditionTrue {
			return fmt.Errorf("still condition %s", kind)
		}
		return nil
	}
}

// TestDecisionsOnACluster goes from a catalog to plans, through a change of
// the catalog, its absence and a restart of the controller.
func TestDecisionsOnACluster(t *testing.T) {
	env := testkit.Cluster(t)
	ns := env.Namespace(t, "decide")
	catalog := serve(t, "127.0.0.1:0", "0.47.0")
	dir := t.TempDir()
	stop := start(t, env, dir)

	create(t, env, catalogSource(ns, catalog.address), prometheus(ns))
	waitFor(t, env, ns, has(v1alpha1.SubscriptionResolutionFailed, "has no OperatorGroup"))
	create(t, env, &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "group"}})
	waitFor(t, env, ns, planned("prometheusoperator.0.47.0"))
	waitFor(t, env, ns, hasNot(v1alpha1.SubscriptionResolutionFailed))

	catalog.publish(t, "0.47.0", "0.56.3")
	waitFor(t, env, ns, planned("prometheusoperator.0.56.3"))
	plans := &v1alpha1.InstallPlanList{}
	testkit.Eventually(t, time.Minute, func(ctx context.Context) error { // the steps are written last
		if err := env.Client.List(ctx, plans, client.InNamespace(ns)); err != nil {
			return err
		}
		if len(plans.Items) != 1 || len(plans.Items[0].Status.Plan) == 0 || plans.Items[0].Spec.Approved {
			return fmt.Errorf("want one plan with steps that waits for approval, have %+v", plans.Items)
		}
		return nil
	})

	catalog.grpc.Stop()
	waitFor(t, env, ns, has(v1alpha1.SubscriptionCatalogSourcesUnhealthy, "its last good content stays in use"))
	stop()
	if err := env.Client.Delete(t.Context(), &plans.Items[0]); err != nil {
		t.Fatal(err)
	}
	start(t, env, dir)
	waitFor(t, env, ns, planned("prometheusoperator.0.56.3"))
	serve(t, catalog.address, "0.47.0", "0.56.3")
	waitFor(t, env, ns, hasNot(v1alpha1.SubscriptionCatalogSourcesUnhealthy))
}

// TestHostileCatalogSource covers an object that the Go type cannot decode.
func TestHostileCatalogSource(t *testing.T) {
	env := testkit.Cluster(t)
	ns := env.Namespace(t, "hostile")
	start(t, env, t.TempDir())
	hostile := catalogsource.NewObject()
	hostile.SetNamespace(ns)
	hostile.SetName("main")
	hostile.Object["spec"] = map[string]any{"sourceType": "goose", "updateStrategy": map[string]any{}}
	create(t, env, hostile)
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		read := catalogsource.NewObject()
		if err := env.Client.Get(ctx, client.ObjectKey{Namespace: ns, Name: "main"}, read); err != nil {
			return err
		}
		cs, err := catalogsource.Decode(read)
		if err != nil {
			return err
		}
		if cs.Status.Message != "unknown sourcetype: goose" {
			return fmt.Errorf("message %q", cs.Status.Message)
		}
		return nil
	})
}
