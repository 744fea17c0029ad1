package template_test

import (
	"context"
	"testing"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/template"
)

// FuzzTemplate renders any template, with bundles of any version.
func FuzzTemplate(f *testing.F) {
	f.Add([]byte(semverText("generateMajorChannels: true\n", "1.0.0 1.1.0 2.0.0-rc.1 2.0.0+b")))
	f.Add([]byte("schema: olm.semver\ncandidate: {bundles: [{image: v1}, {image: ''}]}\nfast: {}\n"))
	f.Add([]byte("schema: olm.template.basic\nentries:\n- {schema: olm.package, name: p, defaultChannel: c}\n- {schema: olm.channel, package: p, name: c, entries: [{name: 1.0.0}]}\n- {schema: olm.bundle, image: 1.0.0}\n"))
	f.Add([]byte("schema: olm.template.basic\nentries: [1, null, {schema: olm.bundle, image: a}, {schema: x}, {schema: olm.channel, package: q}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		src, err := template.Render(t.Context(), "t.yaml", text, loadAny)
		if err != nil {
			if failure.KindOf(err) != failure.Invalid {
				t.Fatalf("error %v has kind %s, want Invalid", err, failure.KindOf(err))
			}
			return
		}
		for item, err := range registry.Validated(src).Items(t.Context()) {
			if err == nil && item.Bundle == nil && item.Package == nil && item.Blob == nil {
				t.Fatal("an item of nothing")
			}
			if err != nil && failure.KindOf(err) != failure.Invalid {
				t.Fatalf("error %v has kind %s, want Invalid", err, failure.KindOf(err))
			}
		}
	})
}

// loadAny knows no images that are very long.
func loadAny(ctx context.Context, ref string) ([]registry.Bundle, error) {
	if len(ref) > 100 {
		return nil, failure.New(failure.Invalid, "there is no image %q", ref)
	}
	return load(ctx, ref)
}
