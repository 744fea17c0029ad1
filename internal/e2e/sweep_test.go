package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chandler.dev/olm/internal/testkit"
)

// TestKilledAtEveryWrite kills the controller right after its first write, its
// second one and so on, through an install and an upgrade. Each time, what
// comes after it has to reach the same end. It takes every fifth write, or
// all of them with OLM_TEST_EVERY_WRITE=1.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	bundles := testkit.Data(t, "bundles")
	stride := 5
	if os.Getenv("OLM_TEST_EVERY_WRITE") != "" {
		stride = 1
	}
	s := startStack(t)
	s.catalogSource(t, "sweep", serve(t, bundleSubset(t, bundles, "etcd")))
	s.waitCatalogNamed(t, "sweep")
	killed := 0
	for n := 1; ; n += stride {
		ns := s.Namespace(t, "sweep")
		s.group(t, ns, ns)
		follow := s.follow(t)
		key := s.subscribe(t, wish{ns: ns, pkg: "etcd", channel: etcdChannel, start: etcdFirst, catalog: "sweep"})
		reached := follow.until(t, n, func() bool { return s.isInstalled(t, key, etcdSecond) })
		if reached {
			killed++
			s.controller.Kill()
			s.controller = startController(t, s.Env, t.TempDir())
		}
		s.waitInstalled(t, key, etcdSecond)
		s.checkHops(t, ns, []string{etcdFirst, etcdSecond})
		s.checkBundle(t, ns, filepath.Join(bundles, "etcd", "0.9.4"))
		if t.Failed() {
			t.Fatalf("killed after write %d", n)
		}
		if !reached {
			t.Logf("killed %d times; an install and an upgrade have fewer than %d writes", killed, n)
			break
		}
	}
	if killed*stride < 20 {
		t.Errorf("killed only %d times, although there are more writes", killed)
	}
}

// follower reads the writes of the controller from the end of the audit log on.
type follower struct {
	file    *os.File
	partial []byte
	writes  int
}

func (s *stack) follow(t testing.TB) *follower {
	t.Helper()
	file, err := os.Open(s.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	return &follower{file: file}
}

// until waits for the nth write. It returns false if over says that none will come.
func (f *follower) until(t testing.TB, n int, over func() bool) (reached bool) {
	t.Helper()
	var calm time.Time
	testkit.EventuallyEvery(t, 2*time.Millisecond, patience, func(context.Context) error {
		before := f.writes
		if err := f.read(); err != nil {
			return err
		}
		if reached = f.writes >= n; reached {
			return nil
		}
		if f.writes > before || calm.IsZero() {
			calm = time.Now()
		}
		if time.Since(calm) > time.Second && over() {
			return nil
		}
		return errNotYet
	})
	return reached
}

func (f *follower) read() error {
	data, err := io.ReadAll(f.file)
	if err != nil {
		return err
	}
	f.partial = append(f.partial, data...)
	for {
		line, rest, whole := bytes.Cut(f.partial, []byte("\n"))
		if !whole {
			return nil
		}
		f.partial = rest
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.isWrite() {
			f.writes++
		}
	}
}
