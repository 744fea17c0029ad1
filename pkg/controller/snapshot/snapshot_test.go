package snapshot_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"chandler.dev/olm/pkg/controller/snapshot"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/registry"
)

var operators = types.NamespacedName{Namespace: "olm", Name: "operators"}

// textStore is a catalog file of one package "etcd": its content is what the
// file says, its digest too.
type textStore struct {
	registry.Store
	text   string
	closed *int
}

func (s textStore) Digest(context.Context) (string, error) { return "sha256:" + s.text, nil }

func (s textStore) Close() error { *s.closed++; return nil }

func (s textStore) Bundles(context.Context, string) iter.Seq2[registry.Bundle, error] { return nil }

func (s textStore) Bundle(_ context.Context, pkg, name string) (registry.Bundle, error) {
	if name != "etcd.v1" {
		return registry.Bundle{}, failure.New(failure.NotFound, "no bundle %q", name)
	}
	b := registry.Bundle{Package: pkg, Name: name, Image: "example.com/etcd"}
	if !strings.HasPrefix(s.text, "image") {
		b.Content = content(s.text)
	}
	return b, nil
}

func (s textStore) Package(_ context.Context, name string) (registry.Package, error) {
	return registry.Package{Name: name, Channels: []registry.Channel{{Name: "stable", Entries: []registry.Entry{{Name: "etcd.v1"}}}}}, nil
}

// liveCatalog is a server with one bundle of a given text.
type liveCatalog string

func (l liveCatalog) Content(_ context.Context, pkg, channel, bundle string) (registry.Content, error) {
	if pkg != "etcd" || channel != "stable" || bundle != "etcd.v1" {
		return registry.Content{}, failure.New(failure.NotFound, "no %s in %s of %s", bundle, channel, pkg)
	}
	return content(string(l)), nil
}

func content(text string) registry.Content {
	return registry.Content{CSV: []byte(text), Objects: [][]byte{[]byte(text)}}
}

// fixture opens caches in one directory, as one process after the other would.
type fixture struct {
	dir    string
	closed int
	told   chan types.NamespacedName // catalogs that changed
	fetch  func(context.Context, types.NamespacedName, string) (registry.Content, error)
	clock  clock.PassiveClock // the real one if nil
}

func (f *fixture) open(t *testing.T) *snapshot.Cache {
	t.Helper()
	c, err := snapshot.New(snapshot.Options{Dir: f.dir, Fetch: f.fetch, Clock: f.clock, Open: func(_ context.Context, path string) (snapshot.Store, error) {
		text, err := os.ReadFile(path)
		if err != nil || string(text) == "broken" {
			return nil, errors.Join(err, failure.New(failure.Invalid, "not a catalog"))
		}
		return textStore{text: string(text), closed: &f.closed}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	f.told = make(chan types.NamespacedName, 100)
	t.Cleanup(c.Watch(func(catalog types.NamespacedName) { f.told <- catalog }))
	return c
}

func put(t *testing.T, c *snapshot.Cache, text string) {
	t.Helper()
	if err := tryPut(t, c, text); err != nil {
		t.Fatal(err)
	}
}

func tryPut(t *testing.T, c *snapshot.Cache, text string) error {
	t.Helper()
	return c.Put(t.Context(), operators, "origin-"+text, func(_ context.Context, path string) error {
		return os.WriteFile(path, []byte(text), 0o600)
	})
}

func digestOf(t *testing.T, c *snapshot.Cache) string {
	t.Helper()
	s, err := c.Open(t.Context(), operators)
	if err != nil {
		return string(failure.KindOf(err))
	}
	defer s.Close()
	return s.Digest
}

// files lists the directory without its folders.
func (f *fixture) files(t *testing.T) (names []string) {
	t.Helper()
	for _, dir := range []string{"", "content", "catalogs"} {
		entries, err := os.ReadDir(filepath.Join(f.dir, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := filepath.Join(dir, e.Name()); !e.IsDir() {
				names = append(names, name)
			}
		}
	}
	return names
}

func TestLastGoodContentSurvives(t *testing.T) {
	tests := map[string]struct {
		then func(t *testing.T, f *fixture, c *snapshot.Cache) *snapshot.Cache
		want string
	}{
		"nothing happens": {
			then: func(_ *testing.T, _ *fixture, c *snapshot.Cache) *snapshot.Cache { return c },
			want: "sha256:one",
		},
		"the controller restarts": {
			then: func(t *testing.T, f *fixture, _ *snapshot.Cache) *snapshot.Cache { return f.open(t) },
			want: "sha256:one",
		},
		"the catalog changes": {
			then: func(t *testing.T, _ *fixture, c *snapshot.Cache) *snapshot.Cache { put(t, c, "two"); return c },
			want: "sha256:two",
		},
		"a broken content arrives": {
			then: func(t *testing.T, _ *fixture, c *snapshot.Cache) *snapshot.Cache {
				if err := tryPut(t, c, "broken"); failure.KindOf(err) != failure.Invalid {
					t.Errorf("Put(broken) = %v, want an Invalid failure", err)
				}
				return c
			},
			want: "sha256:one",
		},
		"a crash leaves an unfinished file": {
			then: func(t *testing.T, f *fixture, _ *snapshot.Cache) *snapshot.Cache {
				unfinished := filepath.Join(f.dir, "incoming-1")
				write(t, unfinished, "half")
				yesterday := time.Now().Add(-24 * time.Hour)
				if err := os.Chtimes(unfinished, yesterday, yesterday); err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(f.dir, "content", "stray.db"), "never recorded")
				return f.open(t)
			},
			want: "sha256:one",
		},
		"the file is lost": {
			then: func(t *testing.T, f *fixture, _ *snapshot.Cache) *snapshot.Cache {
				if err := os.Remove(filepath.Join(f.dir, "content", "one.db")); err != nil {
					t.Fatal(err)
				}
				return f.open(t)
			},
			want: "NotFound",
		},
		"the file rots": {
			then: func(t *testing.T, f *fixture, _ *snapshot.Cache) *snapshot.Cache {
				write(t, filepath.Join(f.dir, "content", "one.db"), "broken")
				return f.open(t)
			},
			want: "NotFound",
		},
		"the catalog is deleted": {
			then: func(t *testing.T, _ *fixture, c *snapshot.Cache) *snapshot.Cache {
				if err := c.Forget(operators); err != nil {
					t.Fatal(err)
				}
				return c
			},
			want: "NotFound",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fixture{dir: t.TempDir()}
			c := f.open(t)
			put(t, c, "one")
			c = tt.then(t, f, c)
			if got := digestOf(t, c); got != tt.want {
				t.Errorf("content is %s, want %s", got, tt.want)
			}
			for _, name := range f.files(t) {
				if strings.Contains(name, "incoming") || strings.Contains(name, "stray") {
					t.Errorf("%s was left behind", name)
				}
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenSnapshotStaysReadable(t *testing.T) {
	f := &fixture{dir: t.TempDir()}
	c := f.open(t)
	put(t, c, "one")
	s, err := c.Open(t.Context(), operators)
	if err != nil {
		t.Fatal(err)
	}
	f.closed = 0
	put(t, c, "two")
	put(t, c, "three")
	if err := c.Prune(nil); err != nil {
		t.Fatal(err)
	}
	if f.closed != 2 { // only the checks of the new files
		t.Errorf("%d files were closed while one is read, want 2", f.closed)
	}
	if diff := cmp.Diff([]string{"content/one.db", "content/three.db", "content/two.db", "catalogs/olm_operators.json"}, f.files(t)); diff != "" {
		t.Errorf("files while the old content is read (-want +got):\n%s", diff)
	}
	s.Close()
	if err := c.Prune(nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"content/three.db", "content/two.db", "catalogs/olm_operators.json"}, f.files(t)); diff != "" {
		t.Errorf("files after it was closed (-want +got):\n%s", diff)
	}
}

func TestWatchTellsChangesOnly(t *testing.T) {
	c := (&fixture{dir: t.TempDir()}).open(t)
	told := 0
	stop := c.Watch(func(types.NamespacedName) { told++ })
	for _, step := range []struct {
		text string
		want int
	}{{"one", 1}, {"one", 1}, {"two", 2}} {
		if put(t, c, step.text); told != step.want {
			t.Errorf("after content %q watchers were told %d times, want %d", step.text, told, step.want)
		}
	}
	stop()
	if put(t, c, "three"); told != 2 {
		t.Errorf("a stopped watcher was told")
	}
}

func TestStandbyTakesOver(t *testing.T) {
	f := &fixture{dir: t.TempDir()}
	leader, standby := f.open(t), f.open(t)
	put(t, leader, "one")
	if got := digestOf(t, standby); got != "NotFound" {
		t.Errorf("before it takes over the standby has %s", got)
	}
	if err := standby.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := digestOf(t, standby); got != "sha256:one" {
		t.Errorf("after it took over the standby has %s, want what the leader read", got)
	}
}

func TestContentOfPlans(t *testing.T) {
	ref := func(text string) install.ContentRef {
		return install.ContentRef{
			CatalogNamespace: "olm", CatalogName: "operators", Package: "etcd", Bundle: "etcd.v1",
			Digest: install.ContentDigest(content(text)),
		}
	}
	tests := map[string]struct {
		texts  []string // contents of the catalog, in time order
		needed []install.ContentRef
		live   string // what the catalog itself still has
		image  string // what the image has
		gone   bool   // the catalog was deleted
		want   failure.Kind
	}{
		"it is in the snapshot":                          {texts: []string{"one"}},
		"the catalog changed once":                       {texts: []string{"one", "two"}},
		"the catalog changed and a plan needs the old":   {texts: []string{"one", "two", "three"}, needed: []install.ContentRef{ref("one")}},
		"the catalog changed and no plan needed the old": {texts: []string{"one", "two", "three"}, live: "three", want: failure.NotFound},
		"the catalog was deleted while a plan needs it":  {texts: []string{"one"}, needed: []install.ContentRef{ref("one")}, gone: true},
		"the catalog was deleted and no plan needed it":  {texts: []string{"one"}, gone: true, want: failure.Waiting},
		"the disk was lost":                              {live: "one", want: failure.Waiting},
		"only the catalog itself has it":                 {texts: []string{"image"}, live: "one"},
		"only the image has it":                          {texts: []string{"image"}, image: "one"},
		"the image has something else":                   {texts: []string{"image"}, image: "other", live: "other", want: failure.NotFound},
		"the image has it but nobody can read images":    {texts: []string{"image"}, live: " ", want: failure.NotFound},
		"only a catalog that is down can have it":        {texts: []string{"image"}, want: failure.Waiting},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fixture{dir: t.TempDir()}
			if tt.image != "" {
				f.fetch = func(context.Context, types.NamespacedName, string) (registry.Content, error) {
					return content(tt.image), nil
				}
			}
			c := f.open(t)
			for _, text := range tt.texts {
				put(t, c, text)
			}
			if tt.gone {
				if err := c.Forget(operators); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Prune(tt.needed); err != nil {
				t.Fatal(err)
			}
			for len(f.told) > 0 {
				<-f.told
			}
			if tt.live != "" {
				c.Connect(operators, liveCatalog(tt.live))
			}
			got, err := c.Content(t.Context(), ref("one"))
			if errors.Is(err, snapshot.ErrFetching) {
				<-f.told
				got, err = c.Content(t.Context(), ref("one"))
			}
			if tt.want != "" {
				if failure.KindOf(err) != tt.want {
					t.Errorf("Content() = %v, want a failure of kind %s", err, tt.want)
				}
				return
			}
			if diff := cmp.Diff(content("one"), got); err != nil || diff != "" {
				t.Errorf("Content() = %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestImages covers that an image is read once, in the background, and again
// after a failure when somebody asks, but not at once.
func TestImages(t *testing.T) {
	now := clocktesting.NewFakeClock(time.Now())
	reads, broken := 0, true
	f := &fixture{dir: t.TempDir(), clock: now, fetch: func(_ context.Context, catalog types.NamespacedName, image string) (registry.Content, error) {
		reads++
		if broken {
			return registry.Content{}, failure.New(failure.Blocked, "the registry wants other credentials for %q", image)
		}
		return content("one"), nil
	}}
	c := f.open(t)
	put(t, c, "image")
	<-f.told
	ask := func() (registry.Bundle, error) {
		s, err := c.Open(t.Context(), operators)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return c.Bundle(t.Context(), s, "etcd", "etcd.v1")
	}
	if _, err := ask(); !errors.Is(err, snapshot.ErrFetching) || failure.KindOf(err) != failure.Waiting {
		t.Errorf("the first time: %v, want ErrFetching", err)
	}
	<-f.told
	for range 3 {
		if _, err := ask(); failure.KindOf(err) != failure.Blocked {
			t.Errorf("after a failure: %v, want what the registry said", err)
		}
	}
	if reads != 1 {
		t.Errorf("the image was read %d times at once, want 1", reads)
	}
	broken = false
	now.Step(time.Minute)
	if _, err := ask(); failure.KindOf(err) != failure.Blocked {
		t.Errorf("while it is read again: %v, want what the registry said before", err)
	}
	<-f.told
	for range 2 {
		if b, err := ask(); err != nil || string(b.Content.CSV) != "one" {
			t.Errorf("in the end: %v, content %q", err, b.Content.CSV)
		}
	}
	if reads != 2 {
		t.Errorf("the image was read %d times, want 2", reads)
	}
	now.Step(2 * time.Hour)
	if _, err := ask(); !errors.Is(err, snapshot.ErrFetching) {
		t.Errorf("after hours: %v, want that the tag is read again", err)
	}
	<-f.told
}
