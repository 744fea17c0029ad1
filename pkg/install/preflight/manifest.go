// Package preflight holds the checks that may refuse a plan before anything is
// written. Each is a function from what is wanted and what was found to a
// failure that names the object and the cure, or nil. It reads nothing itself.
package preflight

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/render"
)

// supportedKinds are the kinds that a bundle may bring, by name alone, as v0
// has it.
var supportedKinds = []string{
	render.KindCSV, render.KindCRD, render.KindSubscription, render.KindBundleSecret, render.KindSecret,
	"Service", "ConfigMap", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding",
	"PrometheusRule", "ServiceMonitor", "PodDisruptionBudget", "PriorityClass", "VerticalPodAutoscaler", "NetworkPolicy",
	"ConsoleYAMLSample", "ConsoleQuickStart", "ConsoleCLIDownload", "ConsoleLink", "ConsolePlugin",
}

// Kind refuses objects of kinds that bundles must not bring.
func Kind(m render.Manifest) *failure.Error {
	if slices.Contains(supportedKinds, m.Kind) {
		return nil
	}
	return failure.New(failure.Invalid, "a bundle cannot bring %s %q: kind %q is not supported", m.Kind, m.Name, m.Kind).
		WithHint("remove it from the bundle and let the operator create it")
}

// Service says whether a cluster has the API of an object.
type Service int

// Served is an API that the cluster has, or gets from the plan itself;
// OtherVersion one that it has in other versions; Unserved one that it does not
// know at all.
const (
	Served Service = iota
	OtherVersion
	Unserved
)

// API refuses an object whose API the cluster does not serve. An API that the
// cluster does not know at all is failure.NotFound, because it may still come;
// one that it has in another version was removed for good and is
// failure.Invalid.
func API(m render.Manifest, found Service) *failure.Error {
	gvk := m.GroupVersionKind()
	switch found {
	case Served:
		return nil
	case OtherVersion:
		e := failure.New(failure.Invalid, "%s %q uses %s, which this cluster does not serve", gvk.Kind, m.Name, gvk.GroupVersion())
		return e.WithHint("%s", cureFor(gvk))
	default:
		e := failure.New(failure.NotFound, "%s %q needs an API that this cluster does not serve: %s", gvk.Kind, m.Name, gvk.GroupVersion()).
			WithHint("install the operator that provides it")
		e.Err = fmt.Errorf("api-server resource not found installing %s %s: GroupVersionKind %s not found on the cluster. This API may have been "+
			"deprecated and removed, see https://kubernetes.io/docs/reference/using-api/deprecation-guide/ for more information", gvk.Kind, m.Name, gvk)
		return e
	}
}

// BetaCRD refuses a CustomResourceDefinition of v1beta1 that nobody asked to
// convert.
func BetaCRD(m render.Manifest) *failure.Error {
	return failure.New(failure.Invalid, "CustomResourceDefinition %q uses %s/%s, which this cluster does not serve", m.Name, m.Group, m.Version).
		WithHint("choose a version of the operator whose CustomResourceDefinitions are apiextensions.k8s.io/v1, or run the controller with --convert-definitions")
}

func cureFor(gvk schema.GroupVersionKind) string {
	if gvk.Kind == render.KindCRD {
		return "choose a version of the operator whose CustomResourceDefinitions are apiextensions.k8s.io/v1"
	}
	return "choose a version of the operator that uses a version of this API which the cluster serves"
}
