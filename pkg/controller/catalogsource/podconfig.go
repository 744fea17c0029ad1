package catalogsource

import (
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Condition that says which fields of a hosted catalog have no effect.
const (
	conditionPodConfig = "PodConfigNotNeeded"
	reasonNoPod        = "NoPod"
)

// podConfigCondition tells that there is no pod to configure; nil if nothing
// is configured. The directory of the content in the image is no matter of pods.
func podConfigCondition(spec v1alpha1.CatalogSourceSpec) *metav1.Condition {
	config := spec.GrpcPodConfig
	if config == nil {
		return nil
	}
	var fields []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"nodeSelector", config.NodeSelector != nil},
		{"tolerations", config.Tolerations != nil},
		{"affinity", config.Affinity != nil},
		{"securityContextConfig", config.SecurityContextConfig != ""},
		{"priorityClassName", config.PriorityClassName != nil},
		{"memoryTarget", config.MemoryTarget != nil},
		{"extractContent.cacheDir", config.ExtractContent != nil && config.ExtractContent.CacheDir != ""},
	} {
		if f.set {
			fields = append(fields, f.name)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return &metav1.Condition{
		Type: conditionPodConfig, Status: metav1.ConditionTrue, Reason: reasonNoPod,
		Message: "not needed in spec.grpcPodConfig: " + strings.Join(fields, ", ") + "; one server hosts all catalogs, so that this one has no pod of its own",
	}
}
