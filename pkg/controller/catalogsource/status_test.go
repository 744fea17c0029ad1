package catalogsource

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestTargetOf(t *testing.T) {
	tests := map[string]struct {
		spec         map[string]any
		server       string
		want         target
		wantProblem  string
		wantInterval string // problem with the interval
	}{
		"an address": {
			spec: map[string]any{"sourceType": "grpc", "address": "a:1"},
			want: target{address: "a:1", interval: 10 * time.Minute},
		},
		"an address beside an image": {
			spec: map[string]any{"sourceType": "grpc", "address": "a:1", "image": "example.com/catalog"},
			want: target{address: "a:1", interval: 10 * time.Minute},
		},
		"an address with an interval": {
			spec: map[string]any{"sourceType": "grpc", "address": "a:1", "updateStrategy": poll("45s")},
			want: target{address: "a:1", interval: 45 * time.Second},
		},
		"an update strategy without anything in it": {
			spec: map[string]any{"sourceType": "grpc", "address": "a:1", "updateStrategy": map[string]any{}},
			want: target{address: "a:1", interval: 10 * time.Minute},
		},
		"an interval that is none": {
			spec: map[string]any{"sourceType": "grpc", "address": "a:1", "updateStrategy": poll("45mError.code")},
			want: target{address: "a:1", interval: 15 * time.Minute},
			wantInterval: `error parsing spec.updateStrategy.registryPoll.interval. Using the default value of 15m0s instead. ` +
				`Error: time: unknown unit "mError" in duration "45mError.code"`,
		},
		"an interval of no time": {
			spec: map[string]any{"sourceType": "grpc", "address": "a:1", "updateStrategy": poll("0s")},
			want: target{address: "a:1", interval: 10 * time.Minute},
		},
		"nothing to connect to": {
			spec:        map[string]any{"sourceType": "grpc"},
			wantProblem: "image and address unset: at least one must be set for sourcetype: grpc",
		},
		"an unknown type": {
			spec:        map[string]any{"sourceType": "goose", "address": "a:1"},
			wantProblem: "unknown sourcetype: goose",
		},
		"a ConfigMap without a name": {
			spec:        map[string]any{"sourceType": "internal"},
			wantProblem: "configmap name unset: must be set for sourcetype: internal",
		},
		"a ConfigMap": {
			spec: map[string]any{"sourceType": "configmap", "configMap": "c"}, server: "catalog:1",
			want: target{address: "catalog:1", authority: "my-catalog.ns.svc:50051", interval: 10 * time.Minute},
		},
		"an image": {
			spec: map[string]any{"sourceType": "grpc", "image": "example.com/catalog", "updateStrategy": poll("45s")}, server: "catalog:1",
			want: target{address: "catalog:1", authority: "my-catalog.ns.svc:50051", interval: 45 * time.Second},
		},
		"an image without a catalog server": {
			spec: map[string]any{"sourceType": "grpc", "image": "example.com/catalog"},
			wantProblem: "this catalog needs a catalog server, and the controller knows none; start one with \"catalog serve --kubernetes\" " +
				"and name its host and port with --catalog-server of the controller, or name a server of this catalog in spec.address",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cs, err := Decode(&unstructured.Unstructured{Object: map[string]any{"spec": tt.spec}})
			if err != nil {
				t.Fatal(err)
			}
			cs.Namespace, cs.Name = "ns", "my.catalog"
			got, problem := targetOf(cs, tt.server)
			if got != tt.want || text(problem) != tt.wantProblem {
				t.Errorf("targetOf() = %v, %q; want %v, %q", got, text(problem), tt.want, tt.wantProblem)
			}
			if got := text(intervalProblem(cs.Spec.UpdateStrategy)); got != tt.wantInterval {
				t.Errorf("intervalProblem() = %q, want %q", got, tt.wantInterval)
			}
		})
	}
}

func poll(interval string) map[string]any {
	return map[string]any{"registryPoll": map[string]any{"interval": interval}}
}

func text(p *refusal) string {
	if p == nil {
		return ""
	}
	return p.message
}

func TestNextStatus(t *testing.T) {
	created, now := time.Unix(1000, 0), time.Unix(2000, 0)
	connected := v1alpha1.CatalogSourceStatus{
		RegistryServiceStatus: &v1alpha1.RegistryServiceStatus{Protocol: "grpc", CreatedAt: metav1.NewTime(created)},
		GRPCConnectionState:   &v1alpha1.GRPCConnectionState{Address: "a:1", LastObservedState: stateReady, LastConnectTime: metav1.NewTime(created)},
	}
	ready := observation{address: "a:1", shown: "a:1", state: stateReady, since: created, snapshot: true}
	tests := map[string]struct {
		before  v1alpha1.CatalogSourceStatus
		seen    observation
		refused *refusal
		want    v1alpha1.CatalogSourceStatus
	}{
		"nothing is said before the first attempt ended": {
			before: connected, seen: observation{address: "a:1", snapshot: true}, want: connected,
		},
		"nothing is said before the content was read once": {
			seen: observation{address: "a:1", state: stateReady, since: now},
		},
		"a connection that stays as it is": {before: connected, seen: ready, want: connected},
		"the first connection": {
			seen: observation{address: "a:1", shown: "a:1", state: stateReady, since: now.Add(time.Millisecond), snapshot: true},
			want: v1alpha1.CatalogSourceStatus{
				RegistryServiceStatus: &v1alpha1.RegistryServiceStatus{Protocol: "grpc", CreatedAt: metav1.NewTime(now)},
				GRPCConnectionState:   &v1alpha1.GRPCConnectionState{Address: "a:1", LastObservedState: stateReady, LastConnectTime: metav1.NewTime(now)},
			},
		},
		"a wrong spec clears everything but conditions": {
			before: v1alpha1.CatalogSourceStatus{
				GRPCConnectionState: connected.GRPCConnectionState, Conditions: []metav1.Condition{{Type: "Others"}},
			},
			refused: invalid("unknown sourcetype: goose"),
			want: v1alpha1.CatalogSourceStatus{
				Reason: "SpecInvalidError", Message: "unknown sourcetype: goose", Conditions: []metav1.Condition{{Type: "Others"}},
			},
		},
		"a problem that is over is forgotten": {
			before: v1alpha1.CatalogSourceStatus{
				Reason: "RegistryServerError", Message: "does not answer",
				RegistryServiceStatus: connected.RegistryServiceStatus, GRPCConnectionState: connected.GRPCConnectionState,
			},
			seen: ready, want: connected,
		},
		"what a pod of its own had is forgotten": {
			before: v1alpha1.CatalogSourceStatus{
				RegistryServiceStatus: &v1alpha1.RegistryServiceStatus{Protocol: "grpc", ServiceName: "c", ServiceNamespace: "olm", Port: "50051", CreatedAt: metav1.NewTime(created)},
				ConfigMapResource:     &v1alpha1.ConfigMapResourceReference{Name: "c"},
				GRPCConnectionState:   connected.GRPCConnectionState,
			},
			seen: ready,
			want: v1alpha1.CatalogSourceStatus{
				RegistryServiceStatus: &v1alpha1.RegistryServiceStatus{Protocol: "grpc", CreatedAt: metav1.NewTime(now)},
				GRPCConnectionState:   connected.GRPCConnectionState,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cs := &v1alpha1.CatalogSource{Status: tt.before}
			got := nextStatus(cs, view{observation: tt.seen, refused: tt.refused}, now)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("nextStatus() (-want +got):\n%s", diff)
			}
		})
	}
}
