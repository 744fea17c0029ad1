package member_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"

	"chandler.dev/olm/examples/database/member"
	"chandler.dev/olm/examples/database/roster"
)

const patience = time.Minute

// town is a set of members, each on a loopback address of its own.
type town struct {
	*testing.T
	net   int // second and third byte of all addresses
	hosts []string
	stop  map[string]func()
}

func newTown(t *testing.T) *town {
	return &town{T: t, net: rand.IntN(250*250) + 250, stop: map[string]func(){}}
}

// start runs a member as a pod would; its address is its host name.
func (w *town) start(role member.Role, name, state, dir string) string {
	w.Helper()
	host := fmt.Sprintf("127.%d.%d.%d", w.net/250, w.net%250, len(w.hosts)+1)
	w.hosts = append(w.hosts, host)
	w.startAt(host, role, name, state, dir)
	return host
}

func (w *town) startAt(host string, role member.Role, name, state, dir string) {
	w.Helper()
	ctx, cancel := context.WithCancel(ctrl.LoggerInto(context.WithoutCancel(w.Context()), testr.NewWithOptions(w.T, testr.Options{Verbosity: 1}).WithName(name)))
	done := make(chan error, 1)
	others := slices.DeleteFunc(slices.Clone(w.hosts), func(h string) bool { return h == host })
	go func() {
		done <- member.Run(ctx, member.Options{
			Role: role, Name: name, Host: host, Cluster: "test", State: state, DataDir: dir,
			Listen: host, Probes: net.JoinHostPort(host, "8080"),
			Peers: func(context.Context) ([]string, error) { return others, nil },
		})
	}()
	stopped := false
	w.stop[host] = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			w.Errorf("%s: %v", name, err)
		}
	}
	w.Cleanup(w.stop[host])
}

func (w *town) awaitReady(host string) {
	w.Helper()
	w.await("readiness of "+host, func(ctx context.Context) error { return w.ready(ctx, host) })
}

func (w *town) ready(ctx context.Context, host string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, "8080")+"/readyz", nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		return errors.New(reply.Status)
	}
	return nil
}

func (w *town) await(what string, check func(context.Context) error) {
	w.Helper()
	var last error
	err := wait.PollUntilContextTimeout(w.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil {
		w.Fatalf("%s: %v: %v", what, err, last)
	}
}

func (w *town) endpoint(host string) string { return "http://" + net.JoinHostPort(host, "2379") }

func (w *town) client(host string) *clientv3.Client {
	w.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{w.endpoint(host)}, Context: w.Context(), Logger: zap.NewNop()})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = c.Close() })
	return c
}

// census counts the voters and learners that host knows.
func (w *town) census(host string) (voters, learners int) {
	w.Helper()
	entries, err := roster.List(w.Context(), []string{w.endpoint(host)})
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range entries {
		if e.Learner {
			learners++
		} else {
			voters++
		}
	}
	return voters, learners
}

// TestMembersFormOneCluster lets a voter and a reader join the first member,
// then takes the data of the voter away: it comes back as a new member with
// what the others know. At last a member is removed, as when the database shrinks.
func TestMembersFormOneCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes about 20 s: etcd refuses a new member until all others were connected for 5 s")
	}
	w := newTown(t)
	first := w.start(member.Voter, "db-0", "new", filepath.Join(t.TempDir(), "etcd"))
	w.awaitReady(first)
	if _, err := w.client(first).Put(t.Context(), "ship", "ready"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "etcd")
	second := w.start(member.Voter, "db-1", "existing", dir)
	w.awaitReady(second)
	reader := w.start(member.Reader, "db-read-0", "existing", filepath.Join(t.TempDir(), "etcd"))
	w.awaitReady(reader)
	if voters, learners := w.census(first); voters != 2 || learners != 1 {
		t.Errorf("%d voters and %d learners, want 2 and 1", voters, learners)
	}
	w.await("the replica's copy", func(ctx context.Context) error {
		reply, err := w.client(reader).Get(ctx, "ship", clientv3.WithSerializable())
		if err == nil && len(reply.Kvs) != 1 {
			err = errors.New("not there yet")
		}
		return err
	})

	third := w.start(member.Voter, "db-2", "existing", filepath.Join(t.TempDir(), "etcd"))
	w.awaitReady(third)
	w.stop[second]()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	w.startAt(second, member.Voter, "db-1", "existing", dir)
	w.awaitReady(second)
	if voters, learners := w.census(second); voters != 3 || learners != 1 {
		t.Errorf("%d voters and %d learners after the loss, want 3 and 1", voters, learners)
	}
	reply, err := w.client(second).Get(t.Context(), "ship")
	if err != nil || len(reply.Kvs) != 1 || string(reply.Kvs[0].Value) != "ready" {
		t.Errorf("the member that lost its data answers %v, %v", reply, err)
	}

	entries, err := roster.List(t.Context(), []string{w.endpoint(first)})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name == "db-2" {
			w.await("the removal of db-2", func(ctx context.Context) error {
				return roster.Remove(ctx, []string{w.endpoint(first)}, e.ID)
			})
		}
	}
	w.await("the end of readiness of "+third, func(ctx context.Context) error {
		if w.ready(ctx, third) == nil {
			return errors.New("still ready")
		}
		return nil
	})
	w.awaitReady(first)
}
