package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"chandler.dev/olm/devcluster/internal/clock"
	"chandler.dev/olm/devcluster/internal/pki"
)

const pollEvery = 20 * time.Millisecond

// api is as much of a Kubernetes client as starting a cluster takes.
type api struct {
	server string
	client *http.Client
}

func newAPI(server string, authority, admin pki.Pair) (*api, error) {
	pair, err := tls.X509KeyPair(admin.Cert, admin.Key)
	if err != nil {
		return nil, fmt.Errorf("load the administrator's key: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.Cert)
	return &api{server: server, client: &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12,
		}},
	}}, nil
}

// do sends a request and returns the body of a successful answer.
func (a *api) do(ctx context.Context, method, path string, body any) ([]byte, error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, a.server+path, &content)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(answer))
	}
	return answer, nil
}

// await repeats a check until it succeeds or ctx ends; the error then says what was still missing.
func await(ctx context.Context, what string, check func(ctx context.Context) error) error {
	for {
		last := check(ctx)
		if last == nil {
			return nil
		}
		if err := clock.Wait(ctx, pollEvery); err != nil {
			return fmt.Errorf("wait for %s: %w (%w)", what, err, last)
		}
	}
}

// ready succeeds when the API server serves everything.
func (a *api) ready(ctx context.Context) error {
	_, err := a.do(ctx, http.MethodGet, "/readyz", nil)
	return err
}

// exists succeeds when the object at this path is there.
func (a *api) exists(path string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		_, err := a.do(ctx, http.MethodGet, path, nil)
		return err
	}
}

// nodesReady succeeds when this many nodes are Ready.
func (a *api) nodesReady(want int) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		content, err := a.do(ctx, http.MethodGet, "/api/v1/nodes", nil)
		if err != nil {
			return err
		}
		var list struct {
			Items []struct {
				Spec struct {
					Taints []struct{ Effect string }
				}
				Status struct {
					Conditions []struct{ Type, Status string }
				}
			}
		}
		if err := json.Unmarshal(content, &list); err != nil {
			return fmt.Errorf("read nodes: %w", err)
		}
		count := 0
		for _, n := range list.Items {
			for _, c := range n.Status.Conditions {
				if c.Type == "Ready" && c.Status == "True" && len(n.Spec.Taints) == 0 {
					count++
				}
			}
		}
		if count < want {
			return fmt.Errorf("%d of %d nodes are ready", count, want)
		}
		return nil
	}
}
