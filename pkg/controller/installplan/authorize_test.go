package installplan_test

import (
	"context"
	"strings"
	"testing"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/admission"
	"chandler.dev/olm/pkg/controller/installplan"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/kube"
)

// authority refuses the needs that match, and remembers what it was asked.
type authority struct {
	refuses bool
	err     error
	cases   []admission.Case
}

func (a *authority) Judge(_ context.Context, c admission.Case) ([]admission.Judgement, error) {
	a.cases = append(a.cases, c)
	if a.err != nil || !a.refuses {
		return nil, a.err
	}
	return []admission.Judgement{{Bundle: c.Bundles[0], By: "jane", Role: "who asked for it", Missing: c.Bundles[0].Needs}}, nil
}

func (a *authority) Requesters(context.Context, *v1alpha1.InstallPlan) ([]admission.Record, error) {
	return []admission.Record{{Username: "jane", Epoch: "now"}}, a.err
}

// passAs reconciles the plan p once with an authority.
func (w *world) passAs(a *authority, advisory bool) *v1alpha1.InstallPlan {
	w.t.Helper()
	plan := &v1alpha1.InstallPlan{}
	key := client.ObjectKey{Namespace: "ns", Name: "p"}
	if err := w.client.Get(w.t.Context(), key, plan); err != nil {
		w.t.Fatal(err)
	}
	r := installplan.New(installplan.Options{
		Client: w.client, Cluster: kube.New(w.client), Contents: w.contents, Clock: w.clock, CatalogNamespace: "olm", Authority: a, Advisory: advisory,
	})
	if _, err := r.Reconcile(w.t.Context(), plan); err != nil {
		w.t.Fatal(err)
	}
	if err := w.client.Get(w.t.Context(), key, plan); err != nil {
		w.t.Fatal(err)
	}
	return plan
}

// grantingPlan installs a ConfigMap and a ClusterRole.
func grantingPlan() *v1alpha1.InstallPlan {
	return handMade("p",
		&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "c"}},
		&rbacv1.ClusterRole{
			TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"}, ObjectMeta: metav1.ObjectMeta{Name: "r"},
			Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}}},
		})
}

func isHeld(t *testing.T, w *world, plan *v1alpha1.InstallPlan, wants ...string) {
	t.Helper()
	condition := plan.Status.GetCondition(v1alpha1.InstallPlanInstalled)
	if plan.Status.Phase != v1alpha1.InstallPlanPhaseRequiresApproval || plan.Spec.Approved || condition.Reason != installplan.ReasonRights {
		t.Errorf("plan is %s, approved: %v, %s; want it held", plan.Status.Phase, plan.Spec.Approved, condition.Reason)
	}
	for _, want := range wants {
		if !strings.Contains(condition.Message, want) || !strings.Contains(plan.Status.Message, want) {
			t.Errorf("message %q and condition %q, want both to say %q", plan.Status.Message, condition.Message, want)
		}
	}
	list := &corev1.ConfigMapList{}
	if err := w.client.List(t.Context(), list); err != nil || len(list.Items) > 0 {
		t.Errorf("the plan that is held has written something (%v)", err)
	}
}

func TestHeldPlan(t *testing.T) {
	w := newWorld(t, group())
	w.add(grantingPlan())
	refusing := &authority{refuses: true}
	wants := []string{`user "jane", who asked for it`, `cannot get resource "secrets" in API group "" at the cluster scope`}
	isHeld(t, w, w.passAs(refusing, false), wants...)
	writes := len(w.writes)
	isHeld(t, w, w.passAs(refusing, false), wants...)
	if len(w.writes) != writes {
		t.Errorf("a plan that stays held is written: %q", w.writes[writes:])
	}
	if got := w.passAs(&authority{}, false); got.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Errorf("when the rights are there the plan is %s: %s", got.Status.Phase, got.Status.Message)
	}
}

func TestHeldPlanThatIsApproved(t *testing.T) {
	w := newWorld(t, group())
	manual := grantingPlan()
	manual.Spec.Approval = v1alpha1.ApprovalManual
	w.add(manual)
	a := &authority{refuses: true}
	isHeld(t, w, w.passAs(a, false))
	asked := len(a.cases)
	isHeld(t, w, w.passAs(a, false))
	if len(a.cases) != asked {
		t.Error("a Manual plan goes on without an approval")
	}
	plan := &v1alpha1.InstallPlan{}
	if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "p"}, plan); err != nil {
		t.Fatal(err)
	}
	plan.Spec.Approved = true
	if err := w.client.Update(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if got := w.passAs(&authority{}, false); got.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Errorf("the approved plan is %s: %s", got.Status.Phase, got.Status.Message)
	}
}

func TestPlanNobodyCanJudge(t *testing.T) {
	blind := &authority{err: failure.New(failure.Blocked, "nothing is recorded").WithHint("run setup")}
	w := newWorld(t, group())
	w.add(grantingPlan())
	isHeld(t, w, w.passAs(blind, false), "nothing is recorded; run setup")
}

func TestAdvisoryAuthority(t *testing.T) {
	w := newWorld(t, group())
	w.add(grantingPlan())
	if got := w.passAs(&authority{refuses: true}, true); got.Status.Phase != v1alpha1.InstallPlanPhaseComplete {
		t.Errorf("a plan that is only warned about is %s: %s", got.Status.Phase, got.Status.Message)
	}
}

// TestRequestersOfDependencies checks that a Subscription which a plan makes says for
// whom: the lifecycle makes the request, but is not the one who asks.
func TestRequestersOfDependencies(t *testing.T) {
	for name, tt := range map[string]struct {
		authority *authority
		want      string
	}{
		"those of the plan":          {&authority{}, `[{"username":"jane","epoch":"now"}]`},
		"nobody, if nobody can tell": {nil, "null"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, group())
			sub := &v1alpha1.Subscription{
				TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.SubscriptionCRDAPIVersion, Kind: v1alpha1.SubscriptionKind},
				ObjectMeta: metav1.ObjectMeta{Name: "dependency"}, Spec: &v1alpha1.SubscriptionSpec{Package: "d"},
			}
			w.add(handMade("p", sub))
			if tt.authority != nil {
				w.passAs(tt.authority, false)
			} else if _, err := w.pass("p"); err != nil {
				t.Fatal(err)
			}
			got := &v1alpha1.Subscription{}
			if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "dependency"}, got); err != nil {
				t.Fatal(err)
			}
			if text := got.Annotations[admission.AnnotationRequestedFor]; text != tt.want {
				t.Errorf("requested for %s, want %s", text, tt.want)
			}
		})
	}
}
