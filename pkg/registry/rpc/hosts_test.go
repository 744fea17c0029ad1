package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/rpc"
	"chandler.dev/olm/pkg/registry/storetest"
	api "chandler.dev/olm/proto"
)

// TestSwap exchanges files under calls: none fails, every store but the last
// is released once.
func TestSwap(t *testing.T) {
	const swaps, callers = 30, 4
	hosts := rpc.NewHosts()
	var released atomic.Int64
	swap := func(i int) {
		store := stores["sqlite"](t, []registry.Catalog{storetest.F1(), storetest.F2()}[i%2])
		if err := hosts.Swap(t.Context(), "", store, func() {
			released.Add(1)
			if err := store.(interface{ Close() error }).Close(); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	swap(0)
	client := api.NewRegistryClient(dial(t, hosts))
	ctx, stop := context.WithCancel(t.Context())
	group := &errgroup.Group{}
	for range callers {
		group.Go(func() error {
			for ctx.Err() == nil {
				if got := list(t.Context(), client); got != listedF1 && len(got) < 100 {
					return errors.New(got)
				}
			}
			return nil
		})
	}
	for i := range swaps {
		swap(i + 1)
	}
	stop()
	if err := group.Wait(); err != nil {
		t.Errorf("a call failed: %v", err)
	}
	if got := released.Load(); got != swaps {
		t.Errorf("%d stores were released, want %d", got, swaps)
	}
	hosts.Close()
	if got := released.Load(); got != swaps+1 {
		t.Errorf("%d stores were released at the end, want %d", got, swaps+1)
	}
}

func TestHosts(t *testing.T) {
	hosts := rpc.NewHosts()
	for name, c := range map[string]registry.Catalog{"one.olm": storetest.F1(), "two": storetest.F2()} {
		if err := hosts.Swap(t.Context(), name, storeOf(t, c), nil); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		authority string
		want      int
		wantKind  failure.Kind
	}{
		"the name":                     {authority: "one.olm", want: 3},
		"the name of a service":        {authority: "one.olm.svc:50051", want: 3},
		"the full name of a service":   {authority: "ONE.olm.svc.cluster.local.", want: 3},
		"the first label":              {authority: "two.any.svc:1", want: 1},
		"a name that nobody serves":    {authority: "one.other.svc", wantKind: failure.NotFound},
		"an address instead of a name": {authority: "127.0.0.1:50051", wantKind: failure.NotFound},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := rpc.NewClient(dial(t, hosts, grpc.WithAuthority(test.authority))).Packages(t.Context())
			if len(got) != test.want || err != nil && failure.KindOf(err) != test.wantKind || err == nil && test.wantKind != "" {
				t.Errorf("Packages() = %v, %v, want %d packages or %s", got, err, test.want, test.wantKind)
			}
		})
	}
}

func TestWatch(t *testing.T) {
	hosts := hostsOf(t, storetest.F1())
	conn := dial(t, hosts)
	var seen []string
	var last error
	for news, err := range rpc.Watch(t.Context(), conn) {
		if last = err; err != nil {
			break
		}
		seen = append(seen, news.Digest)
		switch len(seen) {
		case 1:
			if err := hosts.Swap(t.Context(), "", storeOf(t, storetest.F2()), nil); err != nil {
				t.Fatal(err)
			}
		case 2:
			hosts.Drain()
		}
	}
	if len(seen) != 2 || seen[0] == seen[1] {
		t.Errorf("Watch() yields %v, want two different digests", seen)
	}
	if failure.KindOf(last) != failure.Waiting {
		t.Errorf("Watch() ends with %v, want kind Waiting", last)
	}
}

// TestServiceHosts asks for the catalogs of different people on one server.
func TestServiceHosts(t *testing.T) {
	hosts := rpc.NewServiceHosts()
	if err := hosts.Swap(t.Context(), "one.olm", storeOf(t, storetest.F1()), nil); err != nil {
		t.Fatal(err)
	}
	if err := hosts.Swap(t.Context(), "one.svc", storeOf(t, storetest.F2()), nil); err != nil {
		t.Fatal(err)
	}
	hosts.Explain("two.olm", "there is no image")
	type answer struct {
		Packages int
		Code     codes.Code
		Text     string
		Health   string
	}
	const serving, notServing = "SERVING", "NOT_SERVING"
	unknown := func(authority string) answer {
		return answer{Code: codes.NotFound, Text: fmt.Sprintf("no catalog is served as %q", authority), Health: "NotFound"}
	}
	tests := map[string]struct {
		authority string
		want      answer
	}{
		"name and namespace":                 {"one.olm", answer{Packages: 3, Health: serving}},
		"the name of a service with a port":  {"one.olm.svc:50051", answer{Packages: 3, Health: serving}},
		"the full name of a service":         {"ONE.olm.svc.cluster.local.", answer{Packages: 3, Health: serving}},
		"another domain of the cluster":      {"one.olm.svc.example.com:1", answer{Packages: 3, Health: serving}},
		"a namespace that is named svc":      {"one.svc.svc:50051", answer{Packages: 1, Health: serving}},
		"a catalog that has no content":      {"two.olm.svc:50051", answer{Code: codes.Unavailable, Text: "there is no image", Health: notServing}},
		"the same name in another namespace": {"one.other.svc:50051", unknown("one.other.svc:50051")},
		"a name that goes on after the namespace": {"one.olm.example.com", answer{
			Code: codes.NotFound, Text: `no catalog is served as "one.olm.example.com"`, Health: serving,
		}},
		"a name without a namespace": {"one:50051", answer{Code: codes.NotFound, Text: `no catalog is served as "one:50051"`, Health: serving}},
		"an address is the server":   {"127.0.0.1:50051", answer{Code: codes.NotFound, Text: `no catalog is served as "127.0.0.1:50051"`, Health: serving}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, hosts, grpc.WithAuthority(test.authority))
			var got answer
			stream, err := api.NewRegistryClient(conn).ListPackages(t.Context(), &api.ListPackageRequest{})
			for ; err == nil; got.Packages++ {
				_, err = stream.Recv()
			}
			got.Packages--
			if !errors.Is(err, io.EOF) {
				got.Code, got.Text = status.Code(err), status.Convert(err).Message()
			}
			health, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
			if got.Health = health.GetStatus().String(); err != nil {
				got.Health = status.Code(err).String()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("a call to %s (-want +got):\n%s", test.authority, diff)
			}
		})
	}
}

// TestServiceHostsComeAndGo watches a name that nobody serves yet.
func TestServiceHostsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := rpc.NewServiceHosts()
		released := false
		swap := func() {
			if err := hosts.Swap(t.Context(), "one.olm", storeOf(t, storetest.F1()), func() { released = true }); err != nil {
				t.Fatal(err)
			}
		}
		steps := []func(){
			func() { hosts.Explain("other.olm", ""); hosts.Explain("one.olm", "") },
			func() { hosts.Explain("one.olm", "there is no image") },
			swap,
			func() { hosts.Explain("one.olm", "the new image is broken") },
			func() { hosts.Explain("one.olm", "") },
			func() { hosts.Remove("one.olm") },
		}
		gone := `no catalog is served as "one.olm.svc:50051"`
		want := []string{gone, "the content of the catalog is being read", "there is no image", "", "the new image is broken", "", gone}
		var got, digests []string
		for news, err := range rpc.Watch(t.Context(), dial(t, hosts, grpc.WithAuthority("one.olm.svc:50051"))) {
			if err != nil {
				t.Fatal(err)
			}
			got, digests = append(got, news.Problem), append(digests, news.Digest)
			if len(got) == len(want) {
				break
			}
			steps[len(got)-1]()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Watch() problems (-want +got):\n%s", diff)
		}
		d := digests[3]
		if diff := cmp.Diff([]string{"", "", "", d, d, d, ""}, digests); d == "" || diff != "" {
			t.Errorf("Watch() digests (-want +got):\n%s", diff)
		}
		if !released {
			t.Error("the store of a host that went was not released")
		}
	})
}

// TestWatchWaits says nothing about a name that is served in a moment.
func TestWatchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := rpc.NewServiceHosts()
		go func() {
			time.Sleep(time.Second)
			hosts.Explain("one.olm", "")
			time.Sleep(time.Second)
			if err := hosts.Swap(t.Context(), "one.olm", storeOf(t, storetest.F1()), nil); err != nil {
				t.Error(err)
			}
		}()
		for news, err := range rpc.Watch(t.Context(), dial(t, hosts, grpc.WithAuthority("one.olm"))) {
			if err != nil || news.Digest == "" || news.Problem != "" {
				t.Errorf("Watch() begins with %v, %v, want content", news, err)
			}
			break
		}
	})
}
