package installplan_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
	"chandler.dev/olm/pkg/registry"
)

// toolbox is a bundle with an object of every sort that plans write.
func toolbox(t *testing.T) registry.Bundle {
	t.Helper()
	csv := &v1alpha1.ClusterServiceVersion{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.ClusterServiceVersionAPIVersion, Kind: v1alpha1.ClusterServiceVersionKind},
		ObjectMeta: metav1.ObjectMeta{Name: "toolbox.v1.0.0"},
	}
	csv.Spec.InstallStrategy.StrategyName = v1alpha1.InstallStrategyNameDeployment
	rule := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}
	permissions := []v1alpha1.StrategyDeploymentPermissions{{ServiceAccountName: "tool", Rules: []rbacv1.PolicyRule{rule}}}
	csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs = []v1alpha1.StrategyDeploymentSpec{}
	csv.Spec.InstallStrategy.StrategySpec.Permissions, csv.Spec.InstallStrategy.StrategySpec.ClusterPermissions = permissions, permissions
	monitors := crdV1("servicemonitors.toolbox.example", "v1")
	monitors.Spec.Names.Kind = "ServiceMonitor"
	monitors.Spec.Versions[0].Schema.OpenAPIV3Schema.XPreserveUnknownFields = new(true)
	meta := metav1.ObjectMeta{Name: "tool"}
	b := registry.Bundle{Package: "toolbox", Version: "1.0.0", Name: csv.Name}
	for _, obj := range []client.Object{
		csv, monitors,
		&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: meta, Data: map[string]string{"a": "1", "b": "2"}},
		&corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta, StringData: map[string]string{"a": "1"}},
		&corev1.Service{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: meta,
			Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "tool"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
		},
		&policyv1.PodDisruptionBudget{
			TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}, ObjectMeta: meta,
			Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "tool"}}},
		},
		&schedulingv1.PriorityClass{
			TypeMeta: metav1.TypeMeta{APIVersion: "scheduling.k8s.io/v1", Kind: "PriorityClass"}, ObjectMeta: meta, Value: 7, Description: "tools",
		},
		&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "toolbox.example/v1", "kind": "ServiceMonitor", "metadata": map[string]any{"name": "tool"}, "spec": map[string]any{"every": "5s"},
		}},
	} {
		raw, err := json.Marshal(obj)
		if err != nil {
			t.Fatal(err)
		}
		b.Content.Objects = append(b.Content.Objects, raw)
	}
	b.Content.CSV = b.Content.Objects[0]
	return b
}

// TestPlansKeepWhatTheyInstalled changes and deletes what a complete plan
// installed. It has to be again as it was, with what others added still there.
func TestPlansKeepWhatTheyInstalled(t *testing.T) {
	b := toolbox(t)
	r := start(t, b)
	ns := r.space(t)
	plan := r.plan(t, ns, b, 0)
	if plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Fatalf("%+v", plan.Status)
	}
	// The definition comes last: with it goes what it defines, and the watch of it.
	for _, st := range slices.Backward(plan.Status.Plan) {
		if st.Resource.Kind == v1alpha1.ClusterServiceVersionKind {
			continue
		}
		obj := &unstructured.Unstructured{}
		obj.SetAPIVersion(st.Resource.Group + "/" + st.Resource.Version)
		if st.Resource.Group == "" {
			obj.SetAPIVersion(st.Resource.Version)
		}
		obj.SetKind(st.Resource.Kind)
		if st.Resource.Kind == "BundleSecret" {
			obj.SetKind("Secret")
		}
		obj.SetName(st.Resource.Name)
		switch obj.GetKind() {
		case "CustomResourceDefinition", "PriorityClass", "ClusterRole", "ClusterRoleBinding":
		default:
			obj.SetNamespace(ns)
		}
		t.Run("an edited "+obj.GetKind(), func(t *testing.T) { r.editAndWait(t, obj.DeepCopy()) })
		t.Run("a deleted "+obj.GetKind(), func(t *testing.T) { r.deleteAndWait(t, obj.DeepCopy()) })
	}
	monitor := &unstructured.Unstructured{}
	monitor.SetAPIVersion("toolbox.example/v1")
	monitor.SetKind("ServiceMonitor")
	testkit.Eventually(t, time.Minute, func(ctx context.Context) error {
		return r.Client.Get(ctx, client.ObjectKey{Namespace: ns, Name: "tool"}, monitor)
	})

	before := r.writes.Load()
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "tool"}}
	if err := r.Client.Patch(t.Context(), sa, client.RawPatch("application/merge-patch+json", []byte(`{"imagePullSecrets":[{"name":"mirror"}],"metadata":{"labels":{"team":"x"}}}`))); err != nil {
		t.Fatal(err)
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "tool"}}
	if err := r.Client.Delete(t.Context(), cm); err != nil { // its restoration comes after the look at the other
		t.Fatal(err)
	}
	testkit.Eventually(t, 30*time.Second, func(ctx context.Context) error { return r.Client.Get(ctx, client.ObjectKeyFromObject(cm), cm) })
	if n := r.writes.Load() - before; n != 1 {
		t.Errorf("%d writes, want one: what others added is not taken away", n)
	}
}

// edits are what somebody does to an object of a kind: as a merge patch.
var edits = map[string]string{
	"CustomResourceDefinition": `{"spec":{"names":{"shortNames":["sm"]}},"metadata":{"annotations":{"other":"x"}}}`,
	"ConfigMap":                `{"data":{"a":"9","b":null,"c":"3"},"metadata":{"annotations":{"other":"x"}}}`,
	"Secret":                   `{"data":{"a":"Mg=="},"metadata":{"annotations":{"other":"x"}}}`,
	"Service":                  `{"spec":{"selector":{"app":"nobody"}},"metadata":{"annotations":{"other":"x"}}}`,
	"PodDisruptionBudget":      `{"spec":{"minAvailable":0},"metadata":{"annotations":{"other":"x"}}}`,
	"PriorityClass":            `{"description":"","metadata":{"annotations":{"other":"x"}}}`,
	"ServiceMonitor":           `{"spec":{"every":"1h"},"metadata":{"annotations":{"other":"x"}}}`,
	"ServiceAccount":           `{"metadata":{"ownerReferences":null,"annotations":{"other":"x"}}}`,
	"Role":                     `{"rules":[],"metadata":{"annotations":{"other":"x"}}}`,
	"RoleBinding":              `{"subjects":[],"metadata":{"annotations":{"other":"x"}}}`,
	"ClusterRole":              `{"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}],"metadata":{"annotations":{"other":"x"}}}`,
	"ClusterRoleBinding":       `{"metadata":{"labels":{"olm.managed":null},"annotations":{"other":"x"}}}`,
}

func (r *running) editAndWait(t *testing.T, obj *unstructured.Unstructured) {
	t.Helper()
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
		t.Fatal(err)
	}
	want := essence(t, obj)
	edited := obj.DeepCopy()
	if err := r.Client.Patch(t.Context(), edited, client.RawPatch("application/merge-patch+json", []byte(edits[obj.GetKind()])), client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	if essence(t, edited) == want {
		t.Fatalf("the edit changed nothing: %s", want)
	}
	testkit.Eventually(t, 30*time.Second, func(ctx context.Context) error {
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		if got := essence(t, obj); got != want {
			return fmt.Errorf("it is\n%s, not\n%s", got, want)
		}
		return nil
	})
	if obj.GetAnnotations()["other"] != "x" {
		t.Errorf("the annotation of somebody else is gone: %v", obj.GetAnnotations())
	}
}

// essence is what a plan says about an object, as text.
func essence(t *testing.T, obj *unstructured.Unstructured) string {
	t.Helper()
	parts := map[string]any{"managed": obj.GetLabels()["olm.managed"], "owners": len(obj.GetOwnerReferences())}
	for _, field := range []string{"spec", "rules", "subjects", "roleRef", "description", "value", "type"} {
		parts[field] = obj.Object[field]
	}
	data, _, _ := unstructured.NestedStringMap(obj.Object, "data")
	parts["a"], parts["b"] = data["a"], data["b"]
	text, err := json.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (r *running) deleteAndWait(t *testing.T, obj *unstructured.Unstructured) {
	t.Helper()
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
		t.Fatal(err)
	}
	before := obj.GetUID()
	if err := r.Client.Delete(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 30*time.Second, func(ctx context.Context) error {
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		if obj.GetUID() == before || obj.GetDeletionTimestamp() != nil {
			return fmt.Errorf("%s is still the old one", obj.GetName())
		}
		return nil
	})
	if crd := (&apiextensionsv1.CustomResourceDefinition{}); obj.GetKind() == "CustomResourceDefinition" {
		testkit.Eventually(t, 30*time.Second, func(ctx context.Context) error {
			if err := r.Client.Get(ctx, client.ObjectKeyFromObject(obj), crd); err != nil || len(crd.Status.Conditions) < 2 {
				return fmt.Errorf("not established: %w", err)
			}
			return nil
		})
	}
}
