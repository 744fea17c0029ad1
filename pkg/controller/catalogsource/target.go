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
	address  string
	interval time.Duration // without jitter
}

// refusal is why a catalog cannot be used as it is written.
type refusal struct {
	reason  v1alpha1.ConditionReason
	message string
}

// targetOf returns where the content of a catalog comes from, or why it comes
// from nowhere. The texts of wrong fields are those that existing tools know.
func targetOf(spec v1alpha1.CatalogSourceSpec) (target, *refusal) {
	switch spec.SourceType {
	case v1alpha1.SourceTypeInternal, v1alpha1.SourceTypeConfigmap:
		if spec.ConfigMap == "" {
			return target{}, invalid("configmap name unset: must be set for sourcetype: " + string(spec.SourceType))
		}
		return target{}, invalid("catalogs in a ConfigMap are not served by this controller; " +
			"serve the content with \"catalog serve\" and name its host and port in spec.address with sourceType grpc")
	case v1alpha1.SourceTypeGrpc:
	default:
		return target{}, invalid("unknown sourcetype: " + string(spec.SourceType))
	}
	switch {
	case spec.Image == "" && spec.Address == "":
		return target{}, invalid("image and address unset: at least one must be set for sourcetype: grpc")
	case spec.Address == "":
		return target{}, invalid("catalog images are not run by this controller; " +
			"serve the image with \"catalog serve\" and name its host and port in spec.address")
	}
	return target{address: spec.Address, interval: intervalOf(spec.UpdateStrategy)}, nil
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
