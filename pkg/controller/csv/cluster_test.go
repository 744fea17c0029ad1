package csv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"chandler.dev/olm/internal/testkit"
	"chandler.dev/olm/pkg/controller/cached"
	"chandler.dev/olm/pkg/controller/copiedcsv"
	"chandler.dev/olm/pkg/controller/csv"
	"chandler.dev/olm/pkg/controller/csv/serving"
	"chandler.dev/olm/pkg/controller/operatorcondition"
	"chandler.dev/olm/pkg/controller/operatorgroup"
	"chandler.dev/olm/pkg/install/render"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestPublishedBundles installs, upgrades and deletes real operators: with webhooks, with
// a conversion webhook, and without either.
func TestPublishedBundles(t *testing.T) {
	tests := map[string]struct {
		bundles []string // from the first to the last version
		global  bool
	}{
		"prometheus, of old":                    {bundles: []string{"prometheus/0.47.0", "prometheus/0.56.3"}},
		"rabbitmq, with webhooks":               {bundles: []string{"rabbitmq-cluster-operator/2.22.1", "rabbitmq-cluster-operator/2.22.3"}},
		"cert-manager, for the whole cluster":   {bundles: []string{"cert-manager/1.15.2", "cert-manager/1.16.5"}, global: true},
		"opentelemetry, with conversion of CRs": {bundles: []string{"opentelemetry-operator/0.157.0", "opentelemetry-operator/0.158.0"}, global: true},
	}
	testkit.Data(t, "bundles")
	env := testkit.Cluster(t)
	startControllers(t, env.Config)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := &namespace{Client: env.Client, name: env.Namespace(t, "csv")}
			og := &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Namespace: n.name, Name: "group"}}
			if !tt.global {
				og.Spec.TargetNamespaces = []string{n.name}
			}
			n.create(t, og)
			last := ""
			for _, dir := range tt.bundles {
				v := n.install(t, testkit.Data(t, "bundles/"+dir), last)
				got := n.waitFor(t, v.Name, v1alpha1.CSVPhaseSucceeded)
				if text := unmet(got); text != "" {
					t.Errorf("%s Succeeded with unmet requirements: %s", v.Name, text)
				}
				if last != "" {
					n.waitGone(t, last)
				}
				last = v.Name
			}
			v := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: n.name, Name: last}}
			if err := n.Delete(t.Context(), v); err != nil {
				t.Fatal(err)
			}
			n.waitGone(t, last)
			n.checkNothingLeft(t, v)
		})
	}
}

// checkNothingLeft fails if something that only labels tie to v still exists.
func (n *namespace) checkNothingLeft(t testing.TB, v *v1alpha1.ClusterServiceVersion) {
	t.Helper()
	owner := client.MatchingLabels(render.OwnerOf(v).Labels())
	for _, list := range []client.ObjectList{
		&rbacv1.ClusterRoleList{}, &rbacv1.ClusterRoleBindingList{},
		&admissionv1.ValidatingWebhookConfigurationList{}, &admissionv1.MutatingWebhookConfigurationList{},
	} {
		if err := n.List(t.Context(), list, owner); err != nil {
			t.Fatal(err)
		}
		if meta.LenList(list) > 0 {
			t.Errorf("%d objects left in %T", meta.LenList(list), list)
		}
	}
	crds := &apiextensionsv1.CustomResourceDefinitionList{}
	if err := n.List(t.Context(), crds); err != nil {
		t.Fatal(err)
	}
	for i := range crds.Items {
		if serving.ConvertsHere(v, crds.Items[i].Spec.Conversion) {
			t.Errorf("%s is still converted by %s", crds.Items[i].Name, v.Name)
		}
	}
}

func testScheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, apiregistrationv1.AddToScheme,
		v1alpha1.AddToScheme, operatorsv1.AddToScheme, operatorsv2.AddToScheme,
	} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// startControllers runs the controllers of this package and of operatorgroup until the test ends.
func startControllers(t testing.TB, cfg *rest.Config) {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: testScheme(t), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{ByObject: cached.Objects()},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	options, err := csv.OptionsFor(mgr)
	if err != nil {
		t.Fatal(err)
	}
	if err := csv.New(options).SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	if err := operatorgroup.New(operatorgroup.OptionsFor(mgr)).SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	conditions, err := operatorcondition.OptionsFor(mgr)
	if err != nil {
		t.Fatal(err)
	}
	if err := operatorcondition.New(conditions).SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	copies, err := copiedcsv.OptionsFor(mgr)
	if err != nil {
		t.Fatal(err)
	}
	if err := copiedcsv.New(copies).SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// namespace is a namespace on a real cluster in which a test plays the install plan.
type namespace struct {
	client.Client

	name string
}

func (n *namespace) create(t testing.TB, obj client.Object) {
	t.Helper()
	if err := n.Create(t.Context(), obj); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("create %T %s: %v", obj, obj.GetName(), err)
	}
}

// install applies the bundle in dir by hand: CRDs, CSV, RBAC.
func (n *namespace) install(t testing.TB, dir, replaces string) *v1alpha1.ClusterServiceVersion {
	t.Helper()
	var version *v1alpha1.ClusterServiceVersion
	for _, u := range manifests(t, filepath.Join(dir, "manifests")) {
		switch u.GetKind() {
		case "CustomResourceDefinition":
			crd := u.DeepCopy()
			if err := n.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(crd), client.FieldOwner("test"), client.ForceOwnership); err != nil {
				t.Fatal(err)
			}
		case "ClusterServiceVersion":
			version = &v1alpha1.ClusterServiceVersion{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, version); err != nil {
				t.Fatal(err)
			}
		}
	}
	version.Namespace, version.Spec.Replaces = n.name, replaces
	n.create(t, version)
	permissions, err := render.PermissionsOf(version)
	if err != nil {
		t.Fatal(err)
	}
	for i := range permissions.ServiceAccounts {
		account := &permissions.ServiceAccounts[i]
		if err := n.Create(t.Context(), account.DeepCopy()); apierrors.IsAlreadyExists(err) {
			patch := client.MergeFrom(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: n.name, Name: account.Name}})
			if err := n.Patch(t.Context(), account.DeepCopy(), patch); err != nil {
				t.Fatal(err)
			}
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for i := range permissions.Roles {
		n.create(t, &permissions.Roles[i])
		n.create(t, &permissions.RoleBindings[i])
	}
	for i := range permissions.ClusterRoles {
		n.create(t, &permissions.ClusterRoles[i])
		n.create(t, &permissions.ClusterRoleBindings[i])
	}
	return version
}

func manifests(t testing.TB, dir string) []*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in %s: %v", dir, err)
	}
	slices.Sort(files)
	var objects []*unstructured.Unstructured
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
		for {
			u := &unstructured.Unstructured{}
			if err := decoder.Decode(u); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			objects = append(objects, u)
		}
	}
	return objects
}

func (n *namespace) waitFor(t testing.TB, name string, phase v1alpha1.ClusterServiceVersionPhase) *v1alpha1.ClusterServiceVersion {
	t.Helper()
	got := &v1alpha1.ClusterServiceVersion{}
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := n.Get(ctx, client.ObjectKey{Namespace: n.name, Name: name}, got)
		return err == nil && got.Status.Phase == phase, nil
	})
	if err != nil {
		t.Fatalf("%s is %s/%s %q, want %s\n%s", name, got.Status.Phase, got.Status.Reason, got.Status.Message, phase, unmet(got))
	}
	return got
}

func unmet(v *v1alpha1.ClusterServiceVersion) (text string) {
	for _, r := range v.Status.RequirementStatus {
		if r.Status != v1alpha1.RequirementStatusReasonPresent {
			text += fmt.Sprintf("%s %s: %s %s\n", r.Kind, r.Name, r.Status, r.Message)
		}
	}
	return text
}

func (n *namespace) waitGone(t testing.TB, name string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return apierrors.IsNotFound(n.Get(ctx, client.ObjectKey{Namespace: n.name, Name: name}, &v1alpha1.ClusterServiceVersion{})), nil
	})
	if err != nil {
		t.Fatalf("%s still exists", name)
	}
}

// phases lists the phases in the history of v.
func phases(v *v1alpha1.ClusterServiceVersion) (list []string) {
	for _, c := range v.Status.Conditions {
		list = append(list, fmt.Sprintf("%s/%s", c.Phase, c.Reason))
	}
	return list
}
