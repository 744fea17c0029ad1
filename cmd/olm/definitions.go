package main

import (
	"github.com/operator-framework/api/crds"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// versionPattern admits what the Go type of spec.version can read. The published
// definition takes any text, and one ClusterServiceVersion with another one, in any
// namespace, then breaks every typed list of the kind for everybody.
const versionPattern = `^\s*v?(\d{1,18}(\.\d{1,18})?|\d{1,18}\.\d{1,18}\.\d{1,18}` +
	`(-(0|[1-9]\d{0,17}|\d*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9]\d{0,17}|\d*[A-Za-z-][0-9A-Za-z-]*))*)?` +
	`(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?)\s*$`

// definitions are the kinds of operators.coreos.com, as their owner publishes
// them, with one guard added.
func definitions() []client.Object {
	csv := crds.ClusterServiceVersion()
	for i := range csv.Spec.Versions {
		guardVersion(csv.Spec.Versions[i].Schema)
	}
	return []client.Object{
		crds.CatalogSource(), csv, crds.InstallPlan(), crds.OLMConfig(),
		crds.Operator(), crds.OperatorCondition(), crds.OperatorGroup(), crds.Subscription(),
	}
}

func guardVersion(schema *apiextensionsv1.CustomResourceValidation) {
	spec := schema.OpenAPIV3Schema.Properties["spec"]
	version, ok := spec.Properties["version"]
	if !ok {
		return
	}
	version.Pattern = versionPattern
	spec.Properties["version"] = version
}
