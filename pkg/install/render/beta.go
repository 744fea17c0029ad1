package render

import (
	"encoding/json"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
)

// IsBetaCRD reports whether m is a CustomResourceDefinition of v1beta1, which
// no current cluster serves and CRD converts.
func (m Manifest) IsBetaCRD() bool {
	gv := v1beta1.SchemeGroupVersion
	return m.Kind == KindCRD && m.Group == gv.Group && m.Version == gv.Version
}

// fromBeta converts a CustomResourceDefinition of v1beta1 as an API server that
// served both versions did. What v1 says in another way is said that way: a
// version without schema gets one that accepts everything, and
// spec.preserveUnknownFields, which v1beta1 has unless it says otherwise,
// becomes the mark of that name on every object of the schema. Nothing is
// guessed: a schema that is not structural stays so, and v1 does not accept it.
func fromBeta(raw []byte) (*apiextensionsv1.CustomResourceDefinition, error) {
	beta := &v1beta1.CustomResourceDefinition{}
	if err := json.Unmarshal(raw, beta); err != nil {
		return nil, err
	}
	v1beta1.SetObjectDefaults_CustomResourceDefinition(beta)
	internal := &apiextensions.CustomResourceDefinition{}
	if err := v1beta1.Convert_v1beta1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(beta, internal, nil); err != nil {
		return nil, err
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := apiextensionsv1.Convert_apiextensions_CustomResourceDefinition_To_v1_CustomResourceDefinition(internal, crd, nil); err != nil {
		return nil, err
	}
	preserve := crd.Spec.PreserveUnknownFields
	crd.Spec.PreserveUnknownFields = false
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
			v.Schema = &apiextensionsv1.CustomResourceValidation{
				OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: new(true)},
			}
			continue
		}
		v.Schema = v.Schema.DeepCopy() // versions share one
		root := v.Schema.OpenAPIV3Schema
		if root.Type == "" {
			root.Type = "object" // the only thing that a custom resource can be
		}
		if preserve {
			preserveRoot(root)
		}
	}
	return crd, nil
}

// preserveRoot marks the schema of a custom resource, but not its metadata,
// which the API server knows itself and nobody may describe.
func preserveRoot(root *apiextensionsv1.JSONSchemaProps) {
	metadata, described := root.Properties["metadata"]
	delete(root.Properties, "metadata")
	preserveUnknown(root)
	if described {
		root.Properties["metadata"] = metadata
	}
}

// preserveUnknown marks every object of a schema whose other fields would be
// dropped otherwise.
func preserveUnknown(s *apiextensionsv1.JSONSchemaProps) {
	if s.Type == "object" && s.AdditionalProperties == nil {
		s.XPreserveUnknownFields = new(true)
	}
	for name, field := range s.Properties {
		preserveUnknown(&field)
		s.Properties[name] = field
	}
	if s.Items != nil && s.Items.Schema != nil {
		preserveUnknown(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		preserveUnknown(s.AdditionalProperties.Schema)
	}
}
