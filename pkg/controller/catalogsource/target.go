package catalogsource

import (
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
)

// defaultInterval is how often a catalog is read again whose server cannot say
// when its content changes.
const defaultInterval = 10 * time.Minute

// target is the server of a catalog and how often to read it.
type target struct {
	address   string        // that is dialled
	authority string        // names the catalog on a shared server; empty if the address does
	interval  time.Duration // without jitter
}

// hosted reports whether a shared server serves the catalog.
func (t target) hosted() bool { return t.authority != "" }

// shown is the address that everybody in the cluster can use.
func (t target) shown() string {
	if t.hosted() {
		return t.authority
	}
	return t.address
}

// refusal is why a catalog cannot be used as it is written.
type refusal struct {
	reason  v1alpha1.ConditionReason
	message string
}

// targetOf returns where the content of a catalog comes from, or why it comes
// from nowhere. The texts of wrong fields are those that existing tools know.
func targetOf(cs *v1alpha1.CatalogSource, server string) (target, *refusal) {
	spec := cs.Spec
	switch spec.SourceType {
	case v1alpha1.SourceTypeInternal, v1alpha1.SourceTypeConfigmap:
		if spec.ConfigMap == "" {
			return target{}, invalid("configmap name unset: must be set for sourcetype: " + string(spec.SourceType))
		}
		return hostedBy(server, cs)
	case v1alpha1.SourceTypeGrpc:
	default:
		return target{}, invalid("unknown sourcetype: " + string(spec.SourceType))
	}
	switch {
	case spec.Image == "" && spec.Address == "":
		return target{}, invalid("image and address unset: at least one must be set for sourcetype: grpc")
	case spec.Address == "":
		return hostedBy(server, cs)
	}
	return target{address: spec.Address, interval: intervalOf(spec.UpdateStrategy)}, nil
}

// hostedBy returns the place of a catalog on the catalog server.
func hostedBy(server string, cs *v1alpha1.CatalogSource) (target, *refusal) {
	if server == "" {
		return target{}, &refusal{v1alpha1.CatalogSourceRegistryServerError, "this catalog needs a catalog server, and the controller knows none; " +
			"start one with \"catalog serve --kubernetes\" and name its host and port with --catalog-server of the controller, or name a server of this catalog in spec.address"}
	}
	authority := serviceName(cs) + "." + cs.Namespace + ".svc:" + servicePort
	return target{address: server, authority: authority, interval: intervalOf(cs.Spec.UpdateStrategy)}, nil
}

func invalid(message string) *refusal {
	return &refusal{reason: v1alpha1.CatalogSourceSpecInvalidError, message: message}
}

func intervalOf(strategy *v1alpha1.UpdateStrategy) time.Duration {
	if strategy == nil || strategy.RegistryPoll == nil || strategy.Interval == nil || strategy.Interval.Duration <= 0 {
		return defaultInterval
	}
	return strategy.Interval.Duration
}

// intervalProblem says what is wrong with the polling interval; nil if nothing is.
func intervalProblem(strategy *v1alpha1.UpdateStrategy) *refusal {
	if strategy == nil || strategy.RegistryPoll == nil || strategy.ParsingError == "" {
		return nil
	}
	return &refusal{reason: v1alpha1.CatalogSourceIntervalInvalidError, message: strategy.ParsingError}
}
