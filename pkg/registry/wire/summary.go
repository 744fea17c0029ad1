package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/blang/semver/v4"
	"google.golang.org/protobuf/encoding/protowire"

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
	Icon                      any             `json:"icon,omitempty"`
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

// Template is a Summary without what its package says: the description, if the
// bundle has none of its own, and the icon.
type Template struct {
	CSV           []byte
	DescriptionAt int // where the description goes; 0 if the bundle has its own
	IconAt        int // where the icon goes
}

// NewTemplate makes the template of a bundle of which only the metadata is
// known. It is faithful if MetadataOf returns the metadata it was made of.
func NewTemplate(b registry.Bundle) (t Template, faithful bool, err error) {
	if t, ok := plainTemplate(b); ok {
		return t, true, nil
	}
	if t, err = decodedTemplate(b); err != nil {
		return t, false, err
	}
	return t, bytes.Equal(t.MetadataOf(), b.Content.Metadata), nil
}

// decodedTemplate makes a template of any metadata.
func decodedTemplate(b registry.Bundle) (Template, error) {
	var m metadata
	if err := json.Unmarshal(b.Content.Metadata, &m); err != nil {
		return Template{}, fmt.Errorf("bundle %q: read its olm.csv.metadata: %w", b.Name, err)
	}
	// No text contains its own checksum, so the mark is found only where it was put.
	mark := fmt.Sprintf("%x", sha256.Sum256(b.Content.Metadata))
	out := csv{APIVersion: csvAPIVersion, Kind: csvKind, Metadata: csvMeta{Name: b.Name, Annotations: m.Annotations, Labels: m.Labels}}
	out.Spec = csvSpec{
		APIServiceDefinitions: orEmpty(m.APIServiceDefinitions), CustomResourceDefinitions: orEmpty(m.CustomResourceDefinitions),
		Description: m.Description, DisplayName: m.DisplayName, InstallModes: m.InstallModes, Keywords: m.Keywords,
		Links: m.Links, Maintainers: m.Maintainers, Maturity: m.Maturity, MinKubeVersion: m.MinKubeVersion,
		NativeAPIs: m.NativeAPIs, Provider: m.Provider, Version: canonicalVersion(b.Version), Icon: []string{mark},
	}
	if m.Description == "" {
		out.Spec.Description = mark
	}
	out.Spec.RelatedImages = csvImages(b)
	out.Spec.Install.Strategy = "deployment"
	t := Template{CSV: []byte(compact(out))}
	if m.Description == "" {
		t.DescriptionAt = t.cut(`"description":"` + mark + `",`)
	}
	t.IconAt = t.cut(`"icon":["` + mark + `"],`)
	return t, nil
}

func canonicalVersion(version string) string {
	if v, err := semver.Parse(version); err == nil {
		return v.String()
	}
	return version
}

func csvImages(b registry.Bundle) []csvImage {
	var all []csvImage
	for _, image := range b.RelatedImages {
		all = append(all, csvImage(image))
	}
	return all
}

// cut removes what stands for a field and returns where it was.
func (t *Template) cut(field string) int {
	at := bytes.Index(t.CSV, []byte(field))
	t.CSV = append(t.CSV[:at], t.CSV[at+len(field):]...)
	return at
}

// Fill returns the ClusterServiceVersion with the fields of its package.
func (t Template) Fill(f Fields) []byte {
	return t.appendTo(make([]byte, 0, t.size(f)), f)
}

// size returns the length of what Fill returns.
func (t Template) size(f Fields) int {
	n := len(t.CSV) + len(f.Icon)
	if t.DescriptionAt > 0 {
		n += len(f.Description)
	}
	return n
}

func (t Template) appendTo(all []byte, f Fields) []byte {
	all = append(all, t.CSV[:t.DescriptionAt]...)
	if t.DescriptionAt > 0 {
		all = append(all, f.Description...)
	}
	all = append(all, t.CSV[t.DescriptionAt:t.IconAt]...)
	all = append(all, f.Icon...)
	return append(all, t.CSV[t.IconAt:]...)
}

// Answer is the encoded answer of GetBundle. A summary is in it twice, as
// csvJson and as the only object; it is kept once.
type Answer struct {
	Fields  []byte
	Summary int // how many bytes at the end of Fields follow once more
}

// Repetition returns what comes between the fields and the end of them that
// follows once more; nothing if nothing follows.
func (a Answer) Repetition() []byte {
	if a.Summary == 0 {
		return nil
	}
	return protowire.AppendVarint(protowire.AppendTag(nil, objectField, protowire.BytesType), uint64(a.Summary))
}

// Whole returns all encoded fields.
func (a Answer) Whole() []byte {
	if a.Summary == 0 {
		return a.Fields
	}
	return slices.Concat(a.Fields, a.Repetition(), a.Fields[len(a.Fields)-a.Summary:])
}

// AppendTo appends the content fields of a bundle whose summary this is to its
// other fields. The template may be in the memory behind them, if Room is left
// between: it is moved to where it has to be.
func (t Template) AppendTo(fields []byte, f Fields) Answer {
	n := t.size(f)
	fields = slices.Grow(fields, fieldHead+n)
	fields = protowire.AppendTag(fields, csvJSONField, protowire.BytesType)
	fields = protowire.AppendVarint(fields, uint64(n))
	return Answer{Fields: t.appendTo(fields, f), Summary: n}
}

// Room returns how much AppendTo writes at most before it has read the template
// that far.
func (f Fields) Room() int {
	return fieldHead + len(f.Description) + len(f.Icon)
}

// fieldHead is the most that comes before the content of a field.
const fieldHead = 1 + binary.MaxVarintLen64

// Fields are the fields of a package, as JSON with a comma behind, that go
// into the templates of its bundles. They are empty if the package has none.
type Fields struct {
	Description, Icon []byte
}

// FieldsOf returns the fields of a package.
func FieldsOf(p registry.Package) Fields {
	var f Fields
	if p.Description != "" {
		f.Description = []byte(`"description":` + compact(p.Description) + ",")
	}
	if p.Icon != nil {
		f.Icon = []byte(`"icon":` + compact([]csvIcon{{Data: p.Icon.Data, MediaType: p.Icon.MediaType}}) + ",")
	}
	return f
}

// Summary returns the ClusterServiceVersion, as JSON, of a bundle of which
// only the metadata is known.
func Summary(pkg registry.Package, b registry.Bundle) ([]byte, error) {
	t, _, err := NewTemplate(b)
	if err != nil {
		return nil, err
	}
	return t.Fill(FieldsOf(pkg)), nil
}

// MetadataOf returns the metadata that the summary of a bundle was made of.
func (t Template) MetadataOf() json.RawMessage { return metadataOf(t.CSV) }

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

// Describe sets the description and the icon of a package from its fields.
func (f Fields) Describe(p *registry.Package) error {
	joined := bytes.TrimSuffix(slices.Concat([]byte("{"), f.Description, f.Icon), []byte(","))
	var v struct {
		Description string
		Icon        []csvIcon
	}
	if err := json.Unmarshal(append(joined, '}'), &v); err != nil {
		return err
	}
	p.Description = v.Description
	if len(v.Icon) == 1 {
		p.Icon = &registry.Icon{Data: v.Icon[0].Data, MediaType: v.Icon[0].MediaType}
	}
	return nil
}
