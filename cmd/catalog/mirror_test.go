package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"chandler.dev/olm/internal/testkit/distribution"
)

// imageWith is an image with a text in it.
func imageWith(t *testing.T, text string) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer([]byte(text), types.OCIUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// packageText is a package of one bundle with its images.
func packageText(name, image string, related ...string) string {
	var all []string
	for _, one := range related {
		all = append(all, fmt.Sprintf(`{"name":"","image":%q}`, one))
	}
	return fmt.Sprintf(`{"schema":"olm.package","name":%[1]q,"defaultChannel":"c"}
{"schema":"olm.channel","package":%[1]q,"name":"c","entries":[{"name":"%[1]s.v1"}]}
{"schema":"olm.bundle","package":%[1]q,"name":"%[1]s.v1","image":%[2]q,"properties":[{"type":"olm.package","value":{"packageName":%[1]q,"version":"1.0.0"}}],"relatedImages":[%[3]s]}
`, name, image, strings.Join(all, ","))
}

// catalogOf writes a catalog and returns its directory.
func catalogOf(t *testing.T, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "catalog.json"), []byte(strings.Join(packages, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// catalog runs the program, which must end with a code.
func catalog(t *testing.T, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	if code := run(t.Context(), args, &out, &errors); code != wantCode {
		t.Fatalf("catalog %s ended with code %d, want %d: %s", strings.Join(args, " "), code, wantCode, errors.String())
	}
	return out.String(), errors.String()
}

// TestMirror copies one of two packages with all its images, to a registry with
// passwords and to a directory. Who has only the copy finds everything in it.
func TestMirror(t *testing.T) {
	source := distribution.Start(t, distribution.Options{})
	target := distribution.Start(t, distribution.Options{Passwords: true})
	config := t.TempDir()
	text := fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, target.Host, distribution.User, distribution.Password)
	if err := os.WriteFile(filepath.Join(config, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", config)

	operand := imageWith(t, "operand")
	digest, err := operand.Digest()
	if err != nil {
		t.Fatal(err)
	}
	bundle := source.Push(t, "team/op-bundle:v1", imageWith(t, "bundle"))
	source.Push(t, "team/operand:v1", operand)
	pinned := source.Host + "/team/operand@" + digest.String()
	other := source.Push(t, "team/other:v1", imageWith(t, "other"))
	src := catalogOf(t, packageText("op", bundle, bundle, pinned), packageText("other", other))

	dir := filepath.Join(t.TempDir(), "copy")
	for dest, want := range map[string][]copied{
		target.Host + "/site": {
			{From: bundle, To: target.Host + "/site/team/op-bundle:v1"},
			{From: pinned, To: target.Host + "/site/team/operand@" + digest.String()},
			{From: "(the catalog)", To: target.Host + "/site/catalog:v7"},
		},
		"oci:" + dir: {
			{From: bundle, To: "oci:" + dir + ":" + bundle}, {From: pinned, To: "oci:" + dir + ":" + pinned}, {From: "(the catalog)", To: "oci:" + dir + ":v7"},
		},
	} {
		args := []string{"mirror", src, dest, "--package", "op", "--tag", "v7", "-o", "json"}
		before := target.Requests(http.MethodPut, "")
		planned, _ := catalog(t, 0, append(args, "--dry-run")...)
		if n := target.Requests(http.MethodPut, "") - before; n != 0 {
			t.Errorf("%s: %d requests to write where nothing should be", dest, n)
		}
		for range 2 { // again changes nothing
			done, _ := catalog(t, 0, args...)
			var got []copied
			if err := json.Unmarshal([]byte(done), &got); err != nil || done != planned || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: copied %s, planned %s, want %v, %v", dest, done, planned, want, err)
			}
		}
		place := want[len(want)-1].To
		packages, _ := catalog(t, 0, "packages", place)
		if !strings.Contains(packages, "op ") || strings.Contains(packages, "other") {
			t.Errorf("%s: the copy has the packages %s, want op alone", dest, packages)
		}
		shown, _ := catalog(t, 0, "render", place)
		if !strings.Contains(shown, pinned) {
			t.Errorf("%s: the copy lacks the image %s: %s", dest, pinned, shown)
		}
	}

	again, _ := catalog(t, 0, "mirror", target.Host+"/site/catalog:v7", "oci:"+filepath.Join(t.TempDir(), "next"), "--mirror", source.Host+"="+target.Host+"/site", "-o", "json")
	if !strings.Contains(again, pinned) {
		t.Errorf("what was copied cannot be copied on: %s", again)
	}
}

func TestMirrorConflict(t *testing.T) {
	src := catalogOf(t, packageText("a", "one.example.com/team/op:v1"), packageText("b", "two.example.com/team/op:v1"))
	_, stderr := catalog(t, 4, "mirror", src, "mirror.example.com/site")
	if !strings.Contains(stderr, `both "one.example.com/team/op:v1" and "two.example.com/team/op:v1" would become "mirror.example.com/site/team/op:v1"`) {
		t.Errorf("it does not say which images: %s", stderr)
	}
	if planned, _ := catalog(t, 0, "mirror", src, "mirror.example.com/site", "--package", "a", "--dry-run"); !strings.Contains(planned, "one.example.com/team/op:v1") {
		t.Errorf("one of them cannot be copied: %s", planned)
	}
}

// TestMirrorOfWhatIsNot copies no catalog without its images.
func TestMirrorOfWhatIsNot(t *testing.T) {
	source, target := distribution.Start(t, distribution.Options{}), distribution.Start(t, distribution.Options{})
	missing := source.Host + "/team/nowhere:v1"
	_, stderr := catalog(t, 3, "mirror", catalogOf(t, packageText("op", missing)), target.Host+"/site")
	if !strings.Contains(stderr, fmt.Sprintf("there is no image %q", missing)) {
		t.Errorf("it does not say which image: %s", stderr)
	}
	catalog(t, 3, "packages", target.Host+"/site/catalog:latest")
}
