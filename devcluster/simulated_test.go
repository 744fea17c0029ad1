package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	podPath = "/api/v1/namespaces/default/pods"
	jobPath = "/apis/batch/v1/namespaces/default/jobs"
)

// pod returns a pod with fields added to its metadata.
func pod(name, image, metadata string) string {
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": %q%s},
		"spec": {"containers": [{"name": "main", "image": %q}]}}`, name, metadata, image)
}

func job(name, image string) string {
	return fmt.Sprintf(`{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": %q}, "spec": {"backoffLimit": 0,
		"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": %q}]}}}}`, name, image)
}

func TestSimulatedPodsBehave(t *testing.T) {
	skipUnlessBuilt(t)
	dir := t.TempDir()
	target := []string{"--dir", dir, "--name", "a"}
	t.Cleanup(func() { mustRun(t, append([]string{"down"}, target...)...) })
	mustRun(t, append([]string{"up"}, target...)...)

	const never = `, "annotations": {"chandler.dev/simulate": "never-ready"}`
	ready := func(body string) bool {
		return hasAll(`"phase":"Running"`, `"ready":true`)(body) && !strings.Contains(body, "ContainersNotReady")
	}
	broken := hasAll(`"phase":"Running"`, `"ready":false`, `"reason":"ContainersNotReady"`, `"reason":"CrashLoopBackOff"`)
	for name, test := range map[string]struct {
		path, content string
		want          func(string) bool
	}{
		"whole":         {podPath, pod("whole", "r/i:v1", ""), ready},
		"annotated":     {podPath, pod("annotated", "r/i:v1", never), broken},
		"tagged":        {podPath, pod("tagged", "r:5000/i:v1-broken", ""), broken},
		"digest":        {podPath, pod("digest", "r/i:v1-broken@sha256:"+strings.Repeat("0", 64), ""), broken},
		"only-the-name": {podPath, pod("only-the-name", "r/i-broken:v1", ""), ready},
		"job":           {jobPath, job("job", "r/i:v1"), hasAll(`"succeeded":1`, `"type":"Complete"`)},
		"broken-job":    {jobPath, job("broken-job", "r/i:v1-broken"), hasAll(`"failed":1`, `"type":"Failed"`)},
	} {
		t.Run(name, func(t *testing.T) {
			c := client{t, dir, "a"}
			c.want(http.MethodPost, test.path, test.content)
			c.raw(test.path+"/"+name, test.want)
		})
	}

	t.Run("the annotation comes and goes", func(t *testing.T) {
		c := client{t, dir, "a"}
		c.want(http.MethodPatch, podPath+"/whole", `{"metadata": {"annotations": {"chandler.dev/simulate": "never-ready"}}}`)
		c.raw(podPath+"/whole", broken)
		c.want(http.MethodPatch, podPath+"/whole", `{"metadata": {"annotations": {"chandler.dev/simulate": null}}}`)
		c.raw(podPath+"/whole", ready)
	})

	t.Run("kwok is restarted", func(t *testing.T) {
		c := client{t, dir, "a"}
		mustRun(t, append([]string{"restart", "--component", "kwok"}, target...)...)
		c.want(http.MethodPost, podPath, pod("later", "r/i:v1", ""))
		c.raw(podPath+"/later", ready)
	})
}

func hasAll(parts ...string) func(string) bool {
	return func(body string) bool {
		for _, p := range parts {
			if !strings.Contains(body, p) {
				return false
			}
		}
		return true
	}
}
