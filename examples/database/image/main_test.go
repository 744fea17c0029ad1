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

func TestTargets(t *testing.T) {
	tests := map[string]struct {
		out      string
		versions []string
		want     []target
		wantErr  bool
	}{
		"a file holds one release":     {out: "x/a.tar", versions: []string{"1.0.0"}, want: []target{{"1.0.0", "x/a.tar"}}},
		"a file cannot hold two":       {out: "x/a.tar", versions: []string{"1.0.0", "1.1.0"}, wantErr: true},
		"a directory holds any number": {out: "x", versions: []string{"1.0.0", "2.0.0"}, want: []target{{"1.0.0", "x/database-1.0.0.tar"}, {"2.0.0", "x/database-2.0.0.tar"}}},
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			got, err := targets(test.out, test.versions)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(target{})); diff != "" {
				t.Errorf("targets() (-want +got):\n%s", diff)
			}
			if (err != nil) != test.wantErr {
				t.Errorf("error is %v, want one: %t", err, test.wantErr)
			}
		})
	}
}
