package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"chandler.dev/olm/internal/testkit"
)

// TestGrants runs the controller with the rights that `olm setup` gives to its
// ServiceAccount, and lets it install and upgrade operators with webhooks,
// cluster-wide rights and many definitions. No request may be refused.
func TestGrants(t *testing.T) {
	bundles := testkit.Data(t, "bundles")
	env := testkit.Own(t)
	s := &stack{Env: env}
	limited := *env
	limited.Kubeconfig = s.kubeconfigOf(t, "olm", "olm")
	s.controller = testkit.Start(t, "olm", "controller", "--kubeconfig", limited.Kubeconfig, "--data-dir", t.TempDir(),
		"--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--leader-elect")
	s.catalogSource(t, "replaces", serve(t, bundleSubset(t, bundles, "prometheus")))
	s.catalogSource(t, "rabbit", serve(t, bundleSubset(t, bundles, "rabbitmq-messaging-topology-operator", "rabbitmq-cluster-operator")))

	own := s.Namespace(t, "own")
	s.group(t, own, own)
	prometheus := s.subscribe(t, wish{ns: own, pkg: "prometheus", channel: "beta", start: "prometheusoperator.0.47.0", catalog: "replaces"})
	all := s.Namespace(t, "all")
	s.group(t, all)
	s.subscribe(t, wish{ns: all, pkg: "rabbitmq-messaging-topology-operator", channel: "stable", catalog: "rabbit", start: "rabbitmq-messaging-topology-operator.v1.15.0"})
	s.waitInstalled(t, prometheus, "prometheusoperator.0.56.3")
	s.waitAll(t, all, []string{"rabbitmq-cluster-operator.v2.22.3", "rabbitmq-messaging-topology-operator.v1.19.3"})

	user := "system:serviceaccount:olm:olm"
	requests := 0
	for _, e := range s.audit(t) {
		if e.User.Username != user {
			continue
		}
		requests++
		if e.ResponseStatus.Code == 403 {
			t.Errorf("%s %s %s/%s is refused", e.Verb, e.ObjectRef.Resource, e.ObjectRef.Namespace, e.ObjectRef.Name)
		}
	}
	if requests == 0 {
		t.Errorf("no request of %s was recorded", user)
	}
}

// kubeconfigOf writes a configuration that logs in as a ServiceAccount.
func (s *stack) kubeconfigOf(t testing.TB, namespace, name string) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := s.Client.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(fmt.Errorf("get a token for %s/%s: %w", namespace, name, err))
	}
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["c"] = &clientcmdapi.Cluster{Server: s.Config.Host, CertificateAuthority: s.Config.CAFile, CertificateAuthorityData: s.Config.CAData}
	cfg.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: request.Status.Token}
	cfg.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	cfg.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		t.Fatal(err)
	}
	return path
}
