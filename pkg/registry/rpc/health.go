package rpc

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// Health answers the health service, for every name, as clients ask for
// different ones: SERVING until Drain is called. A call to a host among Hosts is
// about that host; any other, such as a probe by address, about the server.
type Health struct {
	healthv1.UnimplementedHealthServer

	Hosts    *Hosts // may be nil
	draining atomic.Bool
}

// Drain makes every further answer NOT_SERVING.
func (h *Health) Drain() { h.draining.Store(true) }

func (h *Health) Check(ctx context.Context, _ *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	answer := healthv1.HealthCheckResponse_SERVING
	if h.Hosts != nil {
		known, serves := h.Hosts.state(authority(ctx))
		switch {
		case !known:
			return nil, status.Errorf(codes.NotFound, "no catalog is served as %q", authority(ctx))
		case !serves:
			answer = healthv1.HealthCheckResponse_NOT_SERVING
		}
	}
	if h.draining.Load() {
		answer = healthv1.HealthCheckResponse_NOT_SERVING
	}
	return &healthv1.HealthCheckResponse{Status: answer}, nil
}
