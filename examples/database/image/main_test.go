package main

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	var sums [][sha256.Size]byte
	for _, file := range []string{"a.tar", "b.tar"} {
		path := filepath.Join(dir, file)
		if err := write(path, []byte("#!program"), "1.0.0", "amd64"); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sha256.Sum256(text))
	}
	if sums[0] != sums[1] {
		t.Error("the same binary gave two different tarballs")
	}

	tag, err := name.NewTag("localhost/chandler/database-operator:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(filepath.Join(dir, "a.tar"), &tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"DATABASE_RELEASE=1.0.0"}, config.Config.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if config.Config.User != "65532:65532" || config.OS != "linux" {
		t.Errorf("config is %+v", config.Config)
	}
}
