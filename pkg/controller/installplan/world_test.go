package installplan_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"chandler.dev/olm/pkg/controller/installplan"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/kube"
	"chandler.dev/olm/pkg/registry"
)

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, operatorsv1.AddToScheme, v1alpha1.AddToScheme, apiextensionsv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// newMapper serves what a cluster serves without further operators.
func newMapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: "apiextensions.k8s.io", Version: "v1"}, {Group: "policy", Version: "v1"}})
	for gvk, scope := range map[schema.GroupVersionKind]meta.RESTScope{
		{Version: "v1", Kind: "ConfigMap"}:                                               meta.RESTScopeNamespace,
		{Version: "v1", Kind: "Secret"}:                                                  meta.RESTScopeNamespace,
		{Version: "v1", Kind: "Service"}:                                                 meta.RESTScopeNamespace,
		{Version: "v1", Kind: "ServiceAccount"}:                                          meta.RESTScopeNamespace,
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"}:                meta.RESTScopeNamespace,
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"}:         meta.RESTScopeNamespace,
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"}:         meta.RESTScopeRoot,
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRoleBinding"}:  meta.RESTScopeRoot,
		{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}: meta.RESTScopeRoot,
		{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"}:                    meta.RESTScopeNamespace,
		{Group: "example.com", Version: "v1alpha1", Kind: "Widget"}:                      meta.RESTScopeNamespace,
		v1alpha1.SchemeGroupVersion.WithKind("ClusterServiceVersion"):                    meta.RESTScopeNamespace,
		v1alpha1.SchemeGroupVersion.WithKind("Subscription"):                             meta.RESTScopeNamespace,
		v1alpha1.SchemeGroupVersion.WithKind("InstallPlan"):                              meta.RESTScopeNamespace,
		operatorsv1.GroupVersion.WithKind("OperatorGroup"):                               meta.RESTScopeNamespace,
	} {
		m.Add(gvk, scope)
	}
	return m
}

// contents serves bundles by name.
type contents map[string]registry.Content

func (c contents) Content(_ context.Context, ref install.ContentRef) (registry.Content, error) {
	content, ok := c[ref.Bundle]
	if !ok {
		return content, failure.New(failure.NotFound, "gone")
	}
	return content, nil
}

// world is a cluster of fakes with the reconciler under test.
type world struct {
	t        *testing.T
	client   client.Client
	clock    *testingclock.FakePassiveClock
	contents contents
	mu       sync.Mutex // guards writes while a phase writes side by side
	writes   []string   // of everything, in order
	// failAt makes the n-th write and those after it fail; zero for none.
	failAt int
	err    error
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	w := &world{t: t, clock: testingclock.NewFakePassiveClock(time.Unix(1_700_000_000, 0)), contents: contents{}}
	w.client = fake.NewClientBuilder().WithScheme(newScheme(t)).WithRESTMapper(newMapper()).
		WithObjects(objects...).WithStatusSubresource(&v1alpha1.InstallPlan{}).WithReturnManagedFields().
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				if err := w.write("create", obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName()); err != nil {
					return err
				}
				obj.SetUID(types.UID("uid-" + obj.GetName()))
				obj.SetCreationTimestamp(metav1.NewTime(w.clock.Now()))
				return c.Create(ctx, obj, opts...)
			},
			Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
				if err := w.write("update", obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName()); err != nil {
					return err
				}
				return c.Update(ctx, obj, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
				if err := w.write("patch", obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName()); err != nil {
					return err
				}
				return c.Patch(ctx, obj, patch, opts...)
			},
			Apply: func(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				applied, ok := obj.(client.Object)
				if !ok {
					return fmt.Errorf("cannot apply %T", obj)
				}
				if err := w.write("apply", "", applied.GetName()); err != nil {
					return err
				}
				err := c.Apply(ctx, obj, opts...)
				if created := applied.GetCreationTimestamp(); err != nil || !created.IsZero() {
					return err
				}
				applied.SetCreationTimestamp(metav1.NewTime(w.clock.Now()))
				stored := &unstructured.Unstructured{}
				stored.SetGroupVersionKind(applied.GetObjectKind().GroupVersionKind())
				if err := c.Get(ctx, client.ObjectKeyFromObject(applied), stored); err != nil {
					return err
				}
				stored.SetCreationTimestamp(applied.GetCreationTimestamp())
				return c.Update(ctx, stored)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
				if err := w.write("patch", sub, obj.GetName()); err != nil {
					return err
				}
				return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
			},
		}).Build()
	return w
}

func (w *world) write(verb, kind, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = append(w.writes, strings.TrimSpace(verb+" "+kind+" "+name))
	if w.failAt > 0 && len(w.writes) >= w.failAt {
		return w.err
	}
	return nil
}

func (w *world) reconciler() *installplan.Reconciler {
	return installplan.New(installplan.Options{Client: w.client, Cluster: kube.New(w.client), Contents: w.contents, Clock: w.clock, CatalogNamespace: "olm", ConvertDefinitions: true})
}

// pass reconciles the plan once and returns it as it is then.
func (w *world) pass(name string) (*v1alpha1.InstallPlan, error) {
	w.t.Helper()
	plan := &v1alpha1.InstallPlan{}
	key := client.ObjectKey{Namespace: "ns", Name: name}
	if err := w.client.Get(w.t.Context(), key, plan); err != nil {
		w.t.Fatal(err)
	}
	_, err := w.reconciler().Reconcile(w.t.Context(), plan)
	out := &v1alpha1.InstallPlan{}
	if err := w.client.Get(w.t.Context(), key, out); err != nil {
		w.t.Fatal(err)
	}
	return out, err
}

// establish does what the API server does with CustomResourceDefinitions.
func (w *world) establish() {
	w.t.Helper()
	crds := &apiextensionsv1.CustomResourceDefinitionList{}
	if err := w.client.List(w.t.Context(), crds); err != nil {
		w.t.Fatal(err)
	}
	failAt := w.failAt
	w.failAt = 0
	defer func(n int) { w.writes, w.failAt = w.writes[:n], failAt }(len(w.writes))
	for i := range crds.Items {
		crds.Items[i].Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{
			{Type: apiextensionsv1.NamesAccepted, Status: apiextensionsv1.ConditionTrue},
			{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue},
		}
		crds.Items[i].Status.StoredVersions = []string{crds.Items[i].Spec.Versions[0].Name}
		if err := w.client.Status().Update(w.t.Context(), &crds.Items[i]); err != nil {
			w.t.Fatal(err)
		}
	}
}

// add stores a plan as its two writers leave it.
func (w *world) add(plan *v1alpha1.InstallPlan) {
	w.t.Helper()
	status := plan.Status.DeepCopy()
	plan.CreationTimestamp = metav1.NewTime(w.clock.Now())
	defer func(n int) { w.writes = w.writes[:n] }(len(w.writes))
	if err := w.client.Create(w.t.Context(), plan); err != nil {
		w.t.Fatal(err)
	}
	plan.Status = *status
	if err := w.client.Status().Update(w.t.Context(), plan); err != nil {
		w.t.Fatal(err)
	}
}

func group() *operatorsv1.OperatorGroup {
	g := &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Name: "g", Namespace: "ns"}}
	g.Status.Namespaces = []string{"ns"}
	return g
}

// planFor builds and stores the plan for a real bundle.
func (w *world) planFor(b registry.Bundle) *v1alpha1.InstallPlan {
	w.t.Helper()
	w.contents[b.Name] = b.Content
	plan, err := installplan.Build(decision(b))
	if err != nil {
		w.t.Fatal(err)
	}
	w.add(plan)
	return plan
}

// handMade returns a plan whose steps carry their objects, as v0 writes them.
func handMade(name string, objects ...client.Object) *v1alpha1.InstallPlan {
	plan := &v1alpha1.InstallPlan{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}}
	plan.Spec.Approved, plan.Spec.Approval, plan.Spec.ClusterServiceVersionNames = true, v1alpha1.ApprovalAutomatic, []string{}
	plan.Status = v1alpha1.InstallPlanStatus{Phase: v1alpha1.InstallPlanPhaseInstalling, CatalogSources: []string{}}
	for _, o := range objects {
		raw, err := json.Marshal(o)
		if err != nil {
			continue
		}
		gvk := o.GetObjectKind().GroupVersionKind()
		plan.Status.Plan = append(plan.Status.Plan, &v1alpha1.Step{
			Resolving: "test-csv", Status: v1alpha1.StepStatusUnknown,
			Resource: v1alpha1.StepResource{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Name: o.GetName(), Manifest: string(raw)},
		})
	}
	return plan
}

func stepStatuses(plan *v1alpha1.InstallPlan) map[string]v1alpha1.StepStatus {
	out := map[string]v1alpha1.StepStatus{}
	for _, s := range plan.Status.Plan {
		kind := s.Resource.Kind
		if old, ok := out[kind]; ok && old != s.Status {
			kind += " " + s.Resource.Name
		}
		out[kind] = s.Status
	}
	return out
}

// fail makes every write fail until a status is written.
func (w *world) fail(err error) {
	if err != nil {
		w.failAt, w.err = 1, err
	}
}

// passUnlessStatus is pass, with statuses written whatever else fails.
func (w *world) passUnlessStatus(name string) *v1alpha1.InstallPlan {
	w.t.Helper()
	plan := &v1alpha1.InstallPlan{}
	if err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: "ns", Name: name}, plan); err != nil {
		w.t.Fatal(err)
	}
	r := installplan.New(installplan.Options{
		Client: statusWriter{w.client, w}, Cluster: kube.New(w.client), Contents: w.contents, Clock: w.clock, CatalogNamespace: "olm",
	})
	_, err := r.Reconcile(w.t.Context(), plan)
	if err != nil {
		w.t.Logf("reconcile: %v", err)
	}
	if err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: "ns", Name: name}, plan); err != nil {
		w.t.Fatal(err)
	}
	return plan
}

// statusWriter lets statuses through.
type statusWriter struct {
	client.Client

	w *world
}

func (s statusWriter) Status() client.SubResourceWriter {
	s.w.writes, s.w.failAt = nil, 0
	return s.Client.Status()
}

func crdV1(name string, versions ...string) *apiextensionsv1.CustomResourceDefinition {
	plural, groupName, _ := strings.Cut(name, ".")
	crd := &apiextensionsv1.CustomResourceDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}
	crd.Spec.Group, crd.Spec.Scope = groupName, apiextensionsv1.NamespaceScoped
	crd.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{Plural: plural, Kind: "Widget"}
	for i, v := range versions {
		crd.Spec.Versions = append(crd.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{
			Name: v, Served: true, Storage: i == 0,
			Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}},
		})
	}
	return crd
}
