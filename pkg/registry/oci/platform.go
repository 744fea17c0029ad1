package oci

import (
	"os"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"chandler.dev/olm/pkg/failure"
)

// maxIndexDepth bounds indexes in indexes.
const maxIndexDepth = 4

// platforms are what an image may be for, the best first. Catalogs and bundles
// are data: if nothing was asked for, that of another architecture will do.
type platforms struct {
	text string
	want []v1.Platform
}

func (o Options) platforms() (platforms, error) {
	if o.Platform == "" {
		own := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
		return platforms{own.String(), []v1.Platform{own, {OS: "linux"}}}, nil
	}
	asked, err := v1.ParsePlatform(o.Platform)
	if err != nil || asked.OS == "" || asked.Architecture == "" {
		return platforms{}, failure.New(failure.Invalid, "%q is no platform", o.Platform).WithHint("write it as os/architecture")
	}
	return platforms{o.Platform, []v1.Platform{*asked}}, nil
}

// imageOf returns the image of an index for the best platform.
func imageOf(index v1.ImageIndex, p platforms) (v1.Image, error) {
	var has []string
	for _, want := range p.want {
		image, err := child(index, want, &has, 1)
		if image != nil || err != nil {
			return image, err
		}
	}
	if len(has) == 0 {
		return nil, failure.New(failure.NotFound, "there is no image in the index").WithHint("it may hold artifacts of another kind")
	}
	slices.Sort(has)
	return nil, failure.New(failure.NotFound, "the image is not for %s, only for %s", p.text, strings.Join(slices.Compact(has), ", ")).
		WithHint("choose one of them with --platform")
}

// child returns the first image for a platform, nil if there is none. has
// collects what there is.
func child(index v1.ImageIndex, want v1.Platform, has *[]string, depth int) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if depth > maxIndexDepth {
		return nil, failure.New(failure.Invalid, "the index of the image has more than %d levels", maxIndexDepth).WithHint("it is broken")
	}
	for _, m := range manifest.Manifests {
		if m.Platform != nil {
			*has = append(*has, m.Platform.String())
		}
		switch {
		case m.Platform != nil && !m.Platform.Satisfies(want):
		case m.MediaType.IsImage():
			return index.Image(m.Digest)
		case m.MediaType.IsIndex():
			inner, err := index.ImageIndex(m.Digest)
			if err != nil {
				return nil, err
			}
			if image, err := child(inner, want, has, depth+1); image != nil || err != nil {
				return image, err
			}
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// fromLayout finds an image in a directory, by tag if there are several.
func fromLayout(dir string, want platforms) (v1.Image, error) {
	dir, tag := splitLayout(dir)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		e := failure.New(failure.NotFound, "%q is no OCI layout", dir).WithHint("it needs a file index.json")
		e.Err = err
		return nil, e
	}
	if tag != "" {
		return tagged(index, tag, want)
	}
	return imageOf(index, want)
}

// tagged finds the image of a tag, or of a digest, in a layout.
func tagged(index v1.ImageIndex, tag string, want platforms) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, m := range manifest.Manifests {
		if m.Annotations[tagAnnotation] != tag && m.Digest.String() != tag {
			continue
		}
		if !m.MediaType.IsIndex() {
			return index.Image(m.Digest)
		}
		inner, err := index.ImageIndex(m.Digest)
		if err != nil {
			return nil, err
		}
		return imageOf(inner, want)
	}
	return nil, failure.New(failure.NotFound, "the OCI layout has no image %q", tag).WithHint("its file index.json names those that it has")
}

// splitLayout takes the tag off a directory.
func splitLayout(dir string) (path, tag string) {
	if _, err := os.Stat(dir); err == nil {
		return dir, ""
	}
	for i, c := range dir {
		if c != ':' || i == 0 {
			continue
		}
		if _, err := os.Stat(dir[:i]); err == nil {
			return dir[:i], dir[i+1:]
		}
	}
	if i := strings.LastIndex(dir, ":"); i > 0 {
		return dir[:i], dir[i+1:]
	}
	return dir, ""
}
