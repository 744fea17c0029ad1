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
	"slices"
	"time"

	"chandler.dev/olm/devcluster/internal/clock"
	"chandler.dev/olm/devcluster/internal/lock"
)

const heartbeat = 15 * time.Second

// Cache is a folder of built programs.
type Cache struct {
	root    string
	modules map[string]module
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
		modules: modules(mod, sum),
		out:     out,
	}, nil
}

// Path returns where the program is or will be.
func (c *Cache) Path(p Program) string {
	return filepath.Join(c.folder(p), p.Name)
}

// Find returns the path of the program with this name, or the empty string if there is no such program.
func (c *Cache) Find(name string) string {
	for _, p := range slices.Concat(ControlPlane, RealNode) {
		if p.Name == name {
			return c.Path(p)
		}
	}
	return ""
}

func (c *Cache) folder(p Program) string {
	m := c.modules[p.module]
	h := sha256.New()
	version, arch := []byte(runtime.Version()), []byte(runtime.GOARCH)
	for _, part := range [][]byte{m.mod, m.sum, m.source, version, arch, []byte(kubeVersion)} {
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
	m := c.modules[p.module]
	for name, content := range map[string][]byte{"go.mod": m.mod, "go.sum": m.sum, "main.go": m.source} {
		if len(content) == 0 {
			continue
		}
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
