// Package egress lets the API server of a cluster with simulated nodes reach something behind its Services.
//
// No simulated pod answers, and nothing routes to its address. The API server therefore sends what it wants to tell
// Services (admission and conversion webhooks, aggregated APIs) to this proxy, which dials the same port of the loopback
// address instead, whatever the address was: who listens there plays the pod.
package egress

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"chandler.dev/olm/devcluster/internal/relay"
)

const headerTimeout = 5 * time.Second

// Proxy is a running proxy.
type Proxy struct {
	listener net.Listener
	server   *http.Server
}

// Start starts a proxy on a socket that has no file.
func Start() (*Proxy, error) {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "unix", "@chandler-devcluster-"+rand.Text())
	if err != nil {
		return nil, fmt.Errorf("listen for the API server: %w", err)
	}
	p := &Proxy{listener: listener, server: &http.Server{
		Handler: http.HandlerFunc(connect), ReadHeaderTimeout: headerTimeout,
	}}
	go func() { _ = p.server.Serve(listener) }() // ends with Close
	return p, nil
}

// Close stops the proxy; connections that it has made go on.
func (p *Proxy) Close() { _ = p.server.Close() }

// Configuration is what the API server reads to use the proxy.
func (p *Proxy) Configuration() []byte {
	return fmt.Appendf(nil, `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport:
      uds:
        udsName: %q
`, p.listener.Addr().String())
}

// connect answers the CONNECT request with a connection to the same port of the loopback address.
func connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "only CONNECT is supported", http.StatusMethodNotAllowed)
		return
	}
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	target, err := relay.Dial(r.Context(), net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		http.Error(w, "nothing plays the pod: "+err.Error(), http.StatusBadGateway)
		return
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = target.Close()
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	relay.Join(client, buffered, target)
}
