package bundle_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/memory"
)

// files makes a tree of bundles from lines "dir version channels key=value…".
func files(lines ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, line := range lines {
		f := strings.Fields(line)
		dir, version, channels := f[0], f[1], f[2]
		csv := "kind: ClusterServiceVersion\nmetadata:\n  name: p.v" + version + "\n"
		spec := "spec:\n  version: " + version + "\n"
		annotations := "annotations:\n  operators.operatorframework.io.bundle.package.v1: p\n  operators.operatorframework.io.bundle.channels.v1: " + channels + "\n"
		for _, edge := range f[3:] {
			switch key, value, _ := strings.Cut(edge, "="); key {
			case "replaces":
				spec += "  replaces: p.v" + value + "\n"
			case "skips":
				spec += "  skips: [p.v" + value + "]\n"
			case "default":
				annotations += "  operators.operatorframework.io.bundle.channel.default.v1: " + value + "\n"
			case "range":
				csv += "  annotations: {olm.skipRange: '" + value + "'}\n"
			}
		}
		fsys[dir+"/manifests/csv.yaml"] = &fstest.MapFile{Data: []byte(csv + spec)}
		fsys[dir+"/metadata/annotations.yaml"] = &fstest.MapFile{Data: []byte(annotations)}
	}
	return fsys
}

func TestTree(t *testing.T) {
	tests := map[string]struct {
		mode        bundle.Mode
		files       fstest.MapFS
		want        map[string]string // entries by channel
		wantDefault string            // not compared if it is empty
		wantLeft    int
	}{
		"edges come from the bundles": {
			files: files("1 1.0.0 stable", "2 1.1.0 stable,fast replaces=1.0.0", "3 2.0.0 stable replaces=1.1.0 skips=1.0.5", "4 1.0.5 stable replaces=1.0.0"),
			want: map[string]string{
				"stable": "p.v1.0.5 <p.v1.0.0|p.v1.0.0|p.v1.1.0 <p.v1.0.0|p.v2.0.0 <p.v1.1.0 -[p.v1.0.5]",
				"fast":   "p.v1.0.0|p.v1.1.0 <p.v1.0.0",
			},
		},
		"a bundle that nothing leads to is left out": {
			files: files("1 1.0.0 stable", "2 1.1.0 stable"), want: map[string]string{"stable": "p.v1.1.0"}, wantLeft: 1,
		},
		"ad-01 what is replaced comes into every channel": {
			files:       files("1 0.14.0 preview", "2 0.15.0 preview,stable replaces=0.14.0 default=preview"),
			want:        map[string]string{"preview": "p.v0.14.0|p.v0.15.0 <p.v0.14.0", "stable": "p.v0.14.0|p.v0.15.0 <p.v0.14.0"},
			wantDefault: "preview",
		},
		"ad-02 the highest version names the default channel": {
			files: files("1 0.14.0 preview default=preview", "2 0.14.0-beta beta default=beta"),
			want:  map[string]string{"preview": "p.v0.14.0", "beta": "p.v0.14.0-beta"}, wantDefault: "preview",
		},
		"ad-03 a new default channel": {
			files: files("1 0.14.0 preview default=preview", "2 0.15.0-stable stable replaces=0.14.0 default=stable"),
			want:  map[string]string{"preview": "p.v0.14.0", "stable": "p.v0.14.0|p.v0.15.0-stable <p.v0.14.0"}, wantDefault: "stable",
		},
		"sp-04 the head of each channel is its highest version": {
			files:       files("1 1.0.0 slow", "2 1.1.0 slow,stable replaces=1.0.0 default=stable", "3 2.1.0 edge replaces=1.1.0 default=stable"),
			want:        map[string]string{"slow": "p.v1.0.0|p.v1.1.0 <p.v1.0.0", "stable": "p.v1.0.0|p.v1.1.0 <p.v1.0.0", "edge": "p.v1.0.0|p.v1.1.0 <p.v1.0.0|p.v2.1.0 <p.v1.1.0"},
			wantDefault: "stable",
		},
		"sp-09 build metadata makes the head": {
			files: files("1 1.0.0 stable", "2 1.0.0+1 stable replaces=1.0.0", "3 1.0.0+2 stable replaces=1.0.0+1", "4 2.0.0-pre edge default=stable"),
			want:  map[string]string{"stable": "p.v1.0.0|p.v1.0.0+1 <p.v1.0.0|p.v1.0.0+2 <p.v1.0.0+1", "edge": "p.v2.0.0-pre"}, wantDefault: "stable",
		},
		"a default channel that is none is passed over": {
			files: files("1 1.0.0 b default=b", "2 2.0.0 a,b replaces=1.0.0 default=nowhere"),
			want:  map[string]string{"a": "p.v1.0.0|p.v2.0.0 <p.v1.0.0", "b": "p.v1.0.0|p.v2.0.0 <p.v1.0.0"}, wantDefault: "b",
		},
		"versions make the edges": {
			mode: bundle.SemVer, files: files("1 1.0.0 stable", "2 1.1.0 stable replaces=0.9.0", "10 1.10.0 stable"),
			want: map[string]string{"stable": "p.v1.0.0|p.v1.1.0 <p.v1.0.0|p.v1.10.0 <p.v1.1.0"},
		},
		"build metadata orders equal versions": {
			mode: bundle.SemVer, files: files("1 1.0.0+2 stable", "2 1.0.0+10 stable", "3 1.0.0 stable"),
			want: map[string]string{"stable": "p.v1.0.0|p.v1.0.0+2 <p.v1.0.0|p.v1.0.0+10 <p.v1.0.0+2"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			left := 0
			src := bundle.FS(test.files, "dir", bundle.Options{Mode: test.mode, Report: func(p registry.Problem) { left += leftOut(p) }})
			store, err := memory.New(t.Context(), registry.Validated(src))
			if err != nil {
				t.Fatal(err)
			}
			p, err := store.Package(t.Context(), "p")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, entriesText(p)); diff != "" {
				t.Errorf("channels (-want +got):\n%s", diff)
			}
			if test.wantDefault != "" && p.DefaultChannel != test.wantDefault {
				t.Errorf("the default channel is %s, want %s", p.DefaultChannel, test.wantDefault)
			}
			if left != test.wantLeft {
				t.Errorf("%d bundles were left out, want %d", left, test.wantLeft)
			}
		})
	}
}

// leftOut counts the bundles that a report names.
func leftOut(p registry.Problem) int {
	n := 0
	for _, one := range p.Problems {
		if strings.HasPrefix(one.Message, "bundle ") {
			n++
		}
	}
	return n
}

func TestBrokenBundle(t *testing.T) {
	broken := files("1 1.0.0 stable", "2 1.1.0 stable replaces=1.0.0")
	broken["2/manifests/service.yaml"] = &fstest.MapFile{Data: []byte("kind: Service\nmetadata:\n  name: a: b\n")}
	broken["3/manifests/cm.yaml"] = &fstest.MapFile{Data: []byte("kind: ConfigMap\n")}
	broken["3/metadata/annotations.yaml"] = &fstest.MapFile{Data: []byte("nothing: here\n")}
	_, err := memory.New(t.Context(), registry.Validated(bundle.FS(broken, "dir", bundle.Options{})))
	for _, want := range []string{
		"dir/2/manifests/service.yaml:3", "broken YAML", "quotes",
		"no csv in bundle", "dir/3/manifests",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

// TestRealBundles reads all bundles of the test data by version, and those of a
// few packages by their edges.
func TestRealBundles(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "data", "bundles")
	if d := os.Getenv("OLM_TESTDATA"); d != "" {
		dir = filepath.Join(d, "bundles")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no test data; set OLM_TESTDATA")
	}
	for _, test := range []struct {
		dir           string
		mode          bundle.Mode
		bundles, left int
	}{
		{".", bundle.SemVer, 122, 0}, // a bundle inside another one is not one
		{"etcd", bundle.Replaces, 6, 0},
		{"prometheus", bundle.Replaces, 4, 0},
		{"cert-manager", bundle.Replaces, 6, 5},
	} {
		bundles, left := 0, 0
		src := bundle.Dir(filepath.Join(dir, test.dir), bundle.Options{Mode: test.mode, Report: func(p registry.Problem) { left += leftOut(p) }})
		for item, err := range registry.Validated(src).Items(context.Background()) {
			if err != nil {
				t.Fatal(test.dir, err)
			}
			if item.Bundle != nil {
				bundles++
			}
		}
		if bundles != test.bundles || left != test.left {
			t.Errorf("%s: read %d bundles, %d left out, want %d, %d", test.dir, bundles, left, test.bundles, test.left)
		}
	}
}

// TestPrefixedImages reports every image that is taken without its prefix.
func TestPrefixedImages(t *testing.T) {
	const text = `kind: ClusterServiceVersion
metadata: {name: p.v1}
spec:
  version: 1.0.0
  relatedImages: [{name: a, image: "oci://example.com/a:v1"}, {name: b, image: "example.com/b:v1"}, {name: c, image: "docker://example.com/c:v1"}]
`
	fsys := fstest.MapFS{
		"manifests/csv.yaml": {Data: []byte(text)}, "metadata/annotations.yaml": {Data: []byte(annotationsText)},
	}
	var told []string
	report := func(p registry.Problem) { told = append(told, p.Message+" "+p.Where) }
	store, err := memory.New(t.Context(), registry.Validated(bundle.FS(fsys, "dir", bundle.Options{Report: report})))
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.Bundle(t.Context(), "p", "p.v1")
	if err != nil {
		t.Fatal(err)
	}
	var images []string
	for _, image := range b.RelatedImages {
		images = append(images, image.Image)
	}
	want := []string{
		`image "oci://example.com/a:v1" of bundle "p.v1" is taken as "example.com/a:v1" dir/manifests/csv.yaml`,
		`image "docker://example.com/c:v1" of bundle "p.v1" is taken as "example.com/c:v1" dir/manifests/csv.yaml`,
	}
	if diff := cmp.Diff([][]string{{"example.com/a:v1", "example.com/b:v1", "example.com/c:v1"}, want}, [][]string{images, told}); diff != "" {
		t.Errorf("images, reports (-want +got):\n%s", diff)
	}
}
