package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

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
		c.want(http.MethodPost, paths[kind.Kind], string(item))
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

	mustRun(t, append([]string{"restart", "--component", "kubelet"}, target...)...)

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
