package bundle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/pipeline"
)

// Mode says where the edges between the bundles of a tree come from.
type Mode string

// Modes of a tree.
const (
	Replaces Mode = "replaces" // from replaces, skips and olm.skipRange of the ClusterServiceVersions
	SemVer   Mode = "semver"   // every version replaces the next lower one in its channel
)

// Options of a tree.
type Options struct {
	Mode Mode // Replaces if empty
	// Image is where the bundle was published; empty if it was not, or if there
	// are several bundles.
	Image string
	// ImageOf says where each of several bundles was published; may be nil.
	ImageOf func(registry.Bundle) (string, error)
	// Report is told what was left out of the catalog, or taken in another way
	// than it is written; may be nil.
	Report func(registry.Problem)
}

// tell reports what was taken in another way; there may be no bundle.
func (o Options) tell(p *Parsed) {
	if p == nil {
		return
	}
	for _, note := range p.Notes {
		o.Report(note)
	}
}

// Dir returns the catalog of all bundles at or below a directory.
func Dir(dir string, o Options) registry.Source { return FS(os.DirFS(dir), dir, o) }

// FS returns the catalog of all bundles of a file system; name is what messages
// call its root.
func FS(fsys fs.FS, name string, o Options) registry.Source {
	if o.Mode == "" {
		o.Mode = Replaces
	}
	if o.Report == nil {
		o.Report = func(registry.Problem) {}
	}
	return tree{fsys, name, o}
}

type tree struct {
	fsys    fs.FS
	name    string
	options Options
}

// Has reports whether there is a bundle at or below the root of fsys.
func Has(fsys fs.FS) bool {
	found := false
	for _, err := range Directories(fsys) {
		found = err == nil
		break
	}
	return found
}

// Read returns the bundles at or below a directory, with what each says of its
// place in a catalog.
func Read(ctx context.Context, dir string, o Options) ([]*Parsed, error) {
	t, _ := Dir(dir, o).(tree)
	var all []*Parsed
	var problems []registry.Problem
	for r, err := range pipeline.Ordered(ctx, t.read) {
		err = errors.Join(err, r.err)
		if problem, ok := isProblem(err); ok {
			problems = append(problems, problem)
		} else if err != nil {
			return nil, err
		}
		if r.parsed != nil {
			t.options.tell(r.parsed)
			all = append(all, r.parsed)
		}
	}
	return all, registry.InvalidCatalog(problems)
}

type result struct {
	parsed *Parsed
	err    error
}

// Items yields the bundles by path, then the packages that they make up. It
// goes on after a broken bundle; the failure at the end names all of them.
func (t tree) Items(ctx context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		c := collection{packages: map[string]*gathered{}, presentations: map[[sha256.Size]byte]*presentation{}}
		for r, err := range pipeline.Ordered(ctx, t.read) {
			item, err := c.take(r, err)
			if err != nil {
				yield(registry.Item{}, err)
				return
			}
			t.options.tell(r.parsed)
			if item.Bundle != nil && !yield(item, nil) {
				return
			}
		}
		t.finish(&c, yield)
	}
}

// finish yields the packages, and what was wrong.
func (t tree) finish(c *collection, yield func(registry.Item, error) bool) {
	for _, name := range slices.Sorted(maps.Keys(c.packages)) {
		item, left := c.packages[name].assemble(t.options.Mode)
		for _, problem := range left {
			t.options.Report(problem)
		}
		if !yield(item, nil) {
			return
		}
	}
	err := registry.InvalidCatalog(c.problems)
	if len(c.packages) == 0 && err == nil {
		err = failure.New(failure.Invalid, "%q holds no bundle", t.name).
			WithHint("a bundle is a directory with the directories manifests and metadata")
	}
	if err != nil {
		yield(registry.Item{}, err)
	}
}

// collection is what is remembered of the bundles that were read.
type collection struct {
	packages      map[string]*gathered
	presentations map[[sha256.Size]byte]*presentation
	problems      []registry.Problem
}

// take returns the item of a bundle; no item if something is wrong with it.
func (c *collection) take(r result, err error) (registry.Item, error) {
	err = errors.Join(err, r.err)
	if problem, ok := isProblem(err); ok {
		c.problems = append(c.problems, problem)
		r.parsed, err = nil, nil // it is told at the end
	}
	if err != nil || r.parsed == nil {
		return registry.Item{}, err
	}
	if !c.gather(r.parsed) {
		return registry.Item{}, nil
	}
	return registry.Item{Bundle: &r.parsed.Bundle, Where: r.parsed.Where}, nil
}

func (t tree) read(_ context.Context, start func(func() result) error) error {
	for dir, err := range Directories(t.fsys) {
		if err != nil {
			return fmt.Errorf("read %s: %w", t.name, err)
		}
		sub, err := fs.Sub(t.fsys, dir)
		if err != nil {
			return err
		}
		err = start(func() result {
			p, err := Parse(sub, path.Join(t.name, dir))
			if err == nil {
				err = t.options.publish(p)
			}
			return result{p, err}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// publish notes where a bundle was published.
func (o Options) publish(p *Parsed) error {
	image := o.Image
	if o.ImageOf != nil {
		var err error
		if image, err = o.ImageOf(p.Bundle); err != nil {
			return fmt.Errorf("image of bundle %q: %w", p.Name, err)
		}
	}
	if image != "" {
		p.publishedAt(image)
	}
	return nil
}

// publishedAt says where the bundle is.
func (p *Parsed) publishedAt(image string) {
	p.Image = image
	related := func(r registry.RelatedImage) bool { return r.Image == image }
	if !slices.ContainsFunc(p.RelatedImages, related) {
		p.RelatedImages = append(p.RelatedImages, registry.RelatedImage{Image: image})
		slices.SortStableFunc(p.RelatedImages, func(a, b registry.RelatedImage) int { return strings.Compare(a.Image, b.Image) })
	}
}

// Directories yields the bundles of a file system in lexical order.
func Directories(fsys fs.FS) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case !entry.IsDir():
				return nil
			case name != "." && strings.HasPrefix(entry.Name(), "."):
				return fs.SkipDir
			case !Is(fsys, name):
				return nil
			case !yield(name, nil):
				return fs.SkipAll
			}
			return fs.SkipDir
		})
		if err != nil {
			yield("", err)
		}
	}
}

// gather notes what a bundle says of its place. Its content is not kept.
// It reports whether the bundle is the first of its name.
func (c *collection) gather(p *Parsed) bool {
	g, ok := c.packages[p.Package]
	if !ok {
		g = &gathered{name: p.Package, members: map[string]*member{}}
		c.packages[p.Package] = g
	}
	if other, ok := g.members[p.Name]; ok {
		c.problems = append(c.problems, registry.Problem{
			Message: fmt.Sprintf("package %q has duplicate bundle %q", p.Package, p.Name), Where: p.Where,
			Hint: "the other one is in " + other.where,
		})
		return false
	}
	show := presentation{description: p.Description, icon: p.Icon}
	key := sha256.Sum256(fmt.Appendf(nil, "%q %v", show.description, show.icon))
	if c.presentations[key] == nil {
		c.presentations[key] = &show // bundles of a package mostly look the same
	}
	g.members[p.Name] = &member{
		Entry: p.Edges, version: versionOf(p.Bundle), channels: p.Channels, defaultChannel: p.DefaultChannel,
		where: p.Where, presentation: c.presentations[key],
	}
	return true
}
