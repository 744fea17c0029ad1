package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"chandler.dev/olm/internal/testkit/distribution"
	"chandler.dev/olm/pkg/registry/oci"
	"chandler.dev/olm/pkg/registry/rpc"
)

// logged is what a command writes.
type logged struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newLogged() *logged { return &logged{changed: make(chan struct{}, 1)} }

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits until something was written n times, and returns the last.
func (l *logged) await(ctx context.Context, t *testing.T, n int, pattern string) []string {
	t.Helper()
	for {
		if all := regexp.MustCompile(pattern).FindAllStringSubmatch(l.String(), -1); len(all) >= n {
			return all[n-1]
		}
		select {
		case <-l.changed:
		case <-ctx.Done():
			t.Fatalf("there is no %q in:\n%s", pattern, l)
		}
	}
}

// watched serves a catalog until the test ends.
func watched(t *testing.T, arg string) (*grpc.ClientConn, *logged) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	log, ended := newLogged(), make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--watch", "--poll-interval", "10ms", "--address", "127.0.0.1:0", "--http-address", "", arg}, log, log)
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("the server ended with code %d:\n%s", code, log)
		}
	})
	address := log.await(t.Context(), t, 1, `msg=serving address=(\S+)`)[1]
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, log
}

func wantHead(t *testing.T, conn *grpc.ClientConn, want string) {
	t.Helper()
	p, err := rpc.NewClient(conn).Package(t.Context(), "op") // a client keeps what it knows
	if err != nil || len(p.Channels) != 1 || p.Channels[0].Head != want {
		t.Errorf("the server has %v, %v, want the head %s", p.Channels, err, want)
	}
}

// catalogText is a catalog whose head has a version; without bundles it is
// invalid.
func catalogText(version string) string {
	return fmt.Sprintf(`{"schema":"olm.package","name":"op","defaultChannel":"c"}
{"schema":"olm.channel","package":"op","name":"c","entries":[{"name":"op.v%[1]s"}]}
{"schema":"olm.bundle","package":"op","name":"op.v%[1]s","image":"example.com/op:v%[1]s","properties":[{"type":"olm.package","value":{"packageName":"op","version":"%[1]s"}}]}
`, version)
}

// TestWatchImage moves the tag of an image that is served: to good content, to
// bad content, and to content that cannot be fetched at first.
func TestWatchImage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var broken atomic.Bool
	r := distribution.Start(t, distribution.Options{Wrap: func(registry http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if broken.Load() && req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			registry.ServeHTTP(w, req)
		})
	}})
	ref := r.Host + "/team/catalog:v1"
	move := func(text string) (digest string) {
		t.Helper()
		digest, err := oci.Push(t.Context(), ref, fstest.MapFS{"catalog.json": {Data: []byte(text)}}, oci.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	// polled waits until the server has asked a few times more.
	polled := func() {
		t.Helper()
		for n := r.Requests(http.MethodGet, "/manifests/v1"); r.Requests(http.MethodGet, "/manifests/v1") < n+5; {
			select {
			case <-ctx.Done():
				t.Fatal("the server does not ask for the digest")
			case <-time.After(time.Millisecond):
			}
		}
	}

	move(catalogText("1.0.0"))
	conn, log := watched(t, ref)
	wantHead(t, conn, "op.v1.0.0")
	polled()
	if got := log.String(); strings.Contains(got, "new content") {
		t.Errorf("the same image was served again:\n%s", got)
	}

	good := catalogText("1.1.0")
	move(good[:strings.Index(good, `{"schema":"olm.bundle"`)])
	why := log.await(ctx, t, 1, `the old one stays.*`)[0]
	if !strings.Contains(why, "no olm.bundle blobs found") {
		t.Errorf("it does not say why: %s", why)
	}
	wantHead(t, conn, "op.v1.0.0")
	polled()
	if n := strings.Count(log.String(), "the old one stays"); n != 1 {
		t.Errorf("bad content was tried %d times, want once", n)
	}

	move(good)
	log.await(ctx, t, 1, `msg="serving new content"`)
	wantHead(t, conn, "op.v1.1.0")

	broken.Store(true)
	move(catalogText("1.2.0"))
	log.await(ctx, t, 1, `there is no image|asking for the digest`)
	wantHead(t, conn, "op.v1.1.0")
	broken.Store(false)
	log.await(ctx, t, 2, `msg="serving new content"`)
	wantHead(t, conn, "op.v1.2.0")
}

// TestWatchCatalog changes the files of a catalog that is served.
func TestWatchCatalog(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("op/catalog.json", catalogText("1.0.0"))
	conn, log := watched(t, dir)
	wantHead(t, conn, "op.v1.0.0")

	write("op/catalog.json", catalogText("1.1.0"))
	log.await(ctx, t, 1, `msg="serving new content"`)
	wantHead(t, conn, "op.v1.1.0")

	write("new/catalog.yaml", "schema: x\na: b: c\n")
	if why := log.await(ctx, t, 1, `the old one stays.*`)[0]; !strings.Contains(why, "new/catalog.yaml:2") {
		t.Errorf("it does not say where: %s", why)
	}
	wantHead(t, conn, "op.v1.1.0")

	if err := os.RemoveAll(filepath.Join(dir, "new")); err != nil {
		t.Fatal(err)
	}
	log.await(ctx, t, 2, `msg="serving new content"`)
	write("op/catalog.json", catalogText("1.2.0"))
	log.await(ctx, t, 3, `msg="serving new content"`)
	wantHead(t, conn, "op.v1.2.0")
}
