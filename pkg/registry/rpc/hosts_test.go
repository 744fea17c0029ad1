package rpc_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

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

func TestWatchDigest(t *testing.T) {
	hosts := hostsOf(t, storetest.F1())
	conn := dial(t, hosts)
	var seen []string
	var last error
	for digest, err := range rpc.WatchDigest(t.Context(), conn) {
		if last = err; err != nil {
			break
		}
		seen = append(seen, digest)
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
		t.Errorf("WatchDigest() yields %v, want two different digests", seen)
	}
	if failure.KindOf(last) != failure.Waiting {
		t.Errorf("WatchDigest() ends with %v, want kind Waiting", last)
	}
}
