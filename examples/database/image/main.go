// Command image builds the container image of the database operator without
// Docker: one static binary in one layer. The same source gives the same bytes.
//
//	go run ./image -o DIR                            the images of all releases
//	go run ./image -version 1.0.0 -o database.tar    that of one
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const (
	packagePath = "chandler.dev/olm/examples/database"
	repository  = "localhost/chandler/database-operator"
	binaryPath  = "/database"
)

// releases are those that catalogs/database has bundles of.
var releases = []string{"1.0.0", "1.1.0", "1.2.0", "2.0.0"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("o", ".", "`path`: a file that ends in .tar, or a directory for files named database-<version>.tar")
	versions := flags.String("version", strings.Join(releases, ","), "`releases` to build, separated by commas")
	arch := flags.String("arch", runtime.GOARCH, "`architecture` of the image")
	if err := flags.Parse(args); err != nil {
		return err
	}
	files, err := targets(*out, strings.Split(*versions, ","))
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "database-image-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	binary, err := compile(ctx, filepath.Join(scratch, "database"), *arch, stderr)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return err
		}
		if err := write(f.path, binary, f.release, *arch); err != nil {
			return fmt.Errorf("write %s: %w", f.path, err)
		}
		_, _ = fmt.Fprintf(stderr, "%s  %s:%s\n", f.path, repository, f.release)
	}
	return nil
}

// target is a release and the file for its image.
type target struct{ release, path string }

func targets(out string, versions []string) (files []target, err error) {
	if strings.HasSuffix(out, ".tar") {
		if len(versions) > 1 {
			return nil, fmt.Errorf("%s is one file but %d releases are asked for: name one with -version, or a directory", out, len(versions))
		}
		return []target{{versions[0], out}}, nil
	}
	for _, v := range versions {
		files = append(files, target{v, filepath.Join(out, "database-"+v+".tar")})
	}
	return files, nil
}

// compile builds the static binary. All releases share it: which release it is
// comes from the environment that the image sets.
func compile(ctx context.Context, path, arch string, stderr io.Writer) ([]byte, error) {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, packagePath)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	build.Stdout, build.Stderr = stderr, stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("go build: %w", err)
	}
	return os.ReadFile(path)
}

// write writes the tarball that "docker load" and "ctr images import" read.
func write(path string, binary []byte, release, arch string) error {
	img, err := image(binary, release, arch)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(repository+":"+release, name.StrictValidation)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, img)
}

func image(binary []byte, release, arch string) (v1.Image, error) {
	files, err := archive(binary)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files)), nil
	}, tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", arch, v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{
		Entrypoint: []string{binaryPath},
		User:       "65532:65532",
		Env:        []string{"DATABASE_RELEASE=" + release},
		Labels: map[string]string{
			"org.opencontainers.image.title":   "database operator",
			"org.opencontainers.image.version": release,
		},
	}
	return mutate.ConfigFile(img, config)
}

// archive is the file system: the binary and a /tmp.
func archive(binary []byte) ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	headers := []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777},
		{Typeflag: tar.TypeReg, Name: binaryPath[1:], Mode: 0o755, Size: int64(len(binary))},
	}
	for _, h := range headers {
		h.ModTime = time.Unix(0, 0)
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	return buffer.Bytes(), w.Close()
}
