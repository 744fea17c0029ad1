package csv_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func withWebhook(v *v1alpha1.ClusterServiceVersion) {
	ownsGhosts(v)
	none := admissionv1.SideEffectClassNone
	v.Spec.WebhookDefinitions = []v1alpha1.WebhookDescription{{
		GenerateName: "vghost.example.com", Type: v1alpha1.ValidatingAdmissionWebhook, DeploymentName: "op", ContainerPort: 443,
		SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
	}}
}

func TestWebhooksWaitForPods(t *testing.T) {
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", withWebhook), ghosts())
	configurations := func() []admissionv1.ValidatingWebhookConfiguration {
		list := &admissionv1.ValidatingWebhookConfigurationList{}
		if err := w.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		return list.Items
	}
	w.mustReconcile("v1")
	w.want("v1", "Installing/InstallSucceeded")
	if got := configurations(); len(got) != 0 {
		t.Fatalf("%d webhook configurations before a pod is ready, want none", len(got))
	}
	w.makeReady()
	w.mustReconcile("v1") // switches on
	w.mustReconcile("v1")
	w.want("v1", "Succeeded/InstallSucceeded")
	got := configurations()
	if len(got) != 1 {
		t.Fatalf("%d webhook configurations, want 1", len(got))
	}
	secret := &corev1.Secret{}
	if !w.get(secret, "op-service-cert") {
		t.Fatal("no certificate")
	}
	hook := got[0].Webhooks[0]
	if string(hook.ClientConfig.CABundle) != string(secret.Data["olmCAKey"]) || hook.ClientConfig.Service.Name != "op-service" {
		t.Errorf("webhook calls %v with a CA that is not that of the secret", hook.ClientConfig.Service)
	}
	if diff := cmp.Diff(map[string]string{"olm.operatorgroup.uid/uid-g": ""}, hook.NamespaceSelector.MatchLabels); diff != "" {
		t.Errorf("namespaceSelector (-want +got):\n%s", diff)
	}

	if err := w.Delete(t.Context(), &got[0]); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile("v1")
	if len(configurations()) != 1 {
		t.Error("a deleted webhook configuration was not put back")
	}
	w.want("v1", "Succeeded/InstallSucceeded")
}

// TestWhatServesIsPutRight edits what lets the API server call a Succeeded version.
func TestWhatServesIsPutRight(t *testing.T) {
	fail, ignore := admissionv1.Fail, admissionv1.Ignore
	strict := func(v *v1alpha1.ClusterServiceVersion) {
		withWebhook(v)
		v.Spec.WebhookDefinitions[0].FailurePolicy = &fail
	}
	configuration := func(w *fakeWorld) *admissionv1.ValidatingWebhookConfiguration {
		list := &admissionv1.ValidatingWebhookConfigurationList{}
		if err := w.List(t.Context(), list); err != nil || len(list.Items) != 1 {
			t.Fatalf("%d webhook configurations, %v", len(list.Items), err)
		}
		return &list.Items[0]
	}
	role := func(w *fakeWorld) *rbacv1.Role {
		role := &rbacv1.Role{}
		w.get(role, "op-service-cert")
		return role
	}
	service := func(w *fakeWorld) *corev1.Service {
		service := &corev1.Service{}
		w.get(service, "op-service")
		return service
	}
	tests := map[string]struct {
		edit func(*fakeWorld) client.Object
		good func(*fakeWorld) bool
	}{
		"a policy of a webhook": {
			func(w *fakeWorld) client.Object {
				c := configuration(w)
				c.Webhooks[0].FailurePolicy = &ignore
				return c
			},
			func(w *fakeWorld) bool { return *configuration(w).Webhooks[0].FailurePolicy == fail },
		},
		"the namespaces of a webhook": {
			func(w *fakeWorld) client.Object {
				c := configuration(w)
				c.Webhooks[0].NamespaceSelector.MatchLabels["only"] = "mine"
				return c
			},
			func(w *fakeWorld) bool { return len(configuration(w).Webhooks[0].NamespaceSelector.MatchLabels) == 1 },
		},
		"the rights to the certificate": {
			func(w *fakeWorld) client.Object {
				r := role(w)
				r.Rules[0].Verbs = []string{"*"}
				return r
			},
			func(w *fakeWorld) bool { return role(w).Rules[0].Verbs[0] == "get" },
		},
		"the pods of a Service": {
			func(w *fakeWorld) client.Object {
				s := service(w)
				s.Spec.Selector["only"] = "mine"
				return s
			},
			func(w *fakeWorld) bool { return len(service(w).Spec.Selector) == 1 },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", strict), ghosts())
			w.mustReconcile("v1")
			w.makeReady()
			w.mustReconcile("v1", "v1")
			w.want("v1", "Succeeded/InstallSucceeded")
			if !tt.good(w) {
				t.Fatal("it is not as it should be before the edit")
			}
			if err := w.Update(t.Context(), tt.edit(w), client.FieldOwner("somebody")); err != nil {
				t.Fatal(err)
			}
			if tt.good(w) {
				t.Fatal("the edit changed nothing")
			}
			w.mustReconcile("v1")
			if !tt.good(w) {
				t.Error("it was not put right")
			}
			w.want("v1", "Succeeded/InstallSucceeded")
		})
	}
}

func TestCertificateIsRotatedBeforeItExpires(t *testing.T) {
	w := newFakeWorld(t, group("g", "ns"), fakeCSV("v1", withWebhook), ghosts())
	w.mustReconcile("v1")
	w.makeReady()
	w.mustReconcile("v1", "v1")
	before := &corev1.Secret{}
	w.get(before, "op-service-cert")
	w.clock.Step(729*24*time.Hour + time.Hour)
	w.mustReconcile("v1")
	w.want("v1", "Installing/InstallSucceeded")
	after := &corev1.Secret{}
	w.get(after, "op-service-cert")
	if string(before.Data["tls.crt"]) == string(after.Data["tls.crt"]) {
		t.Fatal("the certificate is the old one")
	}
	if !strings.HasSuffix(string(after.Data["olmCAKey"]), string(before.Data["olmCAKey"])) {
		t.Error("the old CA is no longer trusted while old pods serve")
	}
	d := &appsv1.Deployment{}
	w.get(d, "op")
	if d.Spec.Template.Annotations["olmcahash"] != after.Annotations["olmcahash"] {
		t.Error("the pods are not told about the new CA")
	}
	list := &admissionv1.ValidatingWebhookConfigurationList{}
	if err := w.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if string(list.Items[0].Webhooks[0].ClientConfig.CABundle) != string(after.Data["olmCAKey"]) {
		t.Error("the webhook does not yet trust the new CA")
	}
}
