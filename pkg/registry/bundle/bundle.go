// Package bundle reads registry+v1 bundles: a directory with the manifests of
// one version of an operator and metadata beside them. Parse reads one bundle,
// Tree makes a catalog of many.
package bundle

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/document"
)

// Limits of one bundle. The largest that is published has 6 MB.
const (
	maxBundle = 64 << 20 // bytes of its files
	maxFiles  = 10_000
	// maxAnnotation bounds the properties in an annotation; Kubernetes takes less.
	maxAnnotation = 1 << 20
)

// Directories of a bundle.
const (
	manifestsDir = "manifests"
	metadataDir  = "metadata"
)

// Parsed is a bundle with what it says of its place in a catalog.
type Parsed struct {
	registry.Bundle

	Channels       []string
	DefaultChannel string // may be empty
	Edges          registry.Entry
	Description    string
	Icon           *registry.Icon
	Where          string // the directory
	// Notes tell what was taken in another way than it is written.
	Notes []registry.Problem
}

// Is reports whether a directory of fsys is a bundle.
func Is(fsys fs.FS, dir string) bool {
	for _, name := range []string{manifestsDir, metadataDir} {
		if info, err := fs.Stat(fsys, path.Join(dir, name)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// Parse reads the bundle in a file system; name is what messages call it. The
// error is a registry.Problem with everything that is wrong with the bundle,
// unless reading fails.
func Parse(fsys fs.FS, name string) (*Parsed, error) {
	r := reader{fsys: fsys, name: name}
	m, err := r.manifests(manifestsDir)
	if err != nil {
		return nil, err
	}
	meta, err := r.metadata()
	if err != nil {
		return nil, err
	}
	p := r.combine(m, meta)
	if len(r.problems) > 0 {
		return nil, registry.Problem{Message: fmt.Sprintf("invalid bundle %q", name), Problems: r.problems}
	}
	return p, nil
}

// reader collects what is wrong with a bundle while it is read.
type reader struct {
	fsys     fs.FS
	name     string
	size     int // of the files that were read
	problems []registry.Problem
}

// entries lists a directory.
func (r *reader) entries(dir string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.fsys, dir)
	if err == nil && len(entries) > maxFiles {
		return nil, failure.New(failure.Invalid, "bundle %q has more than %d files", r.name, maxFiles).WithHint("it is no bundle, or it is broken")
	}
	if err != nil {
		return nil, fmt.Errorf("read bundle %s: %w", r.name, err)
	}
	return entries, nil
}

// file reads a file, and counts what was read.
func (r *reader) file(name string) ([]byte, error) {
	text, err := document.Read(r.fsys, name)
	if r.size += len(text); r.size > maxBundle {
		return nil, failure.New(failure.Invalid, "bundle %q has more than %d MiB", r.name, maxBundle>>20).WithHint("it is no bundle, or it is broken")
	}
	if _, ok := errors.AsType[*document.Flaw](err); ok || err == nil {
		return text, err
	}
	return nil, fmt.Errorf("read bundle %s: %w", r.name, err)
}

// document reads the first document of a file.
func (r *reader) document(name string) ([]byte, error) {
	text, err := r.file(name)
	if err != nil {
		return nil, err
	}
	return document.FromYAML(text)
}

// flawOf returns what is wrong with a document, nil if it could not be read.
func flawOf(err error) *document.Flaw {
	f, _ := errors.AsType[*document.Flaw](err)
	return f
}

func (r *reader) problem(file, hint, format string, args ...any) {
	where := path.Join(r.name, file)
	r.problems = append(r.problems, registry.Problem{Message: fmt.Sprintf(format, args...), Hint: hint, Where: where})
}

// manifests are the objects of a bundle.
type manifests struct {
	csv     csv
	csvFile string
	content registry.Content
	crds    []crd
}

// manifests reads the first document of every file.
func (r *reader) manifests(dir string) (manifests, error) {
	var m manifests
	entries, err := r.entries(dir)
	if err != nil {
		return m, err
	}
	for _, entry := range entries {
		if entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		file := path.Join(dir, entry.Name())
		object, err := r.document(file)
		if f := flawOf(err); f != nil {
			r.broken(file, f)
			continue
		}
		if err != nil {
			return m, err
		}
		r.object(&m, file, object)
	}
	switch {
	case len(m.content.Objects) == 0:
		r.problem(dir, "put the ClusterServiceVersion and its objects there", "no bundle objects found")
	case m.content.CSV == nil:
		r.problem(dir, "add a ClusterServiceVersion", "no csv in bundle")
	}
	return m, nil
}

// object takes a manifest in. The first ClusterServiceVersion is the bundle's,
// whatever its apiVersion.
func (r *reader) object(m *manifests, file string, object []byte) {
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(object, &head); err != nil {
		r.problem(file, "a manifest is an object with apiVersion and kind", "the manifest is no object: %v", err)
		return
	}
	switch {
	case head.Kind == csvKind && m.content.CSV != nil:
		return
	case head.Kind == csvKind:
		m.content.CSV, m.csvFile = object, file
		if err := json.Unmarshal(object, &m.csv); err != nil {
			r.problem(file, "look at the field that is named", "the ClusterServiceVersion cannot be read: %v", err)
		}
	case head.Kind == crdKind && isCRDVersion(head.APIVersion):
		var c crd
		if err := json.Unmarshal(object, &c); err != nil {
			r.problem(file, "look at the field that is named", "the CustomResourceDefinition cannot be read: %v", err)
		}
		m.crds = append(m.crds, c)
	}
	m.content.Objects = append(m.content.Objects, object)
}

// broken reports a file that is no YAML.
func (r *reader) broken(file string, f *document.Flaw) {
	if f.Line > 0 {
		file = fmt.Sprintf("%s:%d", file, f.Line)
	}
	r.problem(file, f.Hint, "%s", f.Message)
}

// combine makes the bundle of its parts.
func (r *reader) combine(m manifests, meta metadata) *Parsed {
	if meta.annotations.Package == "" && len(r.problems) == 0 {
		r.problem(path.Join(metadataDir, "annotations.yaml"), "set operators.operatorframework.io.bundle.package.v1", "the bundle names no package")
	}
	if len(m.csv.Metadata.Annotations[annotationProperties]) > maxAnnotation {
		r.problem(m.csvFile, "put them into metadata/properties.yaml", "the annotation %s has more than %d MiB", annotationProperties, maxAnnotation>>20)
		m.csv.Metadata.Annotations[annotationProperties] = ""
	}
	release, err := m.csv.release()
	if err != nil {
		r.problem(m.csvFile, "write it as a string", "spec.release: %v", err)
	}
	images, rewritten := m.csv.relatedImages()
	p := &Parsed{
		Bundle: registry.Bundle{
			Package: meta.annotations.Package, Name: m.csv.Metadata.Name, Version: m.csv.Spec.Version,
			Content: m.content, RelatedImages: images,
		},
		Channels:       meta.annotations.channels(),
		DefaultChannel: meta.annotations.DefaultChannel,
		Edges: registry.Entry{
			Name: m.csv.Metadata.Name, Replaces: m.csv.Spec.Replaces, Skips: m.csv.Spec.Skips,
			SkipRange: m.csv.Metadata.Annotations[annotationSkipRange],
		},
		Description: m.csv.Spec.Description,
		Icon:        m.csv.icon(),
		Where:       r.name,
	}
	for _, image := range rewritten {
		p.Notes = append(p.Notes, registry.Problem{
			Message: fmt.Sprintf("image %q of bundle %q is taken as %q", image, p.Name, withoutScheme(image)),
			Hint:    "write it without the prefix: no registry client takes it", Where: path.Join(r.name, m.csvFile),
		})
	}
	provided := r.provided(m)
	p.Properties = properties(propertySources{
		identity: registry.PackageProperty{PackageName: p.Package, Version: p.Version, Release: release},
		provided: provided, required: m.csv.required(), metadata: meta,
		annotation: m.csv.Metadata.Annotations[annotationProperties],
	})
	for _, property := range p.Properties {
		var v registry.PackageProperty
		if property.Type == registry.PropertyPackage && json.Unmarshal(property.Value, &v) == nil {
			p.Version = v.Version
		}
	}
	return p
}

// provided returns the APIs of the bundle, and reports owned ones that it does
// not bring.
func (r *reader) provided(m manifests) []gvk {
	var all []gvk
	plurals := map[[4]string]bool{}
	for _, c := range m.crds {
		for _, version := range c.versions() {
			g := gvk{Group: c.Spec.Group, Kind: c.Spec.Names.Kind, Version: version}
			all = append(all, g)
			plurals[[4]string{g.Group, g.Version, g.Kind, c.Spec.Names.Plural}] = true
		}
	}
	for _, owned := range m.csv.Spec.CRDs.Owned {
		plural, group, ok := strings.Cut(owned.Name, ".")
		if !ok {
			r.problem(m.csvFile, "a CustomResourceDefinition is named plural.group", "couldn't parse plural.group from crd name: %s", owned.Name)
			continue
		}
		if !plurals[[4]string{group, owned.Version, owned.Kind, plural}] {
			r.problem(m.csvFile, "add its CustomResourceDefinition to the manifests", "couldn't find %s/%s/%s (%s) in bundle", group, owned.Version, owned.Kind, plural)
		}
	}
	for _, owned := range m.csv.Spec.APIServices.Owned {
		all = append(all, gvk{Group: owned.Group, Kind: owned.Kind, Version: owned.Version})
	}
	slices.SortFunc(all, func(a, b gvk) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Version, b.Version))
	})
	return slices.Compact(all)
}

// isProblem reports whether err says what is wrong with a bundle.
func isProblem(err error) (registry.Problem, bool) { return errors.AsType[registry.Problem](err) }
