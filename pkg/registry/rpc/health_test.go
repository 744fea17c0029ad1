package rpc_test

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"chandler.dev/olm/pkg/registry/rpc"
)

// TestHealth asks for the health of any service: rpc-33.
func TestHealth(t *testing.T) {
	srv, health := grpc.NewServer(), &rpc.Health{}
	healthv1.RegisterHealthServer(srv, health)
	client := healthv1.NewHealthClient(connect(t, srv))
	check := func(service string, want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		got, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		if err != nil || got.GetStatus() != want {
			t.Errorf("Check(%q) = %v, %v, want %s", service, got.GetStatus(), err, want)
		}
	}
	for _, service := range []string{"", "Registry", "nonsense"} {
		check(service, healthv1.HealthCheckResponse_SERVING)
	}
	stream, err := client.Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("Watch() error %v, want code Unimplemented", err)
	}
	health.Drain()
	check("", healthv1.HealthCheckResponse_NOT_SERVING)
}
