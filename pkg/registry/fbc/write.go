package fbc

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Format is how blobs are written.
type Format string

// Formats.
const (
	YAML Format = "yaml" // documents with sorted keys
	JSON Format = "json" // objects one after the other
)

// Write writes a store as a file-based catalog: packages by name, each with its
// channels, bundles, other items and deprecations, then the items without a
// package. The same content gives the same bytes.
func Write(ctx context.Context, out io.Writer, store registry.Store, format Format) error {
	w := writer{store: store, encode: encoders[format]}
	if w.encode == nil {
		return failure.New(failure.Invalid, "unknown output format %q", format).WithHint("use -o yaml or -o json")
	}
	blobs, err := blobsOf(ctx, store)
	if err != nil {
		return err
	}
	names, err := store.Packages(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := w.pkg(ctx, out, name, blobs[name]); err != nil {
			return err
		}
	}
	return w.blobs(out, blobs[""])
}

// WriteDir writes a store into a new directory: one directory per package, and
// the items without a package beside them.
func WriteDir(ctx context.Context, dir string, store registry.Store, format Format) error {
	w := writer{store: store, encode: encoders[format]}
	if w.encode == nil {
		return failure.New(failure.Invalid, "unknown output format %q", format).WithHint("use -o yaml or -o json")
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return failure.New(failure.Conflict, "output directory %q must be empty", dir).WithHint("choose another one")
	}
	blobs, err := blobsOf(ctx, store)
	if err != nil {
		return err
	}
	names, err := store.Packages(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !filepath.IsLocal(name) {
			return failure.New(failure.Invalid, "package name %q cannot be a directory", name)
		}
		err := toFile(filepath.Join(dir, name), format, func(out io.Writer) error { return w.pkg(ctx, out, name, blobs[name]) })
		if err != nil {
			return err
		}
	}
	if len(blobs[""]) == 0 {
		return nil
	}
	return toFile(dir, format, func(out io.Writer) error { return w.blobs(out, blobs[""]) })
}

// toFile writes the catalog file of a directory.
func toFile(dir string, format Format, fill func(io.Writer) error) error {
	if err := os.MkdirAll(dir, 0o777); err != nil { //nolint:gosec // the umask decides
		return err
	}
	var buf bytes.Buffer
	if err := fill(&buf); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "catalog."+string(format)), buf.Bytes(), 0o666) //nolint:gosec // the umask decides
}

// blobLister is a store that knows all its schemas.
type blobLister interface {
	AllBlobs(ctx context.Context) ([]registry.Blob, error)
}

// blobsOf returns the items of other schemas by package. Stores that cannot
// list them have none.
func blobsOf(ctx context.Context, store registry.Store) (map[string][]registry.Blob, error) {
	lister, ok := store.(blobLister)
	if !ok {
		return nil, nil //nolint:nilnil // none
	}
	all, err := lister.AllBlobs(ctx)
	byPackage := map[string][]registry.Blob{}
	for _, b := range all {
		byPackage[b.Package] = append(byPackage[b.Package], b)
	}
	return byPackage, err
}

type writer struct {
	store  registry.Store
	encode func(io.Writer, any) error
}

var encoders = map[Format]func(io.Writer, any) error{
	JSON: func(out io.Writer, v any) error {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "    ")
		return enc.Encode(v)
	},
	YAML: func(out io.Writer, v any) error {
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		text, err := yaml.JSONToYAML(raw)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "---\n%s", text)
		return err
	},
}

func (w writer) pkg(ctx context.Context, out io.Writer, name string, blobs []registry.Blob) error {
	p, err := w.store.Package(ctx, name)
	if err != nil {
		return err
	}
	if err := w.encode(out, packageBlobOf(p)); err != nil {
		return err
	}
	d := deprecationsBlob{Schema: schemaDeprecations, Package: name}
	d.add(schemaPackage, "", p.Deprecation)
	for _, ch := range p.Channels {
		if err := w.encode(out, channelBlobOf(name, ch)); err != nil {
			return err
		}
		d.add(schemaChannel, ch.Name, ch.Deprecation)
	}
	for brief, err := range w.store.Bundles(ctx, name) {
		if err != nil {
			return err
		}
		b, err := w.store.Bundle(ctx, name, brief.Name)
		if err != nil {
			return err
		}
		if err := w.encode(out, bundleBlobOf(b)); err != nil {
			return err
		}
		d.add(schemaBundle, b.Name, brief.Deprecation)
	}
	if err := w.blobs(out, blobs); err != nil {
		return err
	}
	if len(d.Entries) == 0 {
		return nil
	}
	return w.encode(out, d)
}

func (w writer) blobs(out io.Writer, blobs []registry.Blob) error {
	slices.SortStableFunc(blobs, func(a, b registry.Blob) int { return cmp.Compare(a.Schema, b.Schema) })
	for _, b := range blobs {
		if err := w.encode(out, b.JSON); err != nil {
			return err
		}
	}
	return nil
}

func (d *deprecationsBlob) add(schema, name, message string) {
	if message != "" {
		e := deprecationEntry{Message: message}
		e.Reference.Schema, e.Reference.Name = schema, name
		d.Entries = append(d.Entries, e)
	}
}

func packageBlobOf(p registry.Package) packageBlob {
	blob := packageBlob{
		Schema: schemaPackage, Name: p.Name, DefaultChannel: p.DefaultChannel, Description: p.Description, Properties: propertyBlobs(p.Properties),
	}
	if p.Icon != nil {
		blob.Icon = &iconBlob{Data: p.Icon.Data, MediaType: p.Icon.MediaType}
	}
	return blob
}

func channelBlobOf(pkg string, ch registry.Channel) channelBlob {
	blob := channelBlob{Schema: schemaChannel, Name: ch.Name, Package: pkg, Properties: propertyBlobs(ch.Properties), Entries: []entryBlob{}}
	for _, e := range ch.Entries {
		blob.Entries = append(blob.Entries, entryBlob(e))
	}
	return blob
}

func bundleBlobOf(b registry.Bundle) bundleBlob {
	blob := bundleBlob{Schema: schemaBundle, Name: b.Name, Package: b.Package, Image: b.Image, Properties: propertyBlobs(b.Properties)}
	for _, object := range b.Content.Objects {
		value, err := json.Marshal(struct {
			Data []byte `json:"data"`
		}{object})
		if err == nil { // bytes always marshal
			blob.Properties = append(blob.Properties, propertyBlob{Type: registry.PropertyBundleObject, Value: value})
		}
	}
	if len(b.Content.Metadata) > 0 {
		blob.Properties = append(blob.Properties, propertyBlob{Type: registry.PropertyCSVMetadata, Value: b.Content.Metadata})
	}
	for _, image := range b.RelatedImages {
		blob.RelatedImages = append(blob.RelatedImages, imageBlob(image))
	}
	return blob
}

func propertyBlobs(all []registry.Property) []propertyBlob {
	var blobs []propertyBlob
	for _, p := range all {
		blobs = append(blobs, propertyBlob(p))
	}
	return blobs
}
