package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"chandler.dev/olm/internal/testkit"
)

func TestG(t *testing.T) {
	bundles := testkit.Data(t, "bundles")
	s := startStack(t)
	s.catalogSource(t, "olm", "replaces", serve(t, bundleSubset(t, bundles, "prometheus")))
	s.waitCatalog(t, "replaces")
	start := time.Now()
	s.travel(t, journey{pkg: "prometheus", channel: "beta", start: "prometheusoperator.0.47.0", end: "prometheusoperator.0.56.3", last: "prometheus/0.56.3", catalog: "replaces"}, filepath.Join(bundles, "prometheus/0.56.3"))
	t.Logf("took %s, memory %f", time.Since(start), residentMegabytes(t, s.controller.Pid()))
	time.Sleep(5 * time.Second)
	b, _ := os.ReadFile(s.AuditLog())
	os.WriteFile("/tmp/g-audit.log", b, 0o644)
	os.WriteFile("/tmp/g-ctl.log", []byte(s.controller.Log()), 0o644)
}
