package catalogsource

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"google.golang.org/grpc/connectivity"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/snapshot"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// fakeServer is a catalog server whose content is a text.
type fakeServer struct {
	mu       sync.Mutex
	state    connectivity.State
	turned   chan struct{} // closed when the state changes
	text     string
	problem  string      // why it serves nothing (without a text) or nothing newer
	news     []chan News // of those who watch
	announce bool        // it can say when its content changes
	reads    int
	closed   bool
}

func newFakeServer(text string) *fakeServer {
	return &fakeServer{turned: make(chan struct{}), text: text, announce: true, state: connectivity.Idle}
}

func (s *fakeServer) Connect() {}

func (s *fakeServer) Close() error {
	s.closed = true
	return nil
}

func (s *fakeServer) GetState() connectivity.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *fakeServer) WaitForStateChange(ctx context.Context, from connectivity.State) bool {
	s.mu.Lock()
	turned, now := s.turned, s.state
	s.mu.Unlock()
	if now != from {
		return true
	}
	select {
	case <-turned:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *fakeServer) turn(state connectivity.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	close(s.turned)
	s.turned = make(chan struct{})
}

// serve changes the content.
func (s *fakeServer) serve(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.problem = text, ""
	s.tell()
}

// explain says why it serves nothing newer, or nothing.
func (s *fakeServer) explain(problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = problem
	s.tell()
}

func (s *fakeServer) tell() {
	for _, c := range s.news {
		c <- News{Digest: s.text, Problem: s.problem}
	}
}

func (s *fakeServer) watch(ctx context.Context, changed func(News)) error {
	s.mu.Lock()
	if s.state != connectivity.Ready {
		s.mu.Unlock()
		return errors.New(`rpc error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"`)
	}
	if !s.announce {
		s.mu.Unlock()
		return ErrCannotWatch
	}
	news := make(chan News, 10)
	news <- News{Digest: s.text, Problem: s.problem}
	s.news = append(s.news, news)
	s.mu.Unlock()
	for {
		select {
		case n := <-news:
			changed(n)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *fakeServer) save(_ context.Context, path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.text == "broken" {
		return failure.New(failure.Invalid, "package %q has no channel", "etcd").WithHint("add one")
	}
	return os.WriteFile(path, []byte(s.text), 0o600)
}

type textStore struct {
	registry.Store
	text string
}

func (s textStore) Digest(context.Context) (string, error) { return "sha256:" + s.text, nil }
func (s textStore) Close() error                           { return nil }

// fixture runs a Reconciler by hand over a fake API server.
type fixture struct {
	t         *testing.T
	client    client.Client
	snapshots *snapshot.Cache
	r         *Reconciler
	queue     chan types.NamespacedName
	writes    int
	servers   map[string]*fakeServer
	dir       string
	hosting   Hosting
	authority string // dialled last
}

var key = types.NamespacedName{Namespace: "olm", Name: "operators"}

func newFixture(t *testing.T, spec v1alpha1.CatalogSourceSpec, servers map[string]*fakeServer) *fixture {
	t.Helper()
	f := &fixture{t: t, queue: make(chan types.NamespacedName, 100), servers: servers, hosting: Hosting{Address: "a:1", Namespace: key.Namespace, ClusterDomain: "cluster.local"}}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	cs := &v1alpha1.CatalogSource{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "catalog"}, Spec: spec}
	f.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(cs).WithStatusSubresource(cs).
		WithInterceptorFuncs(interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
				f.writes++
				return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
			},
			Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				f.writes++
				return c.Create(ctx, obj, opts...)
			},
			Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
				f.writes++
				return c.Update(ctx, obj, opts...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
				f.writes++
				return c.Delete(ctx, obj, opts...)
			},
		}).Build()
	f.dir = t.TempDir()
	f.restart(f.dir)
	t.Cleanup(func() { f.r.Stop() })
	return f
}

// restart begins anew with a directory of snapshots.
func (f *fixture) restart(dir string) {
	f.t.Helper()
	if f.r != nil {
		f.r.Stop()
	}
	var err error
	f.snapshots, err = snapshot.New(snapshot.Options{Dir: dir, Open: func(_ context.Context, path string) (snapshot.Store, error) {
		text, err := os.ReadFile(path)
		return textStore{text: string(text)}, err
	}})
	if err != nil {
		f.t.Fatal(err)
	}
	version := func() (string, error) { return "v1.36.3", nil }
	f.r = New(Options{Client: f.client, Cached: f.client, Live: f.client, Snapshots: f.snapshots, Hosting: f.hosting, KubeVersion: version, Dial: func(address, authority string) (Server, error) {
		f.authority = authority
		s, ok := f.servers[address]
		if !ok {
			return Server{}, errors.New("missing port")
		}
		return Server{Conn: s, Watch: s.watch, Save: s.save}, nil
	}})
	f.r.enqueue = func(catalog types.NamespacedName) { f.queue <- catalog }
	f.queue <- key
}

// settle reconciles until nothing is left to do; wait lets connections work.
func (f *fixture) settle(wait func()) v1alpha1.CatalogSourceStatus {
	f.t.Helper()
	for {
		wait()
		select {
		case catalog := <-f.queue:
			if _, err := f.r.Reconcile(f.t.Context(), reconcile.Request{NamespacedName: catalog}); err != nil {
				f.t.Fatal(err)
			}
			continue
		default:
		}
		var cs v1alpha1.CatalogSource
		if err := client.IgnoreNotFound(f.client.Get(f.t.Context(), key, &cs)); err != nil {
			f.t.Fatal(err)
		}
		return cs.Status
	}
}

func (f *fixture) content() string {
	f.t.Helper()
	s, err := f.snapshots.Open(f.t.Context(), key)
	if err != nil {
		return string(failure.KindOf(err))
	}
	defer s.Close()
	return s.Digest
}
