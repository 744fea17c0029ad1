package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/document"
	"chandler.dev/olm/pkg/registry/pipeline"
)

// packageManifest is the file that made packages before there were bundles:
// beside it is a directory per version, with the manifests in it.
type packageManifest struct {
	PackageName    string `json:"packageName"`
	DefaultChannel string `json:"defaultChannel"`
	Channels       []struct {
		Name       string `json:"name"`
		CurrentCSV string `json:"currentCSV"`
	} `json:"channels"`

	file     string
	versions []string // directories
}

// IsPackageManifests reports whether there is a package manifest in a tree.
func IsPackageManifests(fsys fs.FS) bool {
	for _, err := range packageFiles(fsys) {
		return err == nil
	}
	return false
}

// PackageManifests returns the catalog of a tree of package manifests. The
// channels come from them, the edges from the ClusterServiceVersions.
func PackageManifests(dir string, o Options) registry.Source {
	return PackageManifestsFS(os.DirFS(dir), dir, o)
}

// PackageManifestsFS does the same in a file system; name is what messages call
// its root.
func PackageManifestsFS(fsys fs.FS, name string, o Options) registry.Source {
	t, _ := FS(fsys, name, o).(tree)
	return legacyTree{t}
}

type legacyTree struct{ tree }

// errStopped says that nobody wants more items.
var errStopped = errors.New("stopped")

func (t legacyTree) Items(ctx context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		var problems []registry.Problem
		for file, err := range packageFiles(t.fsys) {
			if err == nil {
				err = t.pkg(ctx, file, yield)
			}
			if problem, ok := isProblem(err); ok {
				problems = append(problems, problem)
				continue
			}
			if errors.Is(err, errStopped) {
				return
			}
			if err != nil {
				yield(registry.Item{}, err)
				return
			}
		}
		if err := registry.InvalidCatalog(problems); err != nil {
			yield(registry.Item{}, err)
		}
	}
}

// packageFiles yields the package manifests of a tree.
func packageFiles(fsys fs.FS) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
			isFile := err == nil && !entry.IsDir() && (strings.HasSuffix(name, "package.yaml") || strings.HasSuffix(name, "package.yml"))
			if !isFile {
				return err
			}
			names, err := namesPackage(fsys, name)
			if err == nil && names && !yield(name, nil) {
				return fs.SkipAll
			}
			return err
		})
		if err != nil {
			yield("", err)
		}
	}
}

// namesPackage tells a package manifest from a file-based catalog that has the
// same name: only the first says packageName at its top.
func namesPackage(fsys fs.FS, name string) (bool, error) {
	text, err := document.Read(fsys, name)
	if flawOf(err) != nil {
		return false, nil //nolint:nilerr // no package manifest is so large
	}
	return packageNameKey.Match(text), err
}

var packageNameKey = regexp.MustCompile(`(?m)^["']?packageName["']?\s*:`)

// pkg yields the bundles of one package, then the package. What is wrong is
// one problem.
func (t legacyTree) pkg(ctx context.Context, file string, yield func(registry.Item, error) bool) error {
	m, err := t.read(file)
	if err != nil {
		return err
	}
	c := collection{packages: map[string]*gathered{}, presentations: map[[sha256.Size]byte]*presentation{}}
	results := pipeline.Ordered(ctx, func(_ context.Context, start func(func() result) error) error {
		for _, dir := range m.versions {
			if err := start(func() result { return t.version(m.PackageName, dir) }); err != nil {
				return err
			}
		}
		return nil
	})
	for r, err := range results {
		item, err := c.take(r, err)
		if err != nil {
			return err
		}
		t.options.tell(r.parsed)
		if item.Bundle != nil && !yield(item, nil) {
			return errStopped
		}
	}
	if g := c.packages[m.PackageName]; g != nil {
		item, left := g.assembleFrom(m)
		for _, problem := range left {
			problem.Where = path.Join(t.name, file)
			t.options.Report(problem)
		}
		if !yield(item, nil) {
			return errStopped
		}
	}
	if len(c.problems) > 0 {
		return registry.Problem{Message: fmt.Sprintf("invalid package %q", m.PackageName), Where: path.Join(t.name, file), Problems: c.problems}
	}
	return nil
}

// read reads a package manifest and finds its versions.
func (t legacyTree) read(file string) (packageManifest, error) {
	m := packageManifest{file: file}
	problem := func(err error) error {
		return registry.Problem{Message: err.Error(), Where: path.Join(t.name, file)}
	}
	text, err := document.Read(t.fsys, file)
	if err != nil {
		return m, err
	}
	raw, err := document.FromYAML(text)
	if err != nil {
		return m, problem(err)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, problem(err)
	}
	root := path.Dir(file)
	err = fs.WalkDir(t.fsys, root, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && name != root {
			m.versions = append(m.versions, name)
		}
		return err
	})
	return m, err
}

// version reads the directory of one version.
func (t legacyTree) version(pkg, dir string) result {
	sub, err := fs.Sub(t.fsys, dir)
	if err != nil {
		return result{err: err}
	}
	r := reader{fsys: sub, name: path.Join(t.name, dir)}
	m, err := r.manifests(".")
	if err != nil {
		return result{err: err}
	}
	if len(m.content.Objects) == 0 && !slices.ContainsFunc(r.problems, func(p registry.Problem) bool { return strings.HasPrefix(p.Message, "broken") }) {
		return result{} // a directory of directories
	}
	p := r.combine(m, metadata{annotations: annotations{Package: pkg}})
	if len(r.problems) > 0 {
		return result{err: registry.Problem{Message: fmt.Sprintf("invalid bundle %q", r.name), Problems: r.problems}}
	}
	return result{parsed: p}
}

// assembleFrom makes the package with the channels of its manifest.
func (g *gathered) assembleFrom(m packageManifest) (registry.Item, []registry.Problem) {
	p := registry.Package{Name: g.name, DefaultChannel: m.DefaultChannel}
	placed := map[string]bool{}
	var left []registry.Problem
	for _, ch := range m.Channels {
		head := g.members[ch.CurrentCSV]
		if head == nil {
			left = append(left, registry.Problem{
				Message: fmt.Sprintf("channel %q of package %q is left out: its currentCSV %q is not there", ch.Name, g.name, ch.CurrentCSV),
				Hint:    "add the version or remove the channel",
			})
			continue
		}
		entries := g.below(head)
		for _, e := range entries {
			placed[e.Name] = true
		}
		p.Channels = append(p.Channels, registry.Channel{Name: ch.Name, Entries: entries, Head: head.Name})
	}
	slices.SortStableFunc(p.Channels, func(a, b registry.Channel) int { return strings.Compare(a.Name, b.Name) })
	if p.DefaultChannel == "" && len(p.Channels) == 1 {
		p.DefaultChannel = p.Channels[0].Name
	}
	g.present(&p)
	for _, one := range g.sorted("") {
		if !placed[one.Name] {
			left = append(left, registry.Problem{
				Message: fmt.Sprintf("bundle %q of package %q is left out: no channel leads to it", one.Name, g.name), Hint: "set spec.replaces of a later version",
			})
		}
	}
	return g.item(p, placed), left
}
