package serving_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"chandler.dev/olm/pkg/controller/csv/serving"
	"chandler.dev/olm/pkg/failure"
)

func newCSV(change func(*v1alpha1.ClusterServiceVersion)) *v1alpha1.ClusterServiceVersion {
	v := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "op.v1", UID: "uid"}}
	v.Spec.InstallStrategy.StrategySpec.DeploymentSpecs = []v1alpha1.StrategyDeploymentSpec{
		{Name: "plain"},
		{Name: "dotted.name", Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "op"}},
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{ServiceAccountName: "sa"}},
		}},
	}
	change(v)
	return v
}

func TestEndpoints(t *testing.T) {
	target := intstr.FromInt32(9443)
	v := newCSV(func(v *v1alpha1.ClusterServiceVersion) {
		v.Spec.WebhookDefinitions = []v1alpha1.WebhookDescription{
			{GenerateName: "a", DeploymentName: "dotted.name", ContainerPort: 443, TargetPort: &target},
			{GenerateName: "b", DeploymentName: "dotted.name", ContainerPort: 443, TargetPort: &target},
		}
		v.Spec.APIServiceDefinitions.Owned = []v1alpha1.APIServiceDescription{
			{Group: "g", Version: "v1", Kind: "K", Name: "ks", DeploymentName: "dotted.name", ContainerPort: 5443},
			{Group: "g", Version: "v1", Kind: "K", Name: "ks", DeploymentName: "plain"},
		}
	})
	got, err := serving.Endpoints(v)
	if err != nil {
		t.Fatal(err)
	}
	api := func(deployment string, port int32) []v1alpha1.APIServiceDescription {
		return []v1alpha1.APIServiceDescription{{Group: "g", Version: "v1", Kind: "K", Name: "ks", DeploymentName: deployment, ContainerPort: port}}
	}
	want := []serving.Endpoint{
		{
			Deployment: "plain", ServiceAccount: "default", APIs: api("plain", 0),
			Ports: []corev1.ServicePort{{Name: "443", Port: 443, TargetPort: intstr.FromInt32(443), Protocol: corev1.ProtocolTCP}},
		},
		{
			Deployment: "dotted.name", ServiceAccount: "sa", Selector: map[string]string{"app": "op"},
			Ports: []corev1.ServicePort{{Name: "443", Port: 443, TargetPort: intstr.FromInt32(9443), Protocol: corev1.ProtocolTCP}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Endpoints() (-want +got):\n%s", diff)
	}
	if got[1].Service() != "dotted-name-service" || got[1].Secret() != "dotted.name-service-cert" {
		t.Errorf("names %s, %s", got[1].Service(), got[1].Secret())
	}
	v.Spec.WebhookDefinitions[0].DeploymentName = "nobody"
	if _, err := serving.Endpoints(v); failure.KindOf(err) != failure.Invalid {
		t.Errorf("a webhook without Deployment: %v, want Invalid", err)
	}
}

func TestCertificate(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	hosts := []string{"a.ns", "a.ns.svc", "a.ns.svc.cluster.local"}
	issued, err := serving.Issue(hosts, now, serving.Certificate{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := serving.Issue(hosts, now, serving.Certificate{})
	if err != nil {
		t.Fatal(err)
	}
	secret := func(change func(map[string][]byte)) *corev1.Secret {
		s := &corev1.Secret{Data: issued.Data()}
		change(s.Data)
		return s
	}
	fine := func(map[string][]byte) {}
	tests := map[string]struct {
		secret *corev1.Secret
		hosts  []string
		at     time.Time
		want   serving.Problem
	}{
		"new":                     {secret(fine), hosts, now, serving.Fine},
		"two days before the end": {secret(fine), hosts, now.Add(728 * 24 * time.Hour), serving.Fine},
		"in its last day":         {secret(fine), hosts, now.Add(729 * 24 * time.Hour), serving.Expiring},
		"over":                    {secret(fine), hosts, now.Add(1000 * 24 * time.Hour), serving.Expiring},
		"not yet valid":           {secret(fine), hosts, now.Add(-24 * time.Hour), serving.Expiring},
		"for another service":     {secret(fine), []string{"b.ns.svc"}, now, serving.Unfit},
		"of another CA":           {secret(func(d map[string][]byte) { d["olmCAKey"] = other.CA }), hosts, now, serving.Unfit},
		"no secret":               {nil, hosts, now, serving.Absent},
		"no CA":                   {secret(func(d map[string][]byte) { delete(d, "olmCAKey") }), hosts, now, serving.Malformed},
		"no key":                  {secret(func(d map[string][]byte) { delete(d, "tls.key") }), hosts, now, serving.Malformed},
		"nonsense":                {secret(func(d map[string][]byte) { d["tls.crt"] = []byte("x") }), hosts, now, serving.Malformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, got := serving.Read(tt.secret, tt.hosts, tt.at); got != tt.want {
				t.Errorf("Read() = %q, want %q", got, tt.want)
			}
		})
	}
	renewed, err := serving.Issue(hosts, now, issued)
	if err != nil {
		t.Fatal(err)
	}
	again, err := serving.Issue(hosts, now, renewed)
	if err != nil {
		t.Fatal(err)
	}
	if got := authorities(again); got != 2 {
		t.Errorf("%d CAs after two rotations, want the new and the last one", got)
	}
	late, err := serving.Issue(hosts, now.Add(1000*24*time.Hour), issued)
	if err != nil {
		t.Fatal(err)
	}
	if got := authorities(late); got != 1 {
		t.Errorf("%d CAs after one has expired, want only the new one", got)
	}
}

func authorities(c serving.Certificate) int { return bytes.Count(c.CA, []byte("BEGIN CERTIFICATE")) }

func TestValidateWebhooks(t *testing.T) {
	rule := func(group string, resources ...string) []v1alpha1.WebhookDescription {
		return []v1alpha1.WebhookDescription{{GenerateName: "w", Rules: []admissionv1.RuleWithOperations{{Rule: admissionv1.Rule{APIGroups: []string{group}, Resources: resources}}}}}
	}
	const guarded = "webhook rules cannot include MutatingWebhookConfiguration or ValidatingWebhookConfiguration resources"
	tests := map[string]struct {
		webhooks []v1alpha1.WebhookDescription
		want     string
	}{
		"usual":                            {rule("example.com", "*"), ""},
		"twice the same name":              {append(rule("a", "b"), rule("a", "b")...), "CSV contains repeated WebhookDescription name"},
		"all groups":                       {rule("*", "pods"), "webhook rules cannot include all groups"},
		"the lifecycle's own":              {rule("operators.coreos.com", "subscriptions"), "webhook rules cannot include the OLM group"},
		"all about webhooks":               {rule("admissionregistration.k8s.io", "*"), guarded},
		"webhooks, as OLM spells it":       {rule("admissionregistration.k8s.io", "MutatingWebhookConfiguration"), guarded},
		"webhooks, as the API spells it":   {rule("admissionregistration.k8s.io", "validatingwebhookconfigurations"), guarded},
		"something else about admission":   {rule("admissionregistration.k8s.io", "SomeOtherResource"), ""},
		"nothing":                          {nil, ""},
		"a conversion webhook has no rule": {[]v1alpha1.WebhookDescription{{GenerateName: "c"}}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := serving.ValidateWebhooks(newCSV(func(v *v1alpha1.ClusterServiceVersion) { v.Spec.WebhookDefinitions = tt.webhooks }))
			if got := text(err); got != tt.want {
				t.Errorf("ValidateWebhooks() = %q, want %q", got, tt.want)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestValidateConversions(t *testing.T) {
	mode := func(modes ...v1alpha1.InstallModeType) (list []v1alpha1.InstallMode) {
		for _, m := range modes {
			list = append(list, v1alpha1.InstallMode{Type: m, Supported: true})
		}
		return list
	}
	all := mode(v1alpha1.InstallModeTypeAllNamespaces)
	tests := map[string]struct {
		kind  v1alpha1.WebhookAdmissionType
		modes []v1alpha1.InstallMode
		crds  []string
		want  string
	}{
		"fine":          {v1alpha1.ConversionWebhook, all, []string{"a.g"}, ""},
		"no CRD":        {v1alpha1.ConversionWebhook, all, nil, "unable to manager conversion webhook: conversion webhook must have at least one CRD specified"},
		"a foreign CRD": {v1alpha1.ConversionWebhook, all, []string{"b.g"}, "csv op.v1 does not own CRD b.g"},
		"several installs": {
			v1alpha1.ConversionWebhook, append(mode(v1alpha1.InstallModeTypeOwnNamespace), all...),
			[]string{"a.g"},
			"unable to manage conversion webhook: CSVs with conversion webhooks must support only AllNamespaces",
		},
		"other types may list what they like": {v1alpha1.ValidatingAdmissionWebhook, mode(v1alpha1.InstallModeTypeOwnNamespace), []string{"b.g"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := serving.ValidateConversions(newCSV(func(v *v1alpha1.ClusterServiceVersion) {
				v.Spec.InstallModes = tt.modes
				v.Spec.CustomResourceDefinitions.Owned = []v1alpha1.CRDDescription{{Name: "a.g"}}
				v.Spec.WebhookDefinitions = []v1alpha1.WebhookDescription{{GenerateName: "c", Type: tt.kind, ConversionCRDs: tt.crds}}
			}))
			if got := text(err); got != tt.want {
				t.Errorf("ValidateConversions() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWebhookIsNamedOnce(t *testing.T) {
	v := newCSV(func(*v1alpha1.ClusterServiceVersion) {})
	w := &v1alpha1.WebhookDescription{GenerateName: "vghost.example.com", Type: v1alpha1.ValidatingAdmissionWebhook, DeploymentName: "dotted.name", ContainerPort: 443}
	first, err := serving.Webhook(v, w, nil, []byte("ca"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := serving.Webhook(v, w, nil, []byte("other ca"))
	if err != nil {
		t.Fatal(err)
	}
	if first.GetName() != second.GetName() {
		t.Errorf("names %s and %s of one description differ", first.GetName(), second.GetName())
	}
	hook := first.(*admissionv1.ValidatingWebhookConfiguration).Webhooks[0]
	if hook.ClientConfig.Service.Name != "dotted-name-service" || hook.NamespaceSelector == nil {
		t.Errorf("webhook = %+v", hook)
	}
	if _, err := serving.Webhook(v, &v1alpha1.WebhookDescription{Type: v1alpha1.ConversionWebhook}, nil, nil); err == nil {
		t.Error("a conversion webhook has no configuration object, want an error")
	}
}

func TestSupport(t *testing.T) {
	v := newCSV(func(*v1alpha1.ClusterServiceVersion) {})
	names := func(e serving.Endpoint) (list []string) {
		for _, obj := range serving.Support(v, e) {
			list = append(list, obj.GetObjectKind().GroupVersionKind().Kind+" "+obj.GetNamespace()+"/"+obj.GetName())
		}
		return list
	}
	webhook := serving.Endpoint{Deployment: "d", ServiceAccount: "sa"}
	want := []string{"Service ns/d-service", "Role ns/d-service-cert", "RoleBinding ns/d-service-cert"}
	if diff := cmp.Diff(want, names(webhook)); diff != "" {
		t.Errorf("for webhooks (-want +got):\n%s", diff)
	}
	webhook.APIs = []v1alpha1.APIServiceDescription{{Group: "g"}}
	want = append(want, "ClusterRoleBinding /d-service-system:auth-delegator", "RoleBinding kube-system/d-service-auth-reader")
	if diff := cmp.Diff(want, names(webhook)); diff != "" {
		t.Errorf("for an API (-want +got):\n%s", diff)
	}
	role, ok := serving.Support(v, webhook)[1].(*rbacv1.Role)
	if !ok || role.Rules[0].ResourceNames[0] != "d-service-cert" {
		t.Errorf("the role reads more than the certificate: %+v", role)
	}
}

func TestLeads(t *testing.T) {
	service := func(port, target int32, app string) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": app}, Ports: []corev1.ServicePort{{Name: "p", Port: port, TargetPort: intstr.FromInt32(target)}},
		}}
	}
	for name, tt := range map[string]struct {
		have *corev1.Service
		want bool
	}{
		"the same":       {service(443, 9443, "a"), true},
		"another target": {service(443, 8443, "a"), false},
		"another port":   {service(444, 9443, "a"), false},
		"other pods":     {service(443, 9443, "b"), false},
		"no port":        {&corev1.Service{Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "a"}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := serving.Leads(tt.have, service(443, 9443, "a")); got != tt.want {
				t.Errorf("Leads() = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAdoptable(t *testing.T) {
	v := newCSV(func(v *v1alpha1.ClusterServiceVersion) { v.Spec.Replaces = "op.v0" })
	owned := func(kind, namespace, name string) *apiregistrationv1.APIService {
		return &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
			"olm.owner.kind": kind, "olm.owner.namespace": namespace, "olm.owner": name,
		}}}
	}
	retiring := func(_, name string) bool { return name == "retiring" }
	tests := map[string]struct {
		api  *apiregistrationv1.APIService
		want bool
	}{
		"its own":                      {owned("ClusterServiceVersion", "ns", "op.v1"), true},
		"of the version it replaces":   {owned("ClusterServiceVersion", "ns", "op.v0"), true},
		"of one that retires":          {owned("ClusterServiceVersion", "elsewhere", "retiring"), true},
		"of another operator":          {owned("ClusterServiceVersion", "ns", "other"), false},
		"of a namesake elsewhere":      {owned("ClusterServiceVersion", "elsewhere", "op.v1"), false},
		"of another kind of owner":     {owned("Something", "ns", "op.v1"), false},
		"of nobody that we know about": {&apiregistrationv1.APIService{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := serving.Adoptable(v, tt.api, retiring); got != tt.want {
				t.Errorf("Adoptable() = %v, want %v", got, tt.want)
			}
		})
	}
}
