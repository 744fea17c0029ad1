package serve_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/hosting"
)

func image(name, ref string) hosting.Request {
	return hosting.Request{Namespace: "ns", Name: name, UID: "uid-" + name, Image: ref, Interval: time.Minute}
}

// expect compares what is served and kept.
func (w *world) expect(what string, served, kept []string) {
	w.t.Helper()
	if diff := cmp.Diff(served, w.served()); diff != "" {
		w.t.Errorf("%s, served (-want +got):\n%s", what, diff)
	}
	if diff := cmp.Diff(kept, w.kept()); diff != "" {
		w.t.Errorf("%s, kept (-want +got):\n%s", what, diff)
	}
}

func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

type list = []string

// TestLifeOfAnImage walks an image through what may happen to it.
func TestLifeOfAnImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ask(image("a", "i"))
		w.expect("an image that is not there", list{`a.ns:  ("i" says no; check the repository and the tag in spec.image)`}, list{})
		w.publish("i", "one")
		w.pass(3 * time.Second)
		w.expect("it is tried again", list{"a.ns: one"}, list{"key-one.db"})
		looks := w.looked()
		w.pass(50 * time.Second)
		if now := w.looked(); now != looks {
			t.Errorf("looked %d times within the interval", now-looks)
		}
		w.publish("i", "two")
		w.pass(20 * time.Second)
		w.expect("after the interval", list{"a.ns: two"}, list{"key-two.db"})
		w.publish("i", "bad db")
		w.pass(70 * time.Second)
		w.expect("a broken image", list{`a.ns: two (the catalog in image "i" is invalid: package db has no channel (a.yaml:1), and 1 more problems)`}, list{"key-two.db"})
		w.publish("i", "two")
		w.pass(70 * time.Second)
		w.expect("the good one again", list{"a.ns: two"}, list{"key-two.db"})
		if diff := cmp.Diff(list{"one", "two"}, slices.DeleteFunc(slices.Clone(w.reads), func(s string) bool { return s == "bad db" })); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
		w.ask(image("a", "j"))
		w.expect("another image that is not there", list{`a.ns: two ("j" says no; check the repository and the tag in spec.image)`}, list{"key-two.db"})
		w.ask()
		w.expect("nobody asks", list{}, list{})
	})
}

// TestRestart serves at once what the same CatalogSource served from the same
// image, and only that.
func TestRestart(t *testing.T) {
	recreated := image("a", "i")
	recreated.UID = "another"
	tests := map[string]struct {
		r     hosting.Request
		spoil bool
		want  string
	}{
		"the same":                   {r: image("a", "i"), want: `a.ns: one (%q says no; it is tried again; check the name of the registry in spec.image)`},
		"another image":              {r: image("a", "j"), want: `a.ns:  (%q says no; it is tried again; check the name of the registry in spec.image)`},
		"another CatalogSource":      {r: recreated, want: `a.ns:  (%q says no; it is tried again; check the name of the registry in spec.image)`},
		"a file that cannot be used": {r: image("a", "i"), spoil: true, want: `a.ns:  (%q says no; it is tried again; check the name of the registry in spec.image)`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.publish("i", "one")
				w.ask(image("a", "i"))
				w.expect("before", list{"a.ns: one"}, list{"key-one.db"})
				w.stop()
				w.publish("i", "!Waiting")
				w.publish("j", "!Waiting")
				if tt.spoil {
					if err := os.WriteFile(w.dir+"/content/key-one.db", []byte("spoiled"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				w.requests = []hosting.Request{tt.r}
				w.start()
				synctest.Wait()
				if diff := cmp.Diff(list{fmt.Sprintf(tt.want, tt.r.Image)}, w.served()); diff != "" {
					t.Errorf("after (-want +got):\n%s", diff)
				}
				w.publish("i", "two")
				w.publish("j", "two")
				w.pass(time.Hour)
				w.expect("the registry is back", list{"a.ns: two"}, list{"key-two.db"})
			})
		})
	}
}

func TestSpoiledFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := os.WriteFile(w.dir+"/content/key-one.db", []byte("spoiled"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.publish("i", "one")
		w.ask(image("a", "i"))
		w.expect("a file of another version", list{"a.ns: one"}, list{"key-one.db"})
	})
}

func TestConfigMaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := hosting.Request{Namespace: "ns", Name: "a", UID: "u", ConfigMap: "c"}
		w.ask(r)
		w.expect("there is none", list{`a.ns:  (there is no ConfigMap "c" in the namespace "ns"; create it)`}, list{})
		w.setMap("other/c", map[string]string{"text": "of others"})
		w.expect("there is one elsewhere", list{`a.ns:  (there is no ConfigMap "c" in the namespace "ns"; create it)`}, list{})
		w.setMap("ns/c", map[string]string{"text": "one"})
		w.expect("it is there", list{"a.ns: one"}, list{"key-one.db"})
		w.setMap("ns/c", map[string]string{"text": "bad db"})
		w.expect("it is broken", list{`a.ns: one (the catalog in ConfigMap "c" is invalid: package db has no channel (a.yaml:1), and 1 more problems)`}, list{"key-one.db"})
		w.setMap("ns/c", map[string]string{"text": "two"})
		w.expect("it is repaired", list{"a.ns: two"}, list{"key-two.db"})
		w.setMap("ns/c", nil)
		w.expect("it is gone", list{`a.ns: two (there is no ConfigMap "c" in the namespace "ns"; create it)`}, list{"key-two.db"})
		w.stop()
		w.start()
		synctest.Wait()
		w.expect("after a restart", list{`a.ns:  (there is no ConfigMap "c" in the namespace "ns"; create it)`}, list{})
	})
}

func TestPullSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("i", "!Blocked")
		w.ask(image("a", "i"))
		w.expect("no secret", list{`a.ns:  ("i" says no; name a secret with credentials for its registry in spec.secrets)`}, list{})
		w.lose("s", "t")
		w.pass(time.Minute)
		w.expect("secrets that are not there", list{`a.ns:  ("i" says no; of the pull secrets, "s", "t" cannot be read: create it, or let the catalog server read it)`}, list{})
	})
}

// TestLimits hosts no more than is allowed, the oldest first, and shares one
// file among those with the same content.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("i", "one")
		var all []hosting.Request
		for i := range 4 {
			r := image(fmt.Sprint("n", i), "i")
			r.Created = time.Unix(int64(100-i), 0)
			all = append(all, r)
		}
		w.ask(all...)
		const reason = `the catalog server hosts 3 catalogs of the namespace "ns" already; raise its --max-catalogs-per-namespace, or delete catalogs`
		w.expect("four", list{"n0.ns:  (" + reason + ")", "n1.ns: one", "n2.ns: one", "n3.ns: one"}, list{"key-one.db"})
		w.ask(all[0], all[1], all[2])
		w.expect("one of them goes", list{"n0.ns: one", "n1.ns: one", "n2.ns: one"}, list{"key-one.db"})
		w.ask()
		w.expect("all go", list{}, list{})
	})
}

// TestOneAtATime indexes one catalog at a time, and is ready when each was read.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.stop()
		w.slow = make(chan struct{})
		w.publish("i", "one")
		w.publish("j", "two")
		w.publish("k", "three")
		other := image("c", "k")
		other.Namespace = "other"
		w.requests = []hosting.Request{image("a", "i"), image("b", "j"), other}
		w.start()
		synctest.Wait()
		if w.s.Ready() {
			t.Error("ready before anything was read")
		}
		w.slow <- struct{}{}
		synctest.Wait()
		if w.s.Ready() {
			t.Error("ready when one of three was read")
		}
		close(w.slow)
		synctest.Wait()
		w.expect("all are read", list{"a.ns: one", "b.ns: two", "c.other: three"}, list{"key-one.db", "key-three.db", "key-two.db"})
		if !w.s.Ready() || w.most != 1 {
			t.Errorf("ready: %v; %d were indexed at a time, want 1", w.s.Ready(), w.most)
		}
	})
}

// TestSlowStart is ready after a while, whatever a registry does.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.stop()
		w.slow = make(chan struct{})
		w.publish("i", "one")
		w.requests = []hosting.Request{image("a", "i")}
		w.start()
		w.pass(time.Minute)
		before := w.s.Ready()
		w.pass(time.Minute + time.Second)
		if before || !w.s.Ready() {
			t.Errorf("ready after one minute: %v, after two: %v", before, w.s.Ready())
		}
		w.ask() // while it is read
		w.expect("nobody asks any more", list{}, list{})
	})
}
