package hosting_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/hosting"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		spec   string
		want   hosting.Request
		wantOK bool
	}{
		"an image":                      {`{"sourceType": "grpc", "image": "i"}`, hosting.Request{Image: "i"}, true},
		"an image with an address":      {`{"sourceType": "grpc", "image": "i", "address": "a:1"}`, hosting.Request{}, false},
		"an address":                    {`{"sourceType": "grpc", "address": "a:1"}`, hosting.Request{}, false},
		"a ConfigMap":                   {`{"sourceType": "configmap", "configMap": "c", "image": "i"}`, hosting.Request{ConfigMap: "c"}, true},
		"a ConfigMap of the old type":   {`{"sourceType": "internal", "configMap": "c"}`, hosting.Request{ConfigMap: "c"}, true},
		"a ConfigMap without a name":    {`{"sourceType": "internal"}`, hosting.Request{}, false},
		"an unknown type":               {`{"sourceType": "goose", "image": "i"}`, hosting.Request{}, false},
		"an update strategy of nothing": {`{"sourceType": "grpc", "image": "i", "updateStrategy": {}}`, hosting.Request{Image: "i"}, true},
		"polling":                       {`{"sourceType": "grpc", "image": "i", "updateStrategy": {"registryPoll": {"interval": "45m"}}}`, hosting.Request{Image: "i", Interval: 45 * time.Minute}, true},
		"polling all the time":          {`{"sourceType": "grpc", "image": "i", "updateStrategy": {"registryPoll": {"interval": "1ms"}}}`, hosting.Request{Image: "i", Interval: 5 * time.Second}, true},
		"polling at an unreadable time": {`{"sourceType": "grpc", "image": "i", "updateStrategy": {"registryPoll": {"interval": "soon"}}}`, hosting.Request{Image: "i", Interval: 15 * time.Minute}, true},
		"polling of what cannot change": {`{"sourceType": "grpc", "image": "i@sha256:0", "updateStrategy": {"registryPoll": {"interval": "45m"}}}`, hosting.Request{Image: "i@sha256:0"}, true},
		"secrets and where to look":     {`{"sourceType": "grpc", "image": "i", "secrets": ["", "s"], "grpcPodConfig": {"extractContent": {"catalogDir": "/c"}, "memoryTarget": "1Mi"}}`, hosting.Request{Image: "i", Secrets: []string{"s"}, Directory: "/c"}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok, err := hosting.Parse(fmt.Appendf(nil, `{"metadata": {"namespace": "ns", "name": "n.1", "uid": "u", "creationTimestamp": "2020-01-02T03:04:05Z"}, "spec": %s}`, tt.spec))
			if err != nil || ok != tt.wantOK {
				t.Fatalf("Parse() = %v, %v, want %v", ok, err, tt.wantOK)
			}
			if !ok {
				return
			}
			tt.want.Namespace, tt.want.Name, tt.want.UID, tt.want.Created = "ns", "n.1", "u", time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
			if diff := cmp.Diff(tt.want, got); diff != "" || got.Host() != "n-1.ns" {
				t.Errorf("Parse() host %s (-want +got):\n%s", got.Host(), diff)
			}
		})
	}
}

func TestAdmit(t *testing.T) {
	at := func(age int, ns, name string) hosting.Request {
		return hosting.Request{Namespace: ns, Name: name, Created: time.Unix(int64(1000-age), 0)}
	}
	requests := []hosting.Request{at(1, "a", "x"), at(9, "a", "y"), at(5, "a", "z"), at(3, "b", "n-1"), at(4, "b", "n.1"), at(0, "c", "late")}
	hosted, refused := hosting.Admit(requests, hosting.Limits{Total: 3, PerNamespace: 2})
	var names []string
	for _, r := range hosted {
		names = append(names, r.Key())
	}
	reasons := map[string]string{}
	for _, r := range refused {
		reasons[r.Key()] = r.Reason
		if r.Taken != (r.Key() == "b/n-1") {
			t.Errorf("%s: Taken is %v", r.Key(), r.Taken)
		}
	}
	if diff := cmp.Diff([]string{"a/y", "a/z", "b/n.1"}, names); diff != "" {
		t.Errorf("hosted (-want +got):\n%s", diff)
	}
	want := map[string]string{
		"b/n-1":  `the catalog "n.1" has the same service name "n-1.b"; rename one of them`,
		"a/x":    "the catalog server hosts 3 catalogs already; raise its --max-catalogs, or delete catalogs",
		"c/late": "the catalog server hosts 3 catalogs already; raise its --max-catalogs, or delete catalogs",
	}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	_, refused = hosting.Admit(requests, hosting.Limits{Total: 9, PerNamespace: 2})
	if !slices.ContainsFunc(refused, func(r hosting.Refusal) bool {
		return r.Key() == "a/x" && r.Reason == `the catalog server hosts 2 catalogs of the namespace "a" already; raise its --max-catalogs-per-namespace, or delete catalogs`
	}) {
		t.Errorf("the third catalog of a namespace: %v", refused)
	}
}

func TestNext(t *testing.T) {
	polled := hosting.Request{Interval: time.Minute}
	for _, tt := range []struct {
		r        hosting.Request
		failures int
		want     time.Duration
	}{
		{hosting.Request{}, 0, 0},
		{polled, 0, time.Minute},
		{hosting.Request{}, 1, 2 * time.Second},
		{hosting.Request{}, 4, 16 * time.Second},
		{hosting.Request{}, 1000, 2 * time.Minute},
		{polled, 1000, time.Minute},
	} {
		if got := hosting.Next(tt.r, tt.failures); got != tt.want {
			t.Errorf("Next(%v, %d) = %s, want %s", tt.r.Interval, tt.failures, got, tt.want)
		}
	}
}
