package catalogsource

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"google.golang.org/grpc/connectivity"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func grpcAt(address string) v1alpha1.CatalogSourceSpec {
	return v1alpha1.CatalogSourceSpec{SourceType: v1alpha1.SourceTypeGrpc, Address: address}
}

const refused = `the catalog server at "a:1" does not answer (dial tcp 127.0.0.1:1: connect: connection refused); `

// TestLifeOfACatalog walks a catalog through what happens to its server. After
// each event everything settles; then the status, the content and the number of
// status writes are compared.
func TestLifeOfACatalog(t *testing.T) {
	type moment struct {
		what    string
		do      func(f *fixture, a, b *fakeServer)
		state   string
		message string
		content string
		writes  int // that this event caused
	}
	ready := moment{
		what: "the server is up", do: func(_ *fixture, a, _ *fakeServer) { a.turn(connectivity.Ready) },
		state: stateReady, content: "sha256:one", writes: 1,
	}
	tests := map[string][]moment{
		"a change of the content is read at once and writes nothing": {
			ready,
			{what: "content changes", do: func(_ *fixture, a, _ *fakeServer) { a.serve("two") }, state: stateReady, content: "sha256:two"},
			{what: "the same content again", do: func(_ *fixture, a, _ *fakeServer) { a.serve("two") }, state: stateReady, content: "sha256:two"},
		},
		"a server that goes and comes writes once each, and its content stays": {
			ready,
			{
				what: "it goes", do: func(_ *fixture, a, _ *fakeServer) { a.turn(connectivity.TransientFailure) },
				state: stateUnreachable, content: "sha256:one", writes: 1,
				message: refused + "its last good content stays in use; check that it runs and that spec.address names it",
			},
			{what: "it is tried again", do: func(_ *fixture, a, _ *fakeServer) {
				a.turn(connectivity.Connecting)
				synctest.Wait()
				a.turn(connectivity.TransientFailure)
			}, state: stateUnreachable, content: "sha256:one", message: refused + "its last good content stays in use; check that it runs and that spec.address names it"},
			{what: "it comes back with other content", do: func(_ *fixture, a, _ *fakeServer) {
				a.text = "two"
				a.turn(connectivity.Ready)
			}, state: stateReady, content: "sha256:two", writes: 1},
		},
		"a server that was never there": {{
			what: "it refuses", do: func(_ *fixture, a, _ *fakeServer) { a.turn(connectivity.TransientFailure) },
			state: stateUnreachable, content: "NotFound", writes: 1,
			message: refused + "nothing can be installed from it until then; check that it runs and that spec.address names it",
		}},
		"content that cannot be used leaves the former in place": {
			ready,
			{
				what: "broken content", do: func(_ *fixture, a, _ *fakeServer) { a.serve("broken") }, state: stateReady, content: "sha256:one", writes: 1,
				message: `the content of the catalog server at "a:1" cannot be used: package "etcd" has no channel; add one; its last good content stays in use`,
			},
			{
				what: "time passes", do: func(*fixture, *fakeServer, *fakeServer) { time.Sleep(time.Hour) }, state: stateReady, content: "sha256:one",
				message: `the content of the catalog server at "a:1" cannot be used: package "etcd" has no channel; add one; its last good content stays in use`,
			},
			{what: "repaired", do: func(_ *fixture, a, _ *fakeServer) { a.serve("two") }, state: stateReady, content: "sha256:two", writes: 1},
		},
		"a server that announces nothing is read again by and by": {
			{what: "it is up", do: func(_ *fixture, a, _ *fakeServer) {
				a.announce = false
				a.turn(connectivity.Ready)
			}, state: stateReady, content: "sha256:one", writes: 1},
			{what: "content changes", do: func(_ *fixture, a, _ *fakeServer) { a.serve("two") }, state: stateReady, content: "sha256:one"},
			{what: "the interval passes", do: func(*fixture, *fakeServer, *fakeServer) { time.Sleep(11 * time.Minute) }, state: stateReady, content: "sha256:two"},
		},
		"another address is another server": {
			ready,
			{what: "the address changes", do: func(f *fixture, a, b *fakeServer) {
				b.turn(connectivity.Ready)
				f.edit(func(cs *v1alpha1.CatalogSource) { cs.Spec.Address = "b:1" })
				f.settle(synctest.Wait)
				if !a.closed {
					f.t.Error("the former connection is still open")
				}
			}, state: stateReady, content: "sha256:other", writes: 1},
		},
		"a deleted catalog leaves nothing": {
			ready,
			{what: "it is deleted", do: func(f *fixture, _, _ *fakeServer) {
				if err := f.client.Delete(f.t.Context(), &v1alpha1.CatalogSource{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}); err != nil {
					f.t.Fatal(err)
				}
				f.writes = 0
				f.queue <- key
			}, content: "NotFound"},
		},
		"after a restart the server is down": {
			ready,
			{
				what: "restart", do: func(f *fixture, a, _ *fakeServer) {
					a.turn(connectivity.TransientFailure)
					f.settle(synctest.Wait)
					f.writes = 0
					f.restart(f.dir)
				}, state: stateUnreachable, content: "sha256:one",
				message: refused + "its last good content stays in use; check that it runs and that spec.address names it",
			},
		},
	}
	for name, moments := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newFakeServer("one"), newFakeServer("other")
				f := newFixture(t, grpcAt("a:1"), map[string]*fakeServer{"a:1": a, "b:1": b})
				if f.settle(synctest.Wait); f.writes != 0 {
					t.Errorf("%d writes before the first connection attempt ended, want none", f.writes)
				}
				for _, m := range moments {
					time.Sleep(2 * time.Second) // times in a status have seconds
					f.writes = 0
					m.do(f, a, b)
					status := f.settle(synctest.Wait)
					state := ""
					if status.GRPCConnectionState != nil {
						state = status.GRPCConnectionState.LastObservedState
					}
					if state != m.state || status.Message != m.message || f.content() != m.content || f.writes != m.writes {
						t.Errorf("%s:\n got %s, content %s, %d writes, message %q\nwant %s, content %s, %d writes, message %q",
							m.what, state, f.content(), f.writes, status.Message, m.state, m.content, m.writes, m.message)
					}
				}
				f.r.Stop()
			})
		})
	}
}

// edit changes the spec as a person would.
func (f *fixture) edit(change func(*v1alpha1.CatalogSource)) {
	f.t.Helper()
	var cs v1alpha1.CatalogSource
	if err := f.client.Get(f.t.Context(), key, &cs); err != nil {
		f.t.Fatal(err)
	}
	before := cs.DeepCopy()
	change(&cs)
	if err := f.client.Patch(f.t.Context(), &cs, client.MergeFrom(before)); err != nil {
		f.t.Fatal(err)
	}
	f.queue <- key
}
