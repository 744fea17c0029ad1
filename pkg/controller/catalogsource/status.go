package catalogsource

import (
	"fmt"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// States of a connection as status.connectionState shows them. A state that
// passes by itself within seconds is not shown.
const (
	stateReady       = "READY"
	stateUnreachable = "TRANSIENT_FAILURE"
)

// observation is what is known about the server of a catalog.
type observation struct {
	address  string
	state    string    // empty until the first attempt to connect has ended
	since    time.Time // of the state
	cause    string    // why the server is unreachable; empty if unknown or reachable
	snapshot bool      // there is a last good content
	unread   string    // why the content that the server has now cannot be used; empty if it can
}

// nextStatus returns the status that a catalog should have.
func nextStatus(cs *v1alpha1.CatalogSource, seen observation, refused *refusal, now time.Time) v1alpha1.CatalogSourceStatus {
	if refused != nil {
		return v1alpha1.CatalogSourceStatus{Reason: refused.reason, Message: refused.message, Conditions: cs.Status.Conditions}
	}
	next := *cs.Status.DeepCopy()
	if next.RegistryServiceStatus == nil {
		next.RegistryServiceStatus = &v1alpha1.RegistryServiceStatus{CreatedAt: metav1.NewTime(now.Truncate(time.Second))}
	}
	next.RegistryServiceStatus.Protocol = "grpc"
	if seen.state == "" || seen.state == stateReady && !seen.snapshot && seen.unread == "" {
		return cs.Status // connecting, or reading for the first time: known in a moment
	}
	next.GRPCConnectionState = connectionState(cs.Status.GRPCConnectionState, seen)
	next.Reason, next.Message = "", ""
	if p := problemOf(cs.Spec, seen); p != nil {
		next.Reason, next.Message = p.reason, p.message
	}
	return next
}

// connectionState returns what the status says about the connection. A server
// that was unreachable and still is has not changed, whoever looks.
func connectionState(before *v1alpha1.GRPCConnectionState, seen observation) *v1alpha1.GRPCConnectionState {
	if before != nil && before.Address == seen.address && before.LastObservedState == seen.state && seen.state == stateUnreachable {
		return before
	}
	return &v1alpha1.GRPCConnectionState{
		Address: seen.address, LastObservedState: seen.state, LastConnectTime: metav1.NewTime(seen.since.Truncate(time.Second)),
	}
}

// problemOf returns what a person should know about a catalog; nil if nothing.
func problemOf(spec v1alpha1.CatalogSourceSpec, seen observation) *refusal {
	stays := "nothing can be installed from it until then"
	if seen.snapshot {
		stays = "its last good content stays in use"
	}
	switch {
	case seen.state == stateUnreachable:
		return &refusal{v1alpha1.CatalogSourceRegistryServerError, fmt.Sprintf(
			"the catalog server at %q does not answer%s; %s; check that it runs and that spec.address names it",
			seen.address, because(seen.cause), stays)}
	case seen.unread != "":
		return &refusal{v1alpha1.CatalogSourceRegistryServerError, fmt.Sprintf(
			"the content of the catalog server at %q cannot be used: %s; %s", seen.address, seen.unread, stays)}
	}
	return intervalProblem(spec.UpdateStrategy)
}

func because(cause string) string {
	if cause == "" {
		return ""
	}
	return " (" + cause + ")"
}
