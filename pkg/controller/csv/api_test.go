package csv_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// TestOwnedAPIOnCluster runs an operator that serves an API of its own. Its pods are
// simulated; the test answers in their place, with the certificate that they are given.
func TestOwnedAPIOnCluster(t *testing.T) {
	env := testkit.Cluster(t)
	startControllers(t, env.Config)
	n := &namespace{Client: env.Client, name: env.Namespace(t, "api")}
	n.create(t, &operatorsv1.OperatorGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: n.name, Name: "group"}, Spec: operatorsv1.OperatorGroupSpec{TargetNamespaces: []string{n.name}},
	})
	_, text, err := net.SplitHostPort(testkit.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	v := fakeCSV("v1", func(v *v1alpha1.ClusterServiceVersion) {
		v.Spec.APIServiceDefinitions.Owned = []v1alpha1.APIServiceDescription{{
			Name: "spooks", Group: "spooks.example.com", Version: "v1", Kind: "Spook", DeploymentName: "op", ContainerPort: int32(port),
		}}
	})
	v.Namespace, v.UID = n.name, ""
	n.create(t, v)
	go n.standIn(t.Context(), "127.0.0.1:"+text)
	n.waitFor(t, "v1", v1alpha1.CSVPhaseSucceeded)

	registered := n.apiService(t, "")
	if err := n.Delete(t.Context(), registered); err != nil {
		t.Fatal(err)
	}
	n.apiService(t, registered.UID)
	n.waitFor(t, "v1", v1alpha1.CSVPhaseSucceeded)

	current := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: n.name, Name: "v1"}}
	if err := n.Delete(t.Context(), current); err != nil {
		t.Fatal(err)
	}
	n.waitGone(t, "v1")
	for _, left := range []client.Object{
		&apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1.spooks.example.com"}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "op-service-system:auth-delegator"}},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "op-service-auth-reader"}},
	} {
		if err := n.Get(t.Context(), client.ObjectKeyFromObject(left), left); !apierrors.IsNotFound(err) {
			t.Errorf("%T after the version is gone: %v, want not found", left, err)
		}
	}
}

// apiService waits until the API is registered, with another UID than the given one.
func (n *namespace) apiService(t testing.TB, not types.UID) *apiregistrationv1.APIService {
	t.Helper()
	api := &apiregistrationv1.APIService{}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		err := n.Get(ctx, client.ObjectKey{Name: "v1.spooks.example.com"}, api)
		return err == nil && api.UID != not && len(api.Spec.CABundle) > 0, nil
	})
	if err != nil {
		t.Fatalf("the API is not registered: %+v", api.Spec)
	}
	return api
}

// standIn answers as the pods of the operator would.
func (n *namespace) standIn(ctx context.Context, address string) {
	var pair tls.Certificate
	_ = wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		secret := &corev1.Secret{}
		if err := n.Get(ctx, client.ObjectKey{Namespace: n.name, Name: "op-service-cert"}, secret); err != nil {
			return false, nil //nolint:nilerr // it does not exist yet
		}
		var err error
		pair, err = tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
		return err == nil, nil
	})
	server := &http.Server{
		Addr: address, ReadHeaderTimeout: time.Second, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(metav1.APIResourceList{
				TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "spooks.example.com/v1",
				APIResources: []metav1.APIResource{{Name: "spooks", SingularName: "spook", Kind: "Spook", Namespaced: true, Verbs: metav1.Verbs{"list"}}},
			})
		}),
	}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	_ = server.ListenAndServeTLS("", "")
}
