package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// TestAdoption takes over a namespace as OLM v0 leaves it: field ownership of
// others, a plan whose steps carry manifests, nothing of ours. No pod may
// restart, no version may be installed again, and upgrades go on from there.
func TestAdoption(t *testing.T) {
	t.Parallel()
	bundles := testkit.Data(t, "bundles")
	s := startStack(t)
	s.catalogSource(t, "adopt", serve(t, bundleSubset(t, bundles, "etcd")))
	ns := s.Namespace(t, "adopt")
	s.group(t, ns, ns)
	key := s.subscribe(t, wish{ns: ns, pkg: "etcd", channel: etcdChannel, start: etcdFirst, catalog: "adopt", manual: true})
	s.approve(t, ns, etcdFirst)
	testkit.Eventually(t, patience, s.csvPhase(etcdFirst, operatorsv1alpha1.CSVPhaseSucceeded)(t, ns))
	testkit.Eventually(t, patience, s.planExists(etcdSecond)(t, ns))
	s.controller.Stop()

	s.makeForeign(t, ns, key)
	before := s.workload(t, ns)
	s.controller = startController(t, s.Env, t.TempDir())
	testkit.Eventually(t, patience, s.planExists(etcdSecond)(t, ns)) // it knows what is installed and what comes next
	time.Sleep(3 * time.Second)                                      // whatever it would do wrong, it has done by now
	if diff := cmp.Diff(before, s.workload(t, ns)); diff != "" {
		t.Errorf("taking over changes what runs (-before +after):\n%s", diff)
	}
	plans := &operatorsv1alpha1.InstallPlanList{}
	if err := s.Client.List(t.Context(), plans, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	for _, p := range plans.Items {
		if p.Name != foreignPlan && !strings.Contains(strings.Join(p.Spec.ClusterServiceVersionNames, " "), etcdSecond) {
			t.Errorf("plan %s installs %q again", p.Name, p.Spec.ClusterServiceVersionNames)
		}
	}
	s.approve(t, ns, etcdSecond)
	s.waitInstalled(t, key, etcdSecond)
}

const foreignPlan = "install-x7k2p"

// makeForeign rewrites what the controller made as if another lifecycle
// manager had.
func (s *stack) makeForeign(t *testing.T, ns string, key client.ObjectKey) {
	t.Helper()
	for _, list := range []client.ObjectList{
		&appsv1.DeploymentList{}, &corev1.ServiceAccountList{}, &rbacv1.RoleList{}, &rbacv1.RoleBindingList{},
		&operatorsv1alpha1.ClusterServiceVersionList{}, &operatorsv1alpha1.SubscriptionList{},
	} {
		if err := s.Client.List(t.Context(), list, client.InNamespace(ns)); err != nil {
			t.Fatal(err)
		}
		s.disown(t, list)
	}
	crds := &apiextensionsv1.CustomResourceDefinitionList{}
	if err := s.Client.List(t.Context(), crds, client.MatchingLabels{"olm.managed": "true"}); err != nil {
		t.Fatal(err)
	}
	s.disown(t, crds)
	s.replacePlans(t, ns, key)
}

// disown drops the field ownership of objects and the annotations that are ours.
func (s *stack) disown(t *testing.T, list client.ObjectList) {
	t.Helper()
	err := meta.EachListItem(list, func(item runtime.Object) error {
		obj, ok := item.(client.Object)
		if !ok {
			return fmt.Errorf("%T is no object", item)
		}
		annotations := map[string]any{}
		for k := range obj.GetAnnotations() {
			if strings.Contains(k, "chandler.dev/") {
				annotations[k] = nil
			}
		}
		labels := map[string]any{}
		for k := range obj.GetLabels() {
			if strings.HasPrefix(k, "operators.coreos.com/") {
				labels[k] = nil
			}
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"annotations": annotations, "labels": labels, "managedFields": []any{map[string]any{}},
		}})
		if err != nil {
			return err
		}
		return s.Client.Patch(t.Context(), obj, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("olm"))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// replacePlans puts a finished plan of v0 in the place of all.
func (s *stack) replacePlans(t *testing.T, ns string, key client.ObjectKey) {
	t.Helper()
	if err := s.Client.DeleteAllOf(t.Context(), &operatorsv1alpha1.InstallPlan{}, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	plan := &operatorsv1alpha1.InstallPlan{}
	plan.Namespace, plan.Name = ns, foreignPlan
	plan.Spec = operatorsv1alpha1.InstallPlanSpec{ClusterServiceVersionNames: []string{etcdFirst}, Approval: operatorsv1alpha1.ApprovalManual, Approved: true, Generation: 1}
	s.create(t, plan)
	before := plan.DeepCopy()
	plan.Status.Phase = operatorsv1alpha1.InstallPlanPhaseComplete
	plan.Status.CatalogSources = []string{"adopt"}
	plan.Status.Plan = []*operatorsv1alpha1.Step{{
		Resolving: etcdFirst, Status: operatorsv1alpha1.StepStatusCreated,
		Resource: operatorsv1alpha1.StepResource{
			CatalogSource: "adopt", CatalogSourceNamespace: "olm", Group: "operators.coreos.com", Version: "v1alpha1", Kind: "ClusterServiceVersion", Name: etcdFirst,
			Manifest: `{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","metadata":{"name":"` + etcdFirst + `"}}`,
		},
	}}
	if err := s.Client.Status().Patch(t.Context(), plan, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	sub := &operatorsv1alpha1.Subscription{}
	if err := s.Client.Get(t.Context(), key, sub); err != nil {
		t.Fatal(err)
	}
	was := sub.DeepCopy()
	ref := &corev1.ObjectReference{APIVersion: "operators.coreos.com/v1alpha1", Kind: "InstallPlan", Namespace: ns, Name: plan.Name, UID: plan.UID}
	sub.Status.InstallPlanRef = ref
	sub.Status.Install = &operatorsv1alpha1.InstallPlanReference{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name, UID: ref.UID}
	sub.Status.CurrentCSV, sub.Status.InstalledCSV, sub.Status.State = etcdFirst, etcdFirst, operatorsv1alpha1.SubscriptionStateAtLatest
	sub.Status.Conditions = nil
	if err := s.Client.Status().Patch(t.Context(), sub, client.MergeFrom(was)); err != nil {
		t.Fatal(err)
	}
}

// workload is what must not change: the pods, and the generation of the
// Deployments that make them.
func (s *stack) workload(t *testing.T, ns string) map[string]string {
	t.Helper()
	out := map[string]string{}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		found := map[string]string{}
		deployments := &appsv1.DeploymentList{}
		pods := &corev1.PodList{}
		if err := s.Client.List(ctx, deployments, client.InNamespace(ns)); err != nil {
			return err
		}
		if err := s.Client.List(ctx, pods, client.InNamespace(ns)); err != nil {
			return err
		}
		for _, d := range deployments.Items {
			found["Deployment "+d.Name] = fmt.Sprintf("%s generation %d", d.UID, d.Generation)
		}
		for _, p := range pods.Items {
			found["Pod "+p.Name] = string(p.UID)
		}
		csv := &operatorsv1alpha1.ClusterServiceVersion{}
		if err := s.Client.Get(ctx, client.ObjectKey{Namespace: ns, Name: etcdFirst}, csv); err != nil {
			return err
		}
		found["ClusterServiceVersion"] = fmt.Sprintf("%s generation %d %s", csv.UID, csv.Generation, csv.Status.Phase)
		if len(pods.Items) == 0 {
			return fmt.Errorf("no pods in %s", ns)
		}
		maps.Copy(out, found)
		return nil
	})
	return out
}
