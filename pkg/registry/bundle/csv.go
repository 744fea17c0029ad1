package bundle

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"chandler.dev/olm/pkg/registry"
)

const (
	csvKind              = "ClusterServiceVersion"
	crdKind              = "CustomResourceDefinition"
	annotationSkipRange  = "olm.skipRange"
	annotationProperties = "olm.properties"
	strategyDeployment   = "deployment"
)

// csv is what a catalog needs of a ClusterServiceVersion.
type csv struct {
	Metadata struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Version       string          `json:"version"`
		Release       json.RawMessage `json:"release"`
		Replaces      string          `json:"replaces"`
		Skips         []string        `json:"skips"`
		Description   string          `json:"description"`
		Icon          []iconSpec      `json:"icon"`
		RelatedImages []imageSpec     `json:"relatedImages"`
		CRDs          struct {
			Owned, Required []apiSpec
		} `json:"customresourcedefinitions"`
		APIServices struct {
			Owned, Required []apiSpec
		} `json:"apiservicedefinitions"`
		Install struct {
			Strategy string          `json:"strategy"`
			Spec     json.RawMessage `json:"spec"`
		} `json:"install"`
	} `json:"spec"`
}

type iconSpec struct {
	Data      []byte `json:"base64data"`
	MediaType string `json:"mediatype"`
}

type imageSpec struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

type apiSpec struct {
	Name, Group, Version, Kind string
}

type gvk struct {
	Group   string `json:"group"`
	Kind    string `json:"kind"`
	Version string `json:"version"`
}

// crd is what a catalog needs of a CustomResourceDefinition.
type crd struct {
	Spec struct {
		Group string `json:"group"`
		Names struct {
			Kind   string `json:"kind"`
			Plural string `json:"plural"`
		} `json:"names"`
		Version  string `json:"version"` // of v1beta1 only
		Versions []struct {
			Name string `json:"name"`
		} `json:"versions"`
	} `json:"spec"`
}

func isCRDVersion(apiVersion string) bool {
	return apiVersion == "apiextensions.k8s.io/v1" || apiVersion == "apiextensions.k8s.io/v1beta1"
}

func (c crd) versions() []string {
	var all []string
	for _, v := range c.Spec.Versions {
		all = append(all, v.Name)
	}
	if c.Spec.Version != "" && !slices.Contains(all, c.Spec.Version) {
		all = append(all, c.Spec.Version)
	}
	return all
}

// release returns spec.release, which may be a number.
func (c csv) release() (string, error) {
	raw := c.Spec.Release
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		return text, nil
	}
	var number float64
	if err := json.Unmarshal(raw, &number); err != nil {
		return "", fmt.Errorf("want a string or a number, got %s", raw)
	}
	if number == math.Trunc(number) {
		return strconv.FormatFloat(number, 'f', 0, 64), nil
	}
	return fmt.Sprintf("%g", number), nil
}

func (c csv) icon() *registry.Icon {
	if len(c.Spec.Icon) == 0 {
		return nil
	}
	return &registry.Icon{Data: c.Spec.Icon[0].Data, MediaType: c.Spec.Icon[0].MediaType}
}

// required returns the APIs that others must provide.
func (c csv) required() []gvk {
	var all []gvk
	for _, r := range c.Spec.CRDs.Required {
		_, group, _ := strings.Cut(r.Name, ".")
		all = append(all, gvk{Group: group, Kind: r.Kind, Version: r.Version})
	}
	for _, r := range c.Spec.APIServices.Required {
		all = append(all, gvk{Group: r.Group, Kind: r.Kind, Version: r.Version})
	}
	return all
}

// relatedImages returns the images that the ClusterServiceVersion lists and
// those that its Deployments run, sorted by image; and those of them that are
// written in another way there.
func (c csv) relatedImages() (all []registry.RelatedImage, rewritten []string) {
	seen := map[string]bool{}
	without := func(image string) string {
		short := withoutScheme(image)
		if short != image && !slices.Contains(rewritten, image) {
			rewritten = append(rewritten, image)
		}
		return short
	}
	for _, image := range c.Spec.RelatedImages {
		image.Image = without(image.Image)
		all = append(all, registry.RelatedImage(image))
		seen[image.Image] = true
	}
	for _, image := range c.deployed() {
		if image = without(image); image != "" && !seen[image] {
			seen[image] = true
			all = append(all, registry.RelatedImage{Image: image})
		}
	}
	slices.SortStableFunc(all, func(a, b registry.RelatedImage) int { return cmp.Compare(a.Image, b.Image) })
	return all, rewritten
}

// withoutScheme removes what some authors put before a reference. A catalog
// with it is invalid, because no registry client takes it.
func withoutScheme(image string) string {
	return strings.TrimPrefix(strings.TrimPrefix(image, "oci://"), "docker://")
}

// deployed returns the images of all containers.
func (c csv) deployed() []string {
	if c.Spec.Install.Strategy != strategyDeployment {
		return nil
	}
	type container struct{ Image string }
	var strategy struct {
		Deployments []struct {
			Spec struct {
				Template struct {
					Spec struct{ InitContainers, Containers []container }
				}
			}
		}
	}
	if err := json.Unmarshal(c.Spec.Install.Spec, &strategy); err != nil {
		return nil // the installer says what is wrong with it
	}
	var all []string
	for _, d := range strategy.Deployments {
		for _, one := range slices.Concat(d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Containers) {
			all = append(all, one.Image)
		}
	}
	return all
}
