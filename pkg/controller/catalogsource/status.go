package catalogsource

import (
	"fmt"
	"slices"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// States of a connection as status.connectionState shows them. A state that
// passes by itself within seconds is not shown.
const (
	stateReady       = "READY"
	stateUnreachable = "TRANSIENT_FAILURE"
)

// observation is what is known about the server of a catalog.
type observation struct {
	address  string    // that is dialled
	shown    string    // that the status names
	hosted   bool      // on the catalog server, with others
	state    string    // empty until the first attempt to connect has ended
	since    time.Time // of the state
	cause    string    // why the server is unreachable; empty if unknown or reachable
	told     string    // why it serves nothing, or nothing newer, in its words; empty if it has no reason
	snapshot bool      // there is a last good content
	readAt   time.Time // when this process read it; zero if a former one did
	unread   string    // why the content that the server has now cannot be used; empty if it can
}

// view is all that the status of a catalog is made of.
type view struct {
	observation

	refused  *refusal                      // the catalog cannot be used as it is written
	foreign  *refusal                      // its Service cannot be made
	absent   *refusal                      // its ConfigMap is not there
	from     *metav1.PartialObjectMetadata // its ConfigMap; nil if it has none
	template *resolved                     // its image; nil if it has no template
}

// Times after which is looked again at what tells nobody when it changes.
const (
	templateInterval = 10 * time.Minute // the version of the cluster
	foreignInterval  = 5 * time.Minute  // a Service of somebody else
)

// again is when to look again without a reason; 0 for never.
func (v view) again() time.Duration {
	switch {
	case v.foreign != nil:
		return foreignInterval
	case v.template != nil:
		return wait.Jitter(templateInterval, 0.1)
	}
	return 0
}

// nextStatus returns the status that a catalog should have.
func nextStatus(cs *v1alpha1.CatalogSource, v view, now time.Time) v1alpha1.CatalogSourceStatus {
	next := *cs.Status.DeepCopy()
	next.Conditions = v.conditions(cs, now)
	if v.refused != nil {
		return v1alpha1.CatalogSourceStatus{Reason: v.refused.reason, Message: v.refused.message, Conditions: next.Conditions}
	}
	if v.state == "" || v.state == stateReady && !v.snapshot && v.unread == "" {
		return next // connecting, or reading for the first time: known in a moment
	}
	next.RegistryServiceStatus = v.service(cs, now)
	next.GRPCConnectionState = connectionState(cs.Status.GRPCConnectionState, v.observation)
	next.ConfigMapResource = v.configMap(cs.Status.ConfigMapResource, now)
	if v.hosted && cs.Spec.Image != "" && cs.Spec.UpdateStrategy != nil && !v.readAt.IsZero() {
		next.LatestImageRegistryPoll = &metav1.Time{Time: v.readAt.Truncate(time.Second)}
	}
	next.Reason, next.Message = "", ""
	if p := v.problem(cs.Spec); p != nil {
		next.Reason, next.Message = p.reason, p.message
	}
	return next
}

// service returns how others find the server of a catalog.
func (v view) service(cs *v1alpha1.CatalogSource, now time.Time) *v1alpha1.RegistryServiceStatus {
	want := v1alpha1.RegistryServiceStatus{Protocol: "grpc", CreatedAt: metav1.NewTime(now.Truncate(time.Second))}
	if v.hosted {
		want.ServiceName, want.ServiceNamespace, want.Port = serviceName(cs), cs.Namespace, servicePort
	}
	if before := cs.Status.RegistryServiceStatus; before != nil {
		same := want
		if same.CreatedAt = before.CreatedAt; same == *before {
			return before
		}
	}
	return &want
}

// configMap returns which ConfigMap a catalog is made from.
func (v view) configMap(before *v1alpha1.ConfigMapResourceReference, now time.Time) *v1alpha1.ConfigMapResourceReference {
	switch {
	case v.absent != nil:
		return before
	case v.from == nil:
		return nil
	case before != nil && before.UID == v.from.UID && before.ResourceVersion == v.from.ResourceVersion:
		return before
	}
	return &v1alpha1.ConfigMapResourceReference{
		Name: v.from.Name, Namespace: v.from.Namespace, UID: v.from.UID, ResourceVersion: v.from.ResourceVersion,
		LastUpdateTime: metav1.NewTime(now.Truncate(time.Second)),
	}
}

// conditions returns what is said about the image template and the pod of a catalog.
func (v view) conditions(cs *v1alpha1.CatalogSource, now time.Time) []metav1.Condition {
	var want []metav1.Condition
	if v.template != nil {
		want = v.template.conditions()
	}
	if c := podConfigCondition(cs.Spec); c != nil && v.hosted {
		want = append(want, *c)
	}
	all := slices.Clone(cs.Status.Conditions)
	for _, ours := range []string{conditionTemplates, conditionImage, conditionPodConfig} {
		if meta.FindStatusCondition(want, ours) == nil {
			meta.RemoveStatusCondition(&all, ours)
		}
	}
	for _, c := range want {
		c.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
		meta.SetStatusCondition(&all, c)
	}
	return all
}

// connectionState returns what the status says about the connection. A server
// that was unreachable and still is has not changed, whoever looks.
func connectionState(before *v1alpha1.GRPCConnectionState, seen observation) *v1alpha1.GRPCConnectionState {
	if before != nil && before.Address == seen.shown && before.LastObservedState == seen.state && seen.state == stateUnreachable {
		return before
	}
	return &v1alpha1.GRPCConnectionState{
		Address: seen.shown, LastObservedState: seen.state, LastConnectTime: metav1.NewTime(seen.since.Truncate(time.Second)),
	}
}

// problem returns what a person should know about a catalog; nil if nothing.
func (v view) problem(spec v1alpha1.CatalogSourceSpec) *refusal {
	stays := "nothing can be installed from it until then"
	if v.snapshot {
		stays = "its last good content stays in use"
	}
	broken := func(format string, args ...any) *refusal {
		return &refusal{v1alpha1.CatalogSourceRegistryServerError, fmt.Sprintf(format, args...) + "; " + stays}
	}
	switch {
	case v.absent != nil:
		return &refusal{v.absent.reason, v.absent.message + "; " + stays}
	case v.told != "":
		return broken("%s", v.told)
	case v.state == stateUnreachable && v.hosted:
		return &refusal{v1alpha1.CatalogSourceRegistryServerError, fmt.Sprintf(
			"the catalog server at %q does not answer%s; %s; check that \"catalog serve --kubernetes\" runs and that --catalog-server of the controller names it",
			v.address, because(v.cause), stays)}
	case v.state == stateUnreachable:
		return &refusal{v1alpha1.CatalogSourceRegistryServerError, fmt.Sprintf(
			"the catalog server at %q does not answer%s; %s; check that it runs and that spec.address names it",
			v.address, because(v.cause), stays)}
	case v.unread != "":
		return broken("the content of the catalog server at %q cannot be used: %s", v.address, v.unread)
	case v.foreign != nil:
		return v.foreign
	}
	return intervalProblem(spec.UpdateStrategy)
}

func because(cause string) string {
	if cause == "" {
		return ""
	}
	return " (" + cause + ")"
}
