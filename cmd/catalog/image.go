package main

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/oci"
	"chandler.dev/olm/pkg/registry/sqlite/legacy"
)

// addImageFlags adds the flags of reaching registries.
func addImageFlags(cmd *cobra.Command, o *oci.Options) {
	f := cmd.Flags()
	f.BoolVar(&o.PlainHTTP, "plain-http", false, "reach image registries without TLS")
	f.StringVar(&o.CAFile, "registry-ca", "", "`file` of authorities of image registries")
	f.StringToStringVar(&o.Mirrors, "mirror", nil, "`prefix=other` asks another repository first; may be repeated")
	f.StringVar(&o.CacheDir, "layer-cache", "", "`directory` that keeps the layers of images")
	f.StringVar(&o.Platform, "platform", "", "`os/architecture` of images")
}

// imageSource is the content of a catalog or bundle image.
type imageSource struct {
	ref      string
	options  sourceOptions
	reported func(registry.Problem)
}

func (s imageSource) Items(ctx context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		temporary, err := newScratch()
		if err != nil {
			yield(registry.Item{}, err)
			return
		}
		defer temporary.remove()
		src, err := s.unpack(ctx, temporary)
		if err != nil {
			yield(registry.Item{}, err)
			return
		}
		for item, err := range src.Items(ctx) {
			if !yield(item, err) {
				return
			}
		}
	}
}

// unpack pulls what the labels of the image promise.
func (s imageSource) unpack(ctx context.Context, temporary scratch) (registry.Source, error) {
	options, dir, err := temporary.unpacking(s.options.images)
	if err != nil {
		return nil, err
	}
	image, err := oci.Open(ctx, s.ref, options)
	if err != nil {
		return nil, err
	}
	if _, ok := image.Labels[oci.LabelPackage]; ok {
		o := bundle.Options{Mode: bundle.Mode(s.options.graph), Report: s.reported, Image: s.ref}
		return bundle.Dir(dir, o), image.Unpack(ctx, dir, "manifests", "metadata")
	}
	return catalogIn(ctx, image, dir, "")
}

// catalogIn unpacks the catalog of an image into dir: the file-based catalog in
// a directory of the image, or, if that is empty, what its labels promise.
func catalogIn(ctx context.Context, image *oci.Image, dir, directory string) (registry.Source, error) {
	if directory == "" {
		directory = image.Labels[oci.LabelConfigs]
	}
	if directory != "" {
		if err := image.Unpack(ctx, dir, directory); err != nil {
			return nil, err
		}
		root := filepath.Join(dir, filepath.Clean("/"+directory))
		if info, err := os.Stat(root); err != nil || !info.IsDir() {
			return nil, failure.New(failure.Invalid, "image %q has no directory %q with files", image.Ref, directory)
		}
		return fbc.FS(os.DirFS(root), strings.Trim(directory, "/")), nil
	}
	if database, ok := image.Labels[oci.LabelDatabase]; ok {
		return legacy.File(filepath.Join(dir, filepath.Clean("/"+database))), image.Unpack(ctx, dir, database)
	}
	return nil, failure.New(failure.Invalid, "image %q is neither a catalog nor a bundle: it has none of their labels", image.Ref).
		WithHint("labels are %s, %s", oci.LabelConfigs, oci.LabelPackage)
}
