package rpc

import (
	"context"
	"sync/atomic"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// Health answers the health service: SERVING for every name, as clients ask
// for different ones, until Drain is called.
type Health struct {
	healthv1.UnimplementedHealthServer

	draining atomic.Bool
}

// Drain makes every further answer NOT_SERVING.
func (h *Health) Drain() { h.draining.Store(true) }

func (h *Health) Check(context.Context, *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	if h.draining.Load() {
		return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_NOT_SERVING}, nil
	}
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, nil
}
