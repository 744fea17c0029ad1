package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chandler.dev/olm/devcluster/internal/node"
)

const probeImage = "chandler.dev/devcluster/probe:1"

// probes is a StatefulSet whose members find each other by name.
const probes = `
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "probe"}, "spec": {
    "clusterIP": "None", "publishNotReadyAddresses": true, "selector": {"app": "probe"}, "ports": [{"port": 8080}]}},
  {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "balanced"}, "spec": {
    "selector": {"app": "probe"}, "ports": [{"port": 80, "targetPort": 8080}]}},
  {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "probe"}, "spec": {
    "serviceName": "probe", "replicas": 2, "podManagementPolicy": "Parallel",
    "selector": {"matchLabels": {"app": "probe"}},
    "template": {"metadata": {"labels": {"app": "probe"}}, "spec": {
      "terminationGracePeriodSeconds": 1,
      "containers": [{"name": "probe", "image": "` + probeImage + `",
        "readinessProbe": {"httpGet": {"path": "/name", "port": 8080}, "periodSeconds": 1}}]}}}}
]}`

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
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
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

// create creates the items of a list in the default namespace.
func (c client) create(list string) {
	c.t.Helper()
	var parsed struct{ Items []json.RawMessage }
	if err := json.Unmarshal([]byte(list), &parsed); err != nil {
		c.t.Fatal(err)
	}
	paths := map[string]string{"Service": "/api/v1/namespaces/default/services", "StatefulSet": "/apis/apps/v1/namespaces/default/statefulsets"}
	for _, item := range parsed.Items {
		var kind struct{ Kind string }
		if err := json.Unmarshal(item, &kind); err != nil {
			c.t.Fatal(err)
		}
		if status, body := c.do(http.MethodPost, paths[kind.Kind], string(item)); status != http.StatusCreated {
			c.t.Fatalf("create %s: %d %s", kind.Kind, status, body)
		}
	}
}

func TestRealPodsSeeTheirCluster(t *testing.T) {
	skipUnlessBuilt(t)
	if err := node.Check(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	target := []string{"--dir", dir, "--name", "a"}
	t.Cleanup(func() { mustRun(t, append([]string{"down"}, target...)...) })
	mustRun(t, append([]string{"up", "--nodes", "real"}, target...)...)
	mustRun(t, append([]string{"load-image", probeArchive(t)}, target...)...)

	c := client{t, dir, "a"}
	c.create(probes)
	is := func(want string) func(string) bool { return func(got string) bool { return got == want } }
	has := func(want string) func(string) bool {
		return func(got string) bool { return strings.Contains(got, want) }
	}
	const pod = "/api/v1/namespaces/default/pods/probe-0"
	c.raw(pod+":8080/proxy/server", has("v1.36.3"))
	c.raw(pod+":8080/proxy/get?url=http://probe-1.probe.default.svc:8080/name", is("probe-1"))
	c.raw(pod+":8080/proxy/get?url=http://balanced/name", has("probe-"))
	c.raw(pod+"/log", has("serving"))

	before := state(t, dir)
	if err := before.Supervisor.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantGone(t, before)
	mustRun(t, append([]string{"up", "--nodes", "real"}, target...)...)
	mustRun(t, append([]string{"down"}, target...)...)
	if left, err := filepath.Glob("/sys/fs/cgroup/*" + node.Cgroup(filepath.Join(dir, "a"))); err != nil || len(left) > 0 {
		t.Errorf("cgroups are left: %v %v", left, err)
	}
}

// probeArchive builds the image of the probe.
func probeArchive(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "probe")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build probe: %v\n%s", err, out)
	}
	if err := node.WriteImage(program+".tar", probeImage, program); err != nil {
		t.Fatal(err)
	}
	return program + ".tar"
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
