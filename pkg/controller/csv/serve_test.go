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
