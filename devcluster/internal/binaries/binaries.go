// Package binaries builds the programs that a cluster consists of from Go modules, once, into a cache that clusters and
// work trees share. A cache folder is named after everything that decides its content, so it never has to be refreshed.
package binaries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"chandler.dev/olm/devcluster/internal/clock"
	"chandler.dev/olm/devcluster/internal/lock"
)

const heartbeat = 15 * time.Second

// Program is a program that can be built.
type Program struct {
	Name string
	// Package is its main package, Module the name of the Module that pins it.
	Package string
	Module  string
	// Cold is what building took on two cores with nothing cached, in the order of the lists below.
	Cold time.Duration
}

// Module pins versions: the text of its go.mod and go.sum.
type Module struct {
	Name string
	Mod  []byte
	Sum  []byte
}

// kubernetes is the name of the Module that pins all of Kubernetes.
const kubernetes = "kubernetes"

// ControlPlane are the programs that every cluster needs.
var ControlPlane = []Program{
	{"etcd", "go.etcd.io/etcd/server/v3", kubernetes, 1 * time.Minute},
	{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", kubernetes, 5 * time.Minute},
	{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", kubernetes, 90 * time.Second},
	{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", kubernetes, 20 * time.Second},
	{"kwok", "sigs.k8s.io/kwok/cmd/kwok", kubernetes, 2 * time.Minute},
}

// kubeVersion makes the programs say their version; clients complain about v0.0.0.
const kubeVersion = "-s -w" +
	" -X k8s.io/component-base/version.gitVersion=v1.36.3" +
	" -X k8s.io/component-base/version.gitMajor=1" +
	" -X k8s.io/component-base/version.gitMinor=36" +
	" -X k8s.io/component-base/version.gitTreeState=clean"

// Cache is a folder of built programs.
type Cache struct {
	root    string
	modules map[string]Module
	out     io.Writer
}

// NewCache returns the cache of this user. Progress is written to out; nothing is if everything is built.
func NewCache(mod, sum []byte, out io.Writer) (*Cache, error) {
	root := os.Getenv("CHANDLER_CACHE")
	if root == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find a cache folder: %w", err)
		}
		root = filepath.Join(base, "chandler")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("find a cache folder: %w", err)
	}
	return &Cache{
		root:    filepath.Join(root, "devcluster"),
		modules: map[string]Module{kubernetes: {kubernetes, mod, sum}},
		out:     out,
	}, nil
}

// Path returns where the program is or will be.
func (c *Cache) Path(p Program) string {
	return filepath.Join(c.folder(p), p.Name)
}

// Find returns the path of the program with this name, or the empty string if there is no such program.
func (c *Cache) Find(name string) string {
	for _, p := range ControlPlane {
		if p.Name == name {
			return c.Path(p)
		}
	}
	return ""
}

func (c *Cache) folder(p Program) string {
	m := c.modules[p.Module]
	h := sha256.New()
	for _, part := range [][]byte{m.Mod, m.Sum, []byte(runtime.Version()), []byte(runtime.GOARCH), []byte(kubeVersion)} {
		_, _ = fmt.Fprintf(h, "%d\n", len(part))
		_, _ = h.Write(part)
	}
	return filepath.Join(c.root, hex.EncodeToString(h.Sum(nil))[:16])
}

// Ensure builds those of the programs that are missing. Processes that want the same wait for one another.
func (c *Cache) Ensure(ctx context.Context, programs ...Program) error {
	if len(c.missing(programs)) == 0 {
		return nil
	}
	l, err := lock.Wait(ctx, filepath.Join(c.root, "lock"), func() {
		_, _ = fmt.Fprintln(c.out, "waiting for another process that builds the cluster's programs")
	})
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	defer l.Release()
	missing := c.missing(programs)
	for i, p := range missing {
		title := fmt.Sprintf("building %s (%d/%d)", p.Name, i+1, len(missing))
		_, _ = fmt.Fprintf(c.out, "%s, about %s when nothing is cached\n", title, p.Cold)
		stop := c.reportEvery(heartbeat, title)
		err := c.build(ctx, p)
		took := stop()
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(c.out, "%s: done in %s\n", title, took)
	}
	return nil
}

func (c *Cache) missing(programs []Program) []Program {
	var missing []Program
	for _, p := range programs {
		if _, err := os.Stat(c.Path(p)); err != nil {
			missing = append(missing, p)
		}
	}
	return missing
}

// reportEvery writes the time that has passed until the returned function is called, which returns it too.
func (c *Cache) reportEvery(interval time.Duration, title string) func() time.Duration {
	begin := clock.Now()
	elapsed := func() time.Duration { return clock.Now().Sub(begin).Round(time.Second) }
	ticker := time.NewTicker(interval)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				_, _ = fmt.Fprintf(c.out, "%s: %s so far\n", title, elapsed())
			case <-end:
				return
			}
		}
	}()
	return func() time.Duration {
		ticker.Stop()
		close(end)
		<-ended
		return elapsed()
	}
}

func (c *Cache) build(ctx context.Context, p Program) error {
	folder := c.folder(p)
	source := filepath.Join(folder, "source")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return fmt.Errorf("build %s: %w", p.Name, err)
	}
	m := c.modules[p.Module]
	for name, content := range map[string][]byte{"go.mod": m.Mod, "go.sum": m.Sum} {
		if err := os.WriteFile(filepath.Join(source, name), content, 0o644); err != nil {
			return fmt.Errorf("build %s: %w", p.Name, err)
		}
	}
	temporary := filepath.Join(folder, "."+p.Name)
	//nolint:gosec // the arguments are constants of this package
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", kubeVersion, "-o", temporary, p.Package)
	cmd.Dir = source
	// The settings of the caller's own modules do not apply to these.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS=linux", "PWD="+source)
	cmd.Stdout, cmd.Stderr = c.out, c.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s with go in PATH: %w", p.Name, err)
	}
	if err := os.Rename(temporary, filepath.Join(folder, p.Name)); err != nil {
		return fmt.Errorf("build %s: %w", p.Name, err)
	}
	return nil
}
