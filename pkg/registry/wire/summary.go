package wire

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/registry"
)

// metadata is the value of olm.csv.metadata. Elements keep their shape: they
// are those of a ClusterServiceVersion.
type metadata struct {
	Annotations               map[string]string `json:"annotations,omitempty"`
	APIServiceDefinitions     json.RawMessage   `json:"apiServiceDefinitions"`
	CustomResourceDefinitions json.RawMessage   `json:"crdDescriptions"`
	Description               string            `json:"description,omitempty"`
	DisplayName               string            `json:"displayName,omitempty"`
	InstallModes              json.RawMessage   `json:"installModes,omitempty"`
	Keywords                  json.RawMessage   `json:"keywords,omitempty"`
	Labels                    map[string]string `json:"labels,omitempty"`
	Links                     json.RawMessage   `json:"links,omitempty"`
	Maintainers               json.RawMessage   `json:"maintainers,omitempty"`
	Maturity                  string            `json:"maturity,omitempty"`
	MinKubeVersion            string            `json:"minKubeVersion,omitempty"`
	NativeAPIs                json.RawMessage   `json:"nativeAPIs,omitempty"`
	Provider                  json.RawMessage   `json:"provider,omitempty"`
}

const (
	csvAPIVersion = "operators.coreos.com/v1alpha1"
	csvKind       = "ClusterServiceVersion"
)

// csv is a ClusterServiceVersion as far as metadata can tell. Clients fail
// without the install strategy, even an empty one.
type csv struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Metadata   csvMeta `json:"metadata"`
	Spec       csvSpec `json:"spec"`
}

type csvMeta struct {
	Name        string            `json:"name"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

type csvSpec struct {
	APIServiceDefinitions     json.RawMessage `json:"apiservicedefinitions"`
	CustomResourceDefinitions json.RawMessage `json:"customresourcedefinitions"`
	Description               string          `json:"description,omitempty"`
	DisplayName               string          `json:"displayName"`
	Icon                      []csvIcon       `json:"icon,omitempty"`
	Install                   csvInstall      `json:"install"`
	InstallModes              json.RawMessage `json:"installModes,omitempty"`
	Keywords                  json.RawMessage `json:"keywords,omitempty"`
	Links                     json.RawMessage `json:"links,omitempty"`
	Maintainers               json.RawMessage `json:"maintainers,omitempty"`
	Maturity                  string          `json:"maturity,omitempty"`
	MinKubeVersion            string          `json:"minKubeVersion,omitempty"`
	NativeAPIs                json.RawMessage `json:"nativeAPIs,omitempty"`
	Provider                  json.RawMessage `json:"provider,omitempty"`
	RelatedImages             []csvImage      `json:"relatedImages,omitempty"`
	Version                   string          `json:"version,omitempty"`
}

type csvIcon struct {
	Data      []byte `json:"base64data"`
	MediaType string `json:"mediatype"`
}

type csvImage struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

type csvInstall struct {
	Strategy string `json:"strategy"`
	Spec     struct {
		Deployments json.RawMessage `json:"deployments"`
	} `json:"spec"`
}

// Summary returns the ClusterServiceVersion, as JSON, of a bundle of which
// only the metadata is known.
func Summary(pkg registry.Package, b registry.Bundle) ([]byte, error) {
	var m metadata
	if err := json.Unmarshal(b.Content.Metadata, &m); err != nil {
		return nil, fmt.Errorf("bundle %q: read its olm.csv.metadata: %w", b.Name, err)
	}
	out := csv{APIVersion: csvAPIVersion, Kind: csvKind, Metadata: csvMeta{Name: b.Name, Annotations: m.Annotations, Labels: m.Labels}}
	out.Spec = csvSpec{
		APIServiceDefinitions: orEmpty(m.APIServiceDefinitions), CustomResourceDefinitions: orEmpty(m.CustomResourceDefinitions),
		Description: m.Description, DisplayName: m.DisplayName, InstallModes: m.InstallModes, Keywords: m.Keywords,
		Links: m.Links, Maintainers: m.Maintainers, Maturity: m.Maturity, MinKubeVersion: m.MinKubeVersion,
		NativeAPIs: m.NativeAPIs, Provider: m.Provider, Version: b.Version,
	}
	if v, err := semver.Parse(b.Version); err == nil {
		out.Spec.Version = v.String()
	}
	if out.Spec.Description == "" {
		out.Spec.Description = pkg.Description
	}
	if pkg.Icon != nil {
		out.Spec.Icon = []csvIcon{{Data: pkg.Icon.Data, MediaType: pkg.Icon.MediaType}}
	}
	for _, image := range b.RelatedImages {
		out.Spec.RelatedImages = append(out.Spec.RelatedImages, csvImage(image))
	}
	out.Spec.Install.Strategy = "deployment"
	return []byte(compact(out)), nil
}

// metadataOf returns the metadata that a summary was made of, nil if the
// ClusterServiceVersion is a whole one.
func metadataOf(csvJSON []byte) json.RawMessage {
	var in csv
	if err := json.Unmarshal(csvJSON, &in); err != nil {
		return nil
	}
	deployments := in.Spec.Install.Spec.Deployments
	if len(deployments) > 0 && !bytes.Equal(deployments, []byte("null")) && !bytes.Equal(deployments, []byte("[]")) {
		return nil
	}
	s := in.Spec
	return json.RawMessage(compact(metadata{
		Annotations: in.Metadata.Annotations, Labels: in.Metadata.Labels,
		APIServiceDefinitions: orEmpty(s.APIServiceDefinitions), CustomResourceDefinitions: orEmpty(s.CustomResourceDefinitions),
		Description: s.Description, DisplayName: s.DisplayName, InstallModes: s.InstallModes, Keywords: s.Keywords,
		Links: s.Links, Maintainers: s.Maintainers, Maturity: s.Maturity, MinKubeVersion: s.MinKubeVersion,
		NativeAPIs: s.NativeAPIs, Provider: s.Provider,
	}))
}

func orEmpty(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}
