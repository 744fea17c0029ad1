package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// scalePatience is how long many operators together may take.
const scalePatience = 15 * time.Minute

// BenchmarkNamespaces upgrades one operator in 30 namespaces at once. All of
// them share its eight resource definitions.
func BenchmarkNamespaces(b *testing.B) {
	const first, second, spaces = "prometheusoperator.0.47.0", "prometheusoperator.0.56.3", 30
	bundles := testkit.Data(b, "bundles")
	for range b.N {
		s := startStack(b)
		s.catalogSource(b, "bench", serve(b, bundleSubset(b, bundles, "prometheus")))
		s.waitCatalog(b)
		names := s.namespaces(b, "bench", spaces)
		start := time.Now()
		for _, ns := range names {
			s.group(b, ns, ns)
			s.subscribe(b, wish{ns: ns, pkg: "prometheus", channel: "beta", start: first, catalog: "bench", manual: true})
			s.approve(b, ns, first)
		}
		s.waitEverywhere(b, names, first)
		b.ReportMetric(time.Since(start).Seconds(), "s/install-all")
		time.Sleep(2 * time.Second) // let the last status be written
		before := s.writes(b)
		start = time.Now()
		for _, ns := range names {
			s.approve(b, ns, second)
		}
		s.waitEverywhere(b, names, second)
		b.ReportMetric(time.Since(start).Seconds(), "s/upgrade-all")
		time.Sleep(2 * time.Second)
		writes := s.writeEvents(b)[before:]
		logWrites("upgrade of 30", writes)
		b.ReportMetric(float64(len(writes))/spaces, "writes/upgrade")
		b.ReportMetric(residentMegabytes(b, s.controller.Pid()), "MB-controller")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkSubscriptions creates 100 Subscriptions in 100 namespaces at once.
func BenchmarkSubscriptions(b *testing.B) {
	const spaces, csv = 100, "database.v1.0.0"
	root := b.TempDir()
	writeOperator(b, root, "database")
	for range b.N {
		s := startStack(b)
		s.catalogSource(b, "bench", serve(b, root))
		s.waitCatalog(b)
		names := s.namespaces(b, "bench", spaces)
		for _, ns := range names {
			s.group(b, ns, ns)
		}
		before := s.writes(b)
		start := time.Now()
		for _, ns := range names {
			s.subscribe(b, wish{ns: ns, pkg: "database", channel: "stable", catalog: "bench"})
		}
		s.waitEverywhere(b, names, csv)
		b.ReportMetric(time.Since(start).Seconds(), "s/all")
		time.Sleep(2 * time.Second)
		writes := s.writeEvents(b)[before:]
		logWrites("install of 100", writes)
		b.ReportMetric(float64(len(writes))/spaces, "writes/install")
		b.ReportMetric(residentMegabytes(b, s.controller.Pid()), "MB-controller")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkOperators runs 50 operators that watch all namespaces, of which
// there are 1,000.
func BenchmarkOperators(b *testing.B) {
	const operators, spaces = 50, 1000
	root := b.TempDir()
	for i := range operators {
		writeOperator(b, root, fmt.Sprintf("database%02d", i))
	}
	for range b.N {
		s := startStack(b)
		s.catalogSource(b, "bench", serve(b, root))
		s.waitCatalog(b)
		s.namespaces(b, "bench", spaces)
		ns := s.Namespace(b, "operators")
		s.group(b, ns)
		start := time.Now()
		for i := range operators {
			s.subscribe(b, wish{ns: ns, pkg: fmt.Sprintf("database%02d", i), channel: "stable", catalog: "bench"})
		}
		s.waitCount(b, operators)
		b.ReportMetric(time.Since(start).Seconds(), "s/all")
		time.Sleep(5 * time.Second)
		before := s.writes(b)
		b.ReportMetric(residentMegabytes(b, s.controller.Pid()), "MB-controller")
		time.Sleep(quiet(b))
		b.ReportMetric(float64(s.writes(b)-before), "writes/quiet")
		b.ReportMetric(residentMegabytes(b, s.controller.Pid()), "MB-controller-quiet")

		before = s.writes(b)
		s.controller.Kill()
		restarted := time.Now()
		s.controller = startController(b, s.Env, b.TempDir())
		s.waitCalm(b)
		b.ReportMetric(time.Since(restarted).Seconds(), "s/restart")
		b.ReportMetric(float64(s.writes(b)-before), "writes/restart")
		b.ReportMetric(residentMegabytes(b, s.controller.Pid()), "MB-controller-restarted")
		b.ReportMetric(0, "ns/op")
	}
}

// writeOperator writes a bundle of the demo operator under another name.
func writeOperator(t testing.TB, root, name string) {
	t.Helper()
	from := os.DirFS(filepath.Join("..", "..", "catalogs", "database", "bundles", "1.0.0"))
	err := fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		to := filepath.Join(root, name, "1.0.0", path)
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(from, path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return err
		}
		return os.WriteFile(to, bytes.ReplaceAll(text, []byte("database"), []byte(name)), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stack) namespaces(t testing.TB, prefix string, n int) []string {
	t.Helper()
	names := make([]string, 0, n)
	for i := range n {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%04d", prefix, i)}}
		s.create(t, ns)
		names = append(names, ns.Name)
	}
	return names
}

// waitEverywhere waits until csv is the only version, and Succeeded, in each
// of the namespaces.
func (s *stack) waitEverywhere(t testing.TB, namespaces []string, csv string) {
	t.Helper()
	s.waitCSVs(t, func(list []operatorsv1alpha1.ClusterServiceVersion) error {
		done := map[string]bool{}
		var others []string
		for i := range list {
			c := &list[i]
			if c.Name == csv && c.Status.Phase == operatorsv1alpha1.CSVPhaseSucceeded {
				done[c.Namespace] = true
				continue
			}
			others = append(others, fmt.Sprintf("%s/%s %s %s", c.Namespace, c.Name, c.Status.Phase, c.Status.Message))
		}
		if len(done) < len(namespaces) || len(others) > 0 {
			return fmt.Errorf("%d of %d namespaces have only %s; others: %q", len(done), len(namespaces), csv, others[:min(5, len(others))])
		}
		return nil
	})
}

// waitCount waits until there are n ClusterServiceVersions, all Succeeded.
func (s *stack) waitCount(t testing.TB, n int) {
	t.Helper()
	s.waitCSVs(t, func(list []operatorsv1alpha1.ClusterServiceVersion) error {
		succeeded := 0
		for i := range list {
			if list[i].Status.Phase == operatorsv1alpha1.CSVPhaseSucceeded {
				succeeded++
			}
		}
		if succeeded != n || len(list) != n {
			return fmt.Errorf("%d of %d have Succeeded, there are %d", succeeded, n, len(list))
		}
		return nil
	})
}

func (s *stack) waitCSVs(t testing.TB, check func([]operatorsv1alpha1.ClusterServiceVersion) error) {
	t.Helper()
	testkit.Eventually(t, scalePatience, func(ctx context.Context) error {
		time.Sleep(200 * time.Millisecond) // the list is large
		list := &operatorsv1alpha1.ClusterServiceVersionList{}
		if err := s.Client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return err
		}
		originals := list.Items[:0]
		for i := range list.Items {
			if !list.Items[i].IsCopied() {
				originals = append(originals, list.Items[i])
			}
		}
		return check(originals)
	})
}

// waitCalm waits until the controller has read everything and then uses less
// than a fifth of a processor for three seconds.
func (s *stack) waitCalm(t testing.TB) {
	t.Helper()
	calm, last := 0, s.controllerCPU(t)
	testkit.Eventually(t, scalePatience, func(context.Context) error {
		time.Sleep(time.Second)
		now := s.controllerCPU(t)
		used := now - last
		last = now
		if used > 200*time.Millisecond || !strings.Contains(s.controller.Log(), "the controller starts") {
			calm = 0
			return fmt.Errorf("the controller used %s in a second", used)
		}
		if calm++; calm < 3 {
			return fmt.Errorf("calm for %d seconds only", calm)
		}
		return nil
	})
}

// controllerCPU is the processor time that the controller has used.
func (s *stack) controllerCPU(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.controller.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	var user, system int64
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if _, err := fmt.Sscan(fields[11], &user); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(fields[12], &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // clock ticks of Linux
}
