package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// client speaks to the API of a cluster as its administrator.
type client struct {
	t       *testing.T
	dir     string
	cluster string
}

// raw reads a path of the API, and repeats that until it succeeds or patience ends.
func (c client) raw(path string, accept func(body string) bool) string {
	c.t.Helper()
	var body string
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var status int
		status, body = c.do(http.MethodGet, path, "")
		if status == http.StatusOK && accept(body) {
			return body
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("GET %s = %d %s", path, status, body)
		}
	}
}

func (c client) do(method, path, content string) (status int, body string) {
	c.t.Helper()
	administrator := adminClient(c.t, filepath.Join(c.dir, c.cluster, "pki"))
	request, err := http.NewRequestWithContext(c.t.Context(), method, state(c.t, c.dir).Server+path, strings.NewReader(content))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	response, err := administrator.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(answer)
}

// want sends a request that must succeed.
func (c client) want(method, path, content string) {
	c.t.Helper()
	if status, body := c.do(method, path, content); status >= http.StatusMultipleChoices || status == 0 {
		c.t.Fatalf("%s %s = %d %s", method, path, status, body)
	}
}

func adminClient(t *testing.T, pki string) *http.Client {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(pki, "admin.crt"), filepath.Join(pki, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}}
}
