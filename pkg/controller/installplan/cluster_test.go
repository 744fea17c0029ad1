package installplan_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blang/semver/v4"
	gocmp "github.com/google/go-cmp/cmp"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"chandler.dev/olm/internal/testkit"
	"chandler.dev/olm/pkg/controller/installplan"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/kube"
	"chandler.dev/olm/pkg/registry"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// running is the controller on a real API server.
type running struct {
	*testkit.Env

	contents safeContents
	writes   atomic.Int64 // of objects that plans bring
}

type safeContents struct{ byDigest map[string]registry.Content }

func (c *safeContents) Content(_ context.Context, ref install.ContentRef) (registry.Content, error) {
	return c.byDigest[ref.Digest], nil
}

// start runs the controller until the test ends. Bundles are known before, so
// that nobody writes while it reads.
func start(t *testing.T, bundles ...registry.Bundle) *running {
	t.Helper()
	r := &running{Env: testkit.Cluster(t), contents: safeContents{map[string]registry.Content{}}}
	for _, b := range bundles {
		r.contents.byDigest[install.ContentDigest(b.Content)] = b.Content
	}
	mgr, err := ctrl.NewManager(r.Config, ctrl.Options{
		Scheme: testkit.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	live, err := client.NewWithWatch(r.Config, client.Options{Scheme: testkit.Scheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	served, err := discovery.NewDiscoveryClientForConfig(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	reconciler := installplan.New(installplan.Options{
		Client: mgr.GetClient(), Cluster: kube.New(r.count(live)).WithDiscovery(served), Contents: &r.contents, Clock: clock.RealClock{},
		Recorder: mgr.GetEventRecorder("test"), RetryWindow: time.Second, CatalogNamespace: metav1.NamespaceDefault, ConvertDefinitions: true,
		As: func(sa types.NamespacedName) (*kube.Cluster, error) {
			cfg := rest.CopyConfig(r.Config)
			cfg.Impersonate.UserName = "system:serviceaccount:" + sa.Namespace + ":" + sa.Name
			return kube.Connect(cfg, testkit.Scheme(), mgr.GetRESTMapper())
		},
	})
	if err := reconciler.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("controller: %v", err)
		}
	})
	return r
}

func (r *running) count(c client.WithWatch) client.Client {
	return interceptor.NewClient(c, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			r.writes.Add(1)
			return c.Create(ctx, obj, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			r.writes.Add(1)
			return c.Update(ctx, obj, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			r.writes.Add(1)
			return c.Patch(ctx, obj, patch, opts...)
		},
		Apply: func(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			r.writes.Add(1)
			return c.Apply(ctx, obj, opts...)
		},
	})
}

// space makes a namespace with an OperatorGroup that is ready.
func (r *running) space(t *testing.T) string {
	t.Helper()
	ns := r.Namespace(t, "plan")
	g := &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Name: "g", Namespace: ns}}
	g.Spec.TargetNamespaces = []string{ns}
	if err := r.Client.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	g.Status.Namespaces, g.Status.LastUpdated = []string{ns}, new(metav1.Now())
	if err := r.Client.Status().Update(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	return ns
}

// run stores a plan and returns it when it is over.
func (r *running) run(t *testing.T, plan *v1alpha1.InstallPlan) *v1alpha1.InstallPlan {
	t.Helper()
	r.write(t, plan)
	return r.wait(t, plan)
}

// write stores a plan as its maker does.
func (r *running) write(t *testing.T, plan *v1alpha1.InstallPlan) {
	t.Helper()
	plan.OwnerReferences = nil
	status := plan.Status.DeepCopy()
	if err := r.Client.Create(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	plan.Status = *status
	if err := r.Client.Status().Update(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
}

// wait returns a plan when it is over.
func (r *running) wait(t *testing.T, plan *v1alpha1.InstallPlan) *v1alpha1.InstallPlan {
	t.Helper()
	testkit.Eventually(t, time.Minute, func(ctx context.Context) error {
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(plan), plan); err != nil {
			return err
		}
		if plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete && plan.Status.Phase != v1alpha1.InstallPlanPhaseFailed {
			return fmt.Errorf("phase %q: %s", plan.Status.Phase, plan.Status.Message)
		}
		return nil
	})
	return plan
}

func (r *running) plan(t *testing.T, namespace string, b registry.Bundle, attempt int) *v1alpha1.InstallPlan {
	t.Helper()
	in := decision(b)
	in.Namespace, in.Attempt = namespace, attempt
	plan, err := installplan.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return r.run(t, plan)
}

// published are versions of operators that a test installs one after another,
// and the refusal of those that a current Kubernetes cannot take. They have:
// CustomResourceDefinitions of v1beta1 with and without a meaning in v1, large ones, ones that drop a
// stored version (strimzi, authorino), and a Service whose manifest the API
// server rewrites (cert-manager).
var published = []struct {
	operator, version, refusal string
}{
	{"authorino-operator", "0.13.0", ""},
	{"authorino-operator", "0.16.0", ""},
	{"cert-manager", "1.15.2", ""},
	{"cert-manager", "1.16.5", ""},
	{"cockroachdb", "2.1.11", `metadata.annotations[api-approved.kubernetes.io]`},
	{"etcd", "0.9.2", ""},
	{"etcd", "0.9.4", ""},
	{"prometheus", "0.37.0", ""},
	{"prometheus", "0.47.0", ""},
	{"prometheus", "0.56.3", ""},
	{"snapscheduler", "1.1.1", ""},
	{"snapscheduler", "2.0.0", ""},
	{"strimzi-kafka-operator", "0.51.0", ""},
	{"strimzi-kafka-operator", "1.2.0", ""},
}

// TestRealBundles installs published operators, oldest version first, each
// twice: the second time nothing may be written.
func TestRealBundles(t *testing.T) {
	bundles := make([]registry.Bundle, 0, len(published))
	for _, p := range published {
		bundles = append(bundles, realBundle(t, p.operator, p.version))
	}
	r := start(t, bundles...)
	spaces := map[string]string{}
	for i, p := range published {
		if spaces[p.operator] == "" {
			spaces[p.operator] = r.space(t)
		}
		t.Run(p.operator+" "+p.version, func(t *testing.T) {
			r.installTwice(t, spaces[p.operator], bundles[i], p.refusal)
		})
	}
}

func (r *running) installTwice(t *testing.T, namespace string, b registry.Bundle, refusal string) {
	t.Helper()
	before, begin := r.writes.Load(), time.Now()
	plan := r.plan(t, namespace, b, 0)
	first := r.writes.Load() - before
	t.Logf("%s: %d objects, %d writes, %s", plan.Status.Phase, len(plan.Status.Plan), first, time.Since(begin).Round(time.Millisecond))
	installed := plan.Status.GetCondition(v1alpha1.InstallPlanInstalled)
	if refusal != "" {
		if plan.Status.Phase != v1alpha1.InstallPlanPhaseFailed || first > 0 || !strings.Contains(installed.Message, refusal) {
			t.Errorf("%s with %d writes: %q, want a refusal: %q", plan.Status.Phase, first, installed.Message, refusal)
		}
		return
	}
	if plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Fatalf("%s: %+v", plan.Status.Phase, installed)
	}
	if old := slices.ContainsFunc(plan.Status.Plan, func(s *v1alpha1.Step) bool { return s.Resource.Version == "v1beta1" }); old {
		if c := plan.Status.GetCondition(installplan.ConditionConverted); c.Status != corev1.ConditionTrue || !strings.Contains(c.Message, "become v1") {
			t.Errorf("the plan does not say that it converted definitions: %+v", plan.Status.Conditions)
		}
	}
	// Replacing a stored version takes two writes more for each CustomResourceDefinition.
	if limit := int64(2 * len(plan.Status.Plan)); first > limit {
		t.Errorf("%d writes, want at most %d", first, limit)
	}
	before = r.writes.Load()
	again := r.plan(t, namespace, b, 1)
	if n := r.writes.Load() - before; n > 0 || again.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Errorf("again: %s with %d writes, want none", again.Status.Phase, n)
	}
}

// TestEveryBundle installs every version of every operator of the test data,
// if OLM_TEST_EVERY_BUNDLE is set, and prints what becomes of them.
func TestEveryBundle(t *testing.T) {
	if os.Getenv("OLM_TEST_EVERY_BUNDLE") == "" {
		t.Skip("set OLM_TEST_EVERY_BUNDLE to install the whole test data, which takes minutes")
	}
	root := testkit.Data(t, "bundles")
	dirs, err := filepath.Glob(filepath.Join(root, "*", "*", "manifests"))
	if err != nil {
		t.Fatal(err)
	}
	bundles := make([]registry.Bundle, 0, len(dirs))
	for _, dir := range dirs {
		version := filepath.Dir(dir)
		bundles = append(bundles, realBundle(t, filepath.Base(filepath.Dir(version)), filepath.Base(version)))
	}
	slices.SortFunc(bundles, func(a, b registry.Bundle) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), semver.MustParse(a.Version).Compare(semver.MustParse(b.Version)))
	})
	r := start(t, bundles...)
	spaces := map[string]string{}
	for _, b := range bundles {
		if spaces[b.Package] == "" {
			spaces[b.Package] = r.space(t)
		}
		before := r.writes.Load()
		plan := r.plan(t, spaces[b.Package], b, 0)
		message := plan.Status.GetCondition(v1alpha1.InstallPlanInstalled).Message
		t.Logf("%-40s %-10s %d objects, %d writes %s", b.Name, plan.Status.Phase, len(plan.Status.Plan), r.writes.Load()-before, message)
	}
}

// TestPlansShareDefinitions installs two versions of one operator in many
// namespaces at once. The newer CustomResourceDefinitions have to win, whoever
// comes last, and nobody may fail.
func TestPlansShareDefinitions(t *testing.T) {
	older, newer := realBundle(t, "prometheus", "0.47.0"), realBundle(t, "prometheus", "0.56.3")
	r := start(t, older, newer)
	var plans []*v1alpha1.InstallPlan
	for i := range 8 {
		in := decision([]registry.Bundle{older, newer}[i%2])
		in.Namespace = r.space(t)
		plan, err := installplan.Build(in)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, plan)
	}
	before := r.writes.Load()
	var wait sync.WaitGroup
	for _, plan := range plans {
		wait.Go(func() { r.run(t, plan) })
	}
	wait.Wait()
	for _, plan := range plans {
		if plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
			t.Errorf("%s: %+v", plan.Status.Phase, plan.Status.Conditions)
		}
	}
	objects := len(plans[0].Status.Plan) * len(plans)
	if n := r.writes.Load() - before; n > int64(2*objects) {
		t.Errorf("%d writes for %d objects", n, objects)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := r.Client.Get(t.Context(), client.ObjectKey{Name: "prometheuses.monitoring.coreos.com"}, crd); err != nil {
		t.Fatal(err)
	}
	alongside := 0
	for k := range crd.Annotations {
		if strings.HasPrefix(k, "operatorframework.io/installed-alongside-") {
			alongside++
		}
	}
	if got := crd.Annotations["chandler.dev/brought-by"]; got != "prometheus 0.56.3" || alongside < len(plans) {
		t.Errorf("brought by %q, alongside %d operators; want prometheus 0.56.3 and %d", got, alongside, len(plans))
	}
}

// TestStoredVersions replaces a version in which an object is stored.
func TestStoredVersions(t *testing.T) {
	r := start(t)
	ns := r.space(t)
	old, next := crdV1("gadgets.example.org", "v1alpha1"), crdV1("gadgets.example.org", "v1")
	for _, crd := range []*apiextensionsv1.CustomResourceDefinition{old, next} {
		crd.Spec.Names.Kind = "Gadget"
		crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties = map[string]apiextensionsv1.JSONSchemaProps{
			"spec": {Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"size": {Type: "integer"}}},
		}
	}
	lossy := next.DeepCopy()
	lossy.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"] = apiextensionsv1.JSONSchemaProps{Type: "object"}
	bring := func(name string, crd *apiextensionsv1.CustomResourceDefinition) *v1alpha1.InstallPlan {
		plan := handMade(name, crd)
		plan.Namespace = ns
		return r.run(t, plan)
	}

	if plan := bring("old", old); plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Fatalf("old: %+v", plan.Status)
	}
	gadget := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.org/v1alpha1", "kind": "Gadget", "metadata": map[string]any{"name": "g", "namespace": ns},
		"spec": map[string]any{"size": int64(3)},
	}}
	testkit.Eventually(t, 10*time.Second, func(ctx context.Context) error { return r.Client.Create(ctx, gadget) })

	refused := bring("lossy", lossy).Status.GetCondition(v1alpha1.InstallPlanInstalled)
	if refused.Reason != installplan.ReasonRefused || !strings.Contains(refused.Message, `would lose spec.size`) {
		t.Errorf("lossy: %+v", refused)
	}
	if plan := bring("next", next); plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Fatalf("next: %+v", plan.Status)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := r.Client.Get(t.Context(), client.ObjectKey{Name: next.Name}, crd); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"v1"}, crd.Status.StoredVersions); diff != "" || len(crd.Spec.Versions) != 1 {
		t.Errorf("stored versions (-want +got)\n%s", diff)
	}
	gadget.SetAPIVersion("example.org/v1")
	testkit.Eventually(t, 10*time.Second, func(ctx context.Context) error {
		return r.Client.Get(ctx, client.ObjectKeyFromObject(gadget), gadget)
	})
	if size, _, _ := unstructured.NestedInt64(gadget.Object, "spec", "size"); size != 3 {
		t.Errorf("the object is now %v", gadget.Object["spec"])
	}
}
