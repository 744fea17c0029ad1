package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"

	"chandler.dev/olm/internal/testkit"
)

// quiet is how long the controller is watched after its work is done.
// BENCH_QUIET=10s shortens it.
func quiet(b *testing.B) time.Duration {
	text := os.Getenv("BENCH_QUIET")
	if text == "" {
		return 5 * time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		b.Fatalf("BENCH_QUIET: %v", err)
	}
	return d
}

// BenchmarkUpgrade measures one operator from its Subscription to its first
// version and on to the next one, on simulated nodes: prometheus 0.47.0 to
// 0.56.3, eight resource definitions each. Then it counts what the controller
// still writes when there is nothing to do.
func BenchmarkUpgrade(b *testing.B) {
	const first, second = "prometheusoperator.0.47.0", "prometheusoperator.0.56.3"
	bundles := testkit.Data(b, "bundles")
	for range b.N {
		s := startStack(b)
		s.catalogSource(b, "bench", serve(b, bundleSubset(b, bundles, "prometheus")))
		ns := s.Namespace(b, "bench")
		s.group(b, ns, ns)
		s.waitCatalog(b)
		before := s.writes(b)

		start := time.Now()
		key := s.subscribe(b, wish{ns: ns, pkg: "prometheus", channel: "beta", start: first, catalog: "bench", manual: true})
		s.approve(b, ns, first)
		s.waitInstalled(b, key, first)
		installed, afterInstall := time.Now(), s.writes(b)
		s.approve(b, ns, second)
		s.waitInstalled(b, key, second)
		upgraded := time.Now()
		time.Sleep(3 * time.Second) // let the last status be written
		afterUpgrade := s.writes(b)
		memory := residentMegabytes(b, s.controller.Pid())

		writes := s.writeEvents(b)
		logWrites("install", writes[before:afterInstall])
		logWrites("upgrade", writes[afterInstall:])

		time.Sleep(quiet(b))
		logWrites("quiet", s.writeEvents(b)[afterUpgrade:])
		b.ReportMetric(installed.Sub(start).Seconds(), "s/install")
		b.ReportMetric(upgraded.Sub(installed).Seconds(), "s/upgrade")
		b.ReportMetric(upgraded.Sub(start).Seconds(), "s/both")
		b.ReportMetric(float64(afterInstall-before), "writes/install")
		b.ReportMetric(float64(afterUpgrade-afterInstall), "writes/upgrade")
		b.ReportMetric(float64(s.writes(b)-afterUpgrade), "writes/quiet")
		b.ReportMetric(memory, "MB-controller")
		b.ReportMetric(residentMegabytes(b, s.controller.Pid()), "MB-controller-quiet")
		b.ReportMetric(0, "ns/op")
	}
}

func (s *stack) waitCatalog(t testing.TB) {
	t.Helper()
	s.waitCatalogNamed(t, "bench")
}

func (s *stack) waitCatalogNamed(t testing.TB, name string) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		var source operatorsv1alpha1.CatalogSource
		if err := s.Client.Get(ctx, objectKey("olm", name), &source); err != nil {
			return err
		}
		if c := source.Status.GRPCConnectionState; c == nil || c.LastObservedState != "READY" {
			return fmt.Errorf("catalog %s is not ready: %+v", name, c)
		}
		return nil
	})
}

// approve approves the plan for a bundle as soon as it is there.
func (s *stack) approve(t testing.TB, ns, csv string) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		var plans operatorsv1alpha1.InstallPlanList
		if err := s.Client.List(ctx, &plans, inNamespace(ns)); err != nil {
			return err
		}
		for i := range plans.Items {
			p := &plans.Items[i]
			if len(p.Spec.ClusterServiceVersionNames) == 1 && p.Spec.ClusterServiceVersionNames[0] == csv {
				before := p.DeepCopy()
				p.Spec.Approved = true
				return s.Client.Patch(ctx, p, mergeFrom(before))
			}
		}
		return fmt.Errorf("no plan for %s in %s", csv, ns)
	})
}

// writes counts the requests of the controller that change something, from
// the audit log of the API server. Events and leases are not counted.
func (s *stack) writes(t testing.TB) int {
	t.Helper()
	return len(s.writeEvents(t))
}

func (s *stack) writeEvents(t testing.TB) (writes []auditEvent) {
	t.Helper()
	for _, e := range s.audit(t) {
		if e.isWrite() {
			writes = append(writes, e)
		}
	}
	return writes
}

// isWrite tells whether the controller changed something, events and leases
// not counted.
func (e auditEvent) isWrite() bool {
	if !strings.HasPrefix(e.UserAgent, "chandler") || e.Stage != "ResponseComplete" || e.ResponseStatus.Code >= 300 ||
		e.ObjectRef.Resource == "events" || e.ObjectRef.Resource == "leases" || e.storesNothing() {
		return false
	}
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, e.Verb)
}

// logWrites prints how often each kind of object was written.
func logWrites(title string, writes []auditEvent) {
	count := map[string]int{}
	for _, e := range writes {
		resource := e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			resource += "/" + e.ObjectRef.Subresource
		}
		count[e.Verb+" "+resource]++
	}
	for _, what := range slices.Sorted(maps.Keys(count)) {
		fmt.Printf("# %s: %3d %s\n", title, count[what], what) // the log of a benchmark is cut after ten lines
	}
}

// storesNothing tells whether a request only asks something.
func (e auditEvent) storesNothing() bool {
	return strings.HasSuffix(e.ObjectRef.Resource, "accessreviews") || strings.Contains(e.RequestURI, "dryRun=All")
}

type auditEvent struct {
	Stage, Verb, UserAgent string
	RequestURI             string
	User                   struct{ Username string }
	ObjectRef              struct{ Resource, Subresource, Namespace, Name string }
	ResponseStatus         struct{ Code int }
}

func (s *stack) audit(t testing.TB) (events []auditEvent) {
	t.Helper()
	file, err := os.Open(s.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e auditEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue // the last line may be half written
		}
		events = append(events, e)
	}
	return events
}

// residentMegabytes is the memory that a process holds.
func residentMegabytes(t testing.TB, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb / 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
