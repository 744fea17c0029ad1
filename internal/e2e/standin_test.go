package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// standIn answers for the pods of operators, which are simulated: it allows
// everything and converts objects by changing nothing but their version. What
// an API server sends to a pod of a simulated node arrives on the same port of
// this machine.
type standIn struct {
	client client.Client
}

// webhookPorts are those that published operators listen on.
var webhookPorts = []string{"9443", "10250", "443"}

func (p *standIn) listen(t testing.TB) {
	t.Helper()
	for _, port := range webhookPorts {
		var listener net.Listener
		testkit.Eventually(t, patience, func(ctx context.Context) error { // another run of this test may have the port
			var err error
			listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
			return err
		})
		server := &http.Server{
			Handler: http.HandlerFunc(p.answer), ReadHeaderTimeout: 10 * time.Second,
			TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.certificate},
		}
		go func() { _ = server.ServeTLS(listener, "", "") }()
		t.Cleanup(func() { _ = server.Close() })
	}
}

// certificate finds what the controller gave to the pods behind the Service
// that the API server asks for: <service>.<namespace>.svc.
func (p *standIn) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	parts := strings.Split(hello.ServerName, ".")
	if len(parts) < 2 {
		return nil, fmt.Errorf("no service in %q", hello.ServerName)
	}
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: parts[len(parts)-2], Name: strings.Join(parts[:len(parts)-2], ".") + "-cert"}
	if err := p.client.Get(hello.Context(), key, secret); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	return &pair, err
}

func (p *standIn) answer(w http.ResponseWriter, r *http.Request) {
	var kind metav1.TypeMeta
	body := json.RawMessage{}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || json.Unmarshal(body, &kind) != nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	var reply any
	var err error
	if kind.Kind == "ConversionReview" {
		reply, err = converted(body)
	} else {
		reply, err = allowed(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(reply)
}

func allowed(body []byte) (any, error) {
	review := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal(body, review); err != nil || review.Request == nil {
		return nil, fmt.Errorf("no request: %w", err)
	}
	return &admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}}, nil
}

func converted(body []byte) (any, error) {
	review := &apiextensionsv1.ConversionReview{}
	if err := json.Unmarshal(body, review); err != nil || review.Request == nil {
		return nil, fmt.Errorf("no request: %w", err)
	}
	response := &apiextensionsv1.ConversionResponse{UID: review.Request.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
	for _, raw := range review.Request.Objects {
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(raw.Raw); err != nil {
			return nil, err
		}
		u.SetAPIVersion(review.Request.DesiredAPIVersion)
		response.ConvertedObjects = append(response.ConvertedObjects, runtime.RawExtension{Object: u})
	}
	return &apiextensionsv1.ConversionReview{TypeMeta: review.TypeMeta, Response: response}, nil
}
