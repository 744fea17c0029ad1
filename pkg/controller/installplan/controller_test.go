package installplan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/installplan"
)

func TestReconcileInstalls(t *testing.T) {
	w := newWorld(t, group())
	b := realBundle(t, "etcd", "0.9.4")
	name := w.planFor(b).Name

	plan, err := w.pass(name)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]v1alpha1.StepStatus{
		"ClusterServiceVersion": "Unknown", "CustomResourceDefinition": "WaitingForApi",
		"ServiceAccount": "Unknown", "Role": "Unknown", "RoleBinding": "Unknown",
	}
	if diff := cmp.Diff(want, stepStatuses(plan)); diff != "" || plan.Status.Phase != v1alpha1.InstallPlanPhaseInstalling {
		t.Errorf("after the first pass: phase %q, steps (-want +got)\n%s", plan.Status.Phase, diff)
	}

	w.establish()
	if plan, err = w.pass(name); err != nil {
		t.Fatal(err)
	}
	for kind := range want {
		want[kind] = v1alpha1.StepStatusCreated
	}
	if diff := cmp.Diff(want, stepStatuses(plan)); diff != "" {
		t.Errorf("after the second pass: steps (-want +got)\n%s", diff)
	}
	if plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete || plan.Status.GetCondition(v1alpha1.InstallPlanInstalled).Status != corev1.ConditionTrue || plan.Status.Message != "" {
		t.Errorf("after the second pass: %q %q %+v", plan.Status.Phase, plan.Status.Message, plan.Status.Conditions)
	}
	if limit := 2 * len(plan.Status.Plan); len(w.writes) > limit {
		t.Errorf("%d writes for %d objects: %v", len(w.writes), len(plan.Status.Plan), w.writes)
	}

	csv := &v1alpha1.ClusterServiceVersion{}
	if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: b.Name}, csv); err != nil {
		t.Fatal(err)
	}
	if csv.Annotations["operatorframework.io/properties"] == "" || csv.Labels["olm.managed"] != "true" {
		t.Errorf("ClusterServiceVersion = %+v", csv.ObjectMeta)
	}
	sa := &corev1.ServiceAccount{}
	if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "etcd-operator"}, sa); err != nil {
		t.Fatal(err)
	}
	if len(sa.OwnerReferences) != 1 || sa.OwnerReferences[0].UID != csv.UID {
		t.Errorf("owners of the ServiceAccount = %+v, want %q", sa.OwnerReferences, csv.UID)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := w.client.Get(t.Context(), client.ObjectKey{Name: "etcdclusters.etcd.database.coreos.com"}, crd); err != nil {
		t.Fatal(err)
	}
	var alongside []string
	for k, v := range crd.Annotations {
		if strings.HasPrefix(k, "operatorframework.io/installed-alongside-") {
			alongside = append(alongside, v)
		}
	}
	if diff := cmp.Diff([]string{"ns/" + b.Name}, alongside); diff != "" {
		t.Errorf("alongside (-want +got)\n%s", diff)
	}

	w.writes = nil
	if _, err := w.pass(name); err != nil || len(w.writes) > 0 {
		t.Errorf("a complete plan: %v, writes %v", err, w.writes)
	}
}

// TestReconcileSurvivesCrashes ends the controller at every write in turn and
// starts a new one.
func TestReconcileSurvivesCrashes(t *testing.T) {
	b := realBundle(t, "etcd", "0.9.4")
	for at := 1; ; at++ {
		w := newWorld(t, group())
		name := w.planFor(b).Name
		w.failAt, w.err = at, errors.New("killed")
		for range 3 {
			_, _ = w.pass(name)
			w.establish()
		}
		crashed := len(w.writes) >= at
		w.failAt, w.writes = 0, nil
		var plan *v1alpha1.InstallPlan
		for range 3 {
			var err error
			if plan, err = w.pass(name); err != nil {
				t.Fatalf("killed at write %d: %v", at, err)
			}
			w.establish()
		}
		if plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
			t.Errorf("killed at write %d: phase %q, message %q", at, plan.Status.Phase, plan.Status.Message)
		}
		for kind, status := range stepStatuses(plan) {
			if status != v1alpha1.StepStatusCreated {
				t.Errorf("killed at write %d: %s is %q", at, kind, status)
			}
		}
		if !crashed {
			return
		}
	}
}

func TestReconcileWaitsForApproval(t *testing.T) {
	w := newWorld(t, group())
	b := realBundle(t, "snapscheduler", "3.5.0")
	w.contents[b.Name] = b.Content
	in := decision(b)
	in.Approval = v1alpha1.ApprovalManual
	plan, err := installplan.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	w.add(plan)
	got, err := w.pass(plan.Name)
	if err != nil || len(w.writes) != 0 || got.Status.Phase != v1alpha1.InstallPlanPhaseRequiresApproval {
		t.Fatalf("before approval: %v, writes %v, phase %q", err, w.writes, got.Status.Phase)
	}
	got.Spec.Approved = true
	if err := w.client.Update(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if got, err = w.pass(plan.Name); err != nil || got.Status.Phase != v1alpha1.InstallPlanPhaseInstalling {
		t.Fatalf("after approval: %v, phase %q", err, got.Status.Phase)
	}
}

func TestReconcileRefusesBeforeWriting(t *testing.T) {
	stored := crdV1("widgets.example.com", "v1alpha1")
	stored.Status.StoredVersions = []string{"v1alpha1"}
	widget := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1alpha1", "kind": "Widget", "metadata": map[string]any{"name": "w", "namespace": "ns"},
		"spec": map[string]any{"size": int64(3)},
	}}
	object := func(apiVersion, kind string) client.Object {
		u := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}, ObjectMeta: metav1.ObjectMeta{Name: "o"}}
		return u
	}
	good := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "good"}}
	tests := map[string]struct {
		existing   []client.Object
		object     client.Object
		want       string
		wantStatus v1alpha1.StepStatus
	}{
		"a CRD of a removed API": {
			object: func() client.Object {
				crd := crdV1("widgets.example.com", "v1")
				crd.APIVersion = "apiextensions.k8s.io/v1beta1"
				crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties = map[string]apiextensionsv1.JSONSchemaProps{"spec": {}}
				return crd
			}(),
			want: `CustomResourceDefinition "widgets.example.com" uses apiextensions.k8s.io/v1beta1, which this cluster does not serve, and cannot be converted to v1: ` +
				`spec.versions[0].schema.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields; ` +
				`choose a version of the operator whose CustomResourceDefinitions are apiextensions.k8s.io/v1`,
			wantStatus: v1alpha1.StepStatusUnknown,
		},
		"an object of a removed API": {
			object: object("policy/v1beta1", "PodDisruptionBudget"),
			want: `PodDisruptionBudget "o" uses policy/v1beta1, which this cluster does not serve; ` +
				`choose a version of the operator that uses a version of this API which the cluster serves`,
			wantStatus: v1alpha1.StepStatusUnknown,
		},
		"a kind that is not supported": {
			object: object("v1", "Namespace"),
			want: `a bundle cannot bring Namespace "o": kind "Namespace" is not supported; ` +
				`remove it from the bundle and let the operator create it`,
			wantStatus: v1alpha1.StepStatusUnsupportedResource,
		},
		"a CRD that forgets a version in which an object says more": {
			existing: []client.Object{stored, widget},
			object:   crdV1("widgets.example.com", "v1"),
			want: `CustomResourceDefinition "widgets.example.com" would lose version v1alpha1, in which objects are stored: ` +
				`Widget "ns/w" would lose spec; remove the field, or rewrite the objects in a version that stays, then remove v1alpha1 from its status.storedVersions`,
			wantStatus: v1alpha1.StepStatusUnknown,
		},
		"a CRD with the wrong name": {
			object: func() client.Object {
				crd := crdV1("widgets.example.com", "v1")
				crd.Name = "gadgets.example.com"
				return crd
			}(),
			want:       `CustomResourceDefinition "gadgets.example.com" must be named "widgets.example.com"`,
			wantStatus: v1alpha1.StepStatusUnknown,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append(tt.existing, group())...)
			w.add(handMade("p", good, tt.object))
			plan, err := w.pass("p")
			if err != nil {
				t.Fatal(err)
			}
			installed := plan.Status.GetCondition(v1alpha1.InstallPlanInstalled)
			if plan.Status.Phase != v1alpha1.InstallPlanPhaseFailed || installed.Status != corev1.ConditionFalse || installed.Reason != installplan.ReasonRefused {
				t.Errorf("phase %q, condition %+v", plan.Status.Phase, installed)
			}
			if diff := cmp.Diff(tt.want, installed.Message); diff != "" {
				t.Errorf("message (-want +got)\n%s", diff)
			}
			if plan.Status.Plan[1].Status != tt.wantStatus {
				t.Errorf("step status %q, want %q", plan.Status.Plan[1].Status, tt.wantStatus)
			}
			if diff := cmp.Diff([]string{"patch status p"}, w.writes); diff != "" {
				t.Errorf("writes (-want +got)\n%s", diff)
			}
		})
	}
}

func TestReconcileRetries(t *testing.T) {
	good := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "good"}}
	owned := good.DeepCopy()
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "operators.coreos.com/v1alpha1", Kind: "ClusterServiceVersion", Name: "test-owner"}}
	autoscaler := &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "autoscaling.k8s.io/v1", Kind: "VerticalPodAutoscaler"}, ObjectMeta: metav1.ObjectMeta{Name: "my.thing"},
	}
	resource := schema.GroupResource{Resource: "configmaps"}
	missing := handMade("p", good)
	missing.Status.Plan[0].Resource.Manifest = `{"kind":"BundleContent","catalogName":"cat","catalogNamespace":"olm","package":"x","bundle":"x.v1","digest":"sha256:0"}`

	const later = 90 * time.Second
	tests := map[string]struct {
		plan       *v1alpha1.InstallPlan
		err        error // of the API server
		cure       func(*world)
		wantText   string // in status.message while it is retried
		wantPhase  v1alpha1.InstallPlanPhase
		wantReason v1alpha1.InstallPlanConditionReason
	}{
		"an owner that never comes ends the plan": {
			plan: handMade("p", owned), wantText: `is owned by ClusterServiceVersion "test-owner", which does not exist`,
			wantPhase: v1alpha1.InstallPlanPhaseFailed, wantReason: "InstallComponentFailed",
		},
		"an owner that comes completes the plan": {
			plan: handMade("p", owned), wantText: `"test-owner"`,
			cure: func(w *world) {
				csv := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Name: "test-owner", Namespace: "ns"}}
				if err := w.client.Create(w.t.Context(), csv); err != nil {
					w.t.Fatal(err)
				}
			},
			wantPhase: v1alpha1.InstallPlanPhaseComplete,
		},
		"an API that nobody serves ends the plan": {
			plan: handMade("p", autoscaler),
			wantText: "api-server resource not found installing VerticalPodAutoscaler my.thing: GroupVersionKind " +
				"autoscaling.k8s.io/v1, Kind=VerticalPodAutoscaler not found on the cluster",
			wantPhase: v1alpha1.InstallPlanPhaseFailed, wantReason: "InstallComponentFailed",
		},
		"content that is gone ends the plan": {
			plan: missing, wantText: `no longer has the content of "x.v1"`,
			wantPhase: v1alpha1.InstallPlanPhaseFailed, wantReason: installplan.ReasonContentChanged,
		},
		"missing rights never end it": {
			plan: handMade("p", good), err: apierrors.NewForbidden(resource, "good", errors.New(`cannot create resource "configmaps" in API group ""`)),
			wantText: `cannot create resource "configmaps" in API group`, wantPhase: v1alpha1.InstallPlanPhaseInstalling,
		},
		"a busy API server never ends it": {
			plan: handMade("p", good), err: apierrors.NewServerTimeout(resource, "patch", 1),
			wantText: "the API server is not able to answer now", wantPhase: v1alpha1.InstallPlanPhaseInstalling,
		},
		"a conflict is not mentioned": {
			plan: handMade("p", good), err: apierrors.NewConflict(resource, "good", errors.New("modified")),
			wantText: "", wantPhase: v1alpha1.InstallPlanPhaseInstalling,
		},
		"an object that the API server rejects ends the plan": {
			plan: handMade("p", good), err: apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "good", nil),
			wantText: "the API server rejects it", wantPhase: v1alpha1.InstallPlanPhaseFailed, wantReason: "InstallComponentFailed",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, group())
			w.add(tt.plan.DeepCopy())
			w.fail(tt.err)
			plan := w.passUnlessStatus("p")
			if plan.Status.Phase != v1alpha1.InstallPlanPhaseInstalling || !strings.Contains(plan.Status.Message, tt.wantText) {
				t.Errorf("at first: phase %q, message %q, want %q", plan.Status.Phase, plan.Status.Message, tt.wantText)
			}
			if tt.cure != nil {
				tt.cure(w)
			}
			w.clock.SetTime(w.clock.Now().Add(later))
			w.fail(tt.err)
			plan = w.passUnlessStatus("p")
			if plan.Status.Phase != tt.wantPhase || (tt.wantReason != "" && plan.Status.GetCondition(v1alpha1.InstallPlanInstalled).Reason != tt.wantReason) {
				t.Errorf("later: phase %q, conditions %+v, message %q", plan.Status.Phase, plan.Status.Conditions, plan.Status.Message)
			}
		})
	}
}

func TestReconcileNeedsOneGroup(t *testing.T) {
	second := group()
	second.Name = "h"
	unfinished := group()
	unfinished.Status.Namespaces = nil
	limited := group()
	limited.Spec.ServiceAccountName = "sa"
	tests := map[string]struct {
		groups []client.Object
		want   string
	}{
		"none":                            {nil, "no operator group found that is managing this namespace"},
		"one that selects nothing yet":    {[]client.Object{unfinished}, "no operator group found that is managing this namespace"},
		"two":                             {[]client.Object{group(), second}, "more than one operator group(s) are managing this namespace count=2"},
		"one whose service account lacks": {[]client.Object{limited}, "please make sure the service account exists. sa=sa operatorgroup=ns/g"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.groups...)
			w.add(handMade("p", &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "c"}}))
			plan, err := w.pass("p")
			if err != nil {
				t.Fatal(err)
			}
			installed := plan.Status.GetCondition(v1alpha1.InstallPlanInstalled)
			if plan.Status.Phase != v1alpha1.InstallPlanPhaseInstalling || installed.Reason != "InstallCheckFailed" || installed.Message != tt.want {
				t.Errorf("phase %q, condition %+v", plan.Status.Phase, installed)
			}
			if len(tt.groups) > 0 {
				return
			}
			if err := w.client.Create(t.Context(), group()); err != nil {
				t.Fatal(err)
			}
			if plan, err = w.pass("p"); err != nil || plan.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
				t.Errorf("with a group: %v, phase %q, %+v", err, plan.Status.Phase, plan.Status.Conditions)
			}
		})
	}
}

func TestReconcileIgnores(t *testing.T) {
	tests := map[string]func(*v1alpha1.InstallPlan){
		"a plan without a status":  func(p *v1alpha1.InstallPlan) { p.Status = v1alpha1.InstallPlanStatus{CatalogSources: []string{}} },
		"a plan that failed":       func(p *v1alpha1.InstallPlan) { p.Status.Phase = v1alpha1.InstallPlanPhaseFailed },
		"a plan that is planned":   func(p *v1alpha1.InstallPlan) { p.Status.Phase = v1alpha1.InstallPlanPhasePlanning },
		"a plan that is complete":  func(p *v1alpha1.InstallPlan) { p.Status.Phase = v1alpha1.InstallPlanPhaseComplete },
		"a plan that has no steps": func(p *v1alpha1.InstallPlan) { p.Status.Plan = nil },
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, group())
			plan := handMade("p", &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "c"}})
			edit(plan)
			w.add(plan)
			if _, err := w.pass("p"); err != nil || len(w.writes) > 0 {
				t.Errorf("Reconcile() = %v, writes %v", err, w.writes)
			}
		})
	}
}

func TestSurplus(t *testing.T) {
	plan := func(owner string, generation int, phase v1alpha1.InstallPlanPhase) v1alpha1.InstallPlan {
		p := v1alpha1.InstallPlan{}
		p.Name = fmt.Sprintf("%s-%d", owner, generation)
		p.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(owner)}}
		p.Spec.Generation, p.Status.Phase = generation, phase
		return p
	}
	complete, installing := v1alpha1.InstallPlanPhaseComplete, v1alpha1.InstallPlanPhaseInstalling
	var plans []v1alpha1.InstallPlan
	for i := range 8 {
		phase := complete
		if i == 1 {
			phase = installing
		}
		plans = append(plans, plan("a", i, phase))
	}
	for i := range 5 {
		plans = append(plans, plan("b", i, complete))
	}
	slices.Reverse(plans)
	var got []string
	for _, p := range installplan.Surplus(plans) {
		got = append(got, p.Name)
	}
	if diff := cmp.Diff([]string{"a-0", "a-2"}, got); diff != "" {
		t.Errorf("Surplus() (-want +got)\n%s", diff)
	}
}
