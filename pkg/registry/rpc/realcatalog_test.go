package rpc_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/rpc"
	api "chandler.dev/olm/proto"
)

// TestRealCatalog compares the answers of the two stores on a real catalog.
func TestRealCatalog(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "data", "catalogs", "community-v4.21")
	if d := os.Getenv("OLM_TESTDATA"); d != "" {
		dir = filepath.Join(d, "catalogs", "community-v4.21")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no test data; set OLM_TESTDATA")
	}
	want, err := memory.New(t.Context(), fbc.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	file := stores["sqlite"](t, want)
	wantDigest, _ := want.Digest(t.Context())
	if got, _ := file.Digest(t.Context()); got != wantDigest {
		t.Errorf("Digest() = %s, want %s", got, wantDigest)
	}
	a := api.NewRegistryClient(served(t, func(*testing.T, registry.Source) registry.Store { return want }, nil))
	b := api.NewRegistryClient(served(t, func(*testing.T, registry.Source) registry.Store { return file }, nil))
	listed := 0
	streamA, errA := a.ListBundles(t.Context(), &api.ListBundlesRequest{})
	streamB, errB := b.ListBundles(t.Context(), &api.ListBundlesRequest{})
	for errA == nil && errB == nil {
		var x, y *api.Bundle
		x, errA = streamA.Recv()
		y, errB = streamB.Recv()
		if errA != nil || errB != nil {
			break
		}
		listed++
		equal(t, x, y)
		if listed%9 != 0 { // the memory store searches long
			continue
		}
		at := &api.GetBundleRequest{PkgName: x.GetPackageName(), ChannelName: x.GetChannelName(), CsvName: x.GetCsvName()}
		x, errA = a.GetBundle(t.Context(), at)
		y, errB = b.GetBundle(t.Context(), at)
		equal(t, x, y)
	}
	if !errors.Is(errA, io.EOF) || !errors.Is(errB, io.EOF) || listed != 873 {
		t.Errorf("listed %d bundles (%v, %v), want 873", listed, errA, errB)
	}
}

func equal(t *testing.T, want, got proto.Message) {
	t.Helper()
	if !proto.Equal(want, got) {
		t.Fatalf("answers differ (-memory +sqlite):\n%s", cmp.Diff(want, got, protocmp.Transform()))
	}
}

// TestLargeHead asks for a channel head that is larger than what clients take
// who do not ask for more.
func TestLargeHead(t *testing.T) {
	c := inline()
	object := []byte(`{"kind":"ConfigMap","data":"` + strings.Repeat("x", 5<<20) + `"}`)
	c[0].Bundle.Content.Objects = append(c[0].Bundle.Content.Objects, object)
	for kind, open := range stores {
		t.Run(kind, func(t *testing.T) {
			conn := served(t, open, c)
			//nolint:staticcheck // deprecated, and still called
			got, err := api.NewRegistryClient(conn).GetBundleForChannel(t.Context(), &api.GetBundleInChannelRequest{PkgName: "p", ChannelName: "c"})
			if err != nil || got.GetCsvName() != "p.v1" || got.GetCsvJson() == "" || len(got.GetObject()) > 0 {
				t.Errorf("GetBundleForChannel() = %.100v, %v, want only the ClusterServiceVersion", got, err)
			}
			whole, err := rpc.NewClient(conn).Bundle(t.Context(), "p", "p.v1")
			if err != nil || len(whole.Content.Objects) != 3 {
				t.Errorf("our client gets %d objects, %v, want 3", len(whole.Content.Objects), err)
			}
		})
	}
}
