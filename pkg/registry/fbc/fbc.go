// Package fbc reads and writes file-based catalogs: directories of YAML and
// JSON blobs. Reading streams: documents are parsed on all cores and forgotten
// when they were yielded; what is remembered is names, channels and edges.
package fbc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"

	"golang.org/x/sync/semaphore"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/pipeline"
)

// Dir returns the catalog in a directory as a source.
func Dir(dir string) registry.Source { return FS(os.DirFS(dir), dir) }

// FS returns the catalog in a file system; name is what messages call its root.
func FS(fsys fs.FS, name string) registry.Source { return source{fsys, name} }

type source struct {
	fsys fs.FS
	name string
}

// parsed is a blob in the form that its schema asks for: one of its fields.
type parsed struct {
	bundle       *registry.Bundle
	pkg          *packageBlob
	channel      *channelBlob
	deprecations *deprecationsBlob
	blob         *registry.Blob
	where        string
	size         int // of the blob in JSON
	weight       int // of what is under way until it is taken
	err          error
}

// Items yields bundles and other items in the order of files, then the
// packages. It goes on after blobs that it cannot read; the failure at the end
// names all of them.
func (s source) Items(ctx context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		a := newAssembler()
		r := reader{source: s, underWay: semaphore.NewWeighted(maxUnderWay)}
		for p, err := range pipeline.Ordered(ctx, r.read) {
			if err == nil {
				err = s.located(a.used.add(p))
			}
			if err != nil {
				yield(registry.Item{}, err)
				return
			}
			if item, ok := a.take(p); ok && !yield(item, nil) {
				return
			}
			r.underWay.Release(int64(p.weight))
		}
		a.yieldPackages(yield)
	}
}

// yieldPackages yields the packages, and what was wrong.
func (a *assembler) yieldPackages(yield func(registry.Item, error) bool) {
	for _, p := range a.finish() {
		item := registry.Item{Package: &p.Package, Deprecations: p.deprecations, Where: p.where}
		if !yield(item, nil) {
			return
		}
	}
	if err := registry.InvalidCatalog(a.problems); err != nil {
		yield(registry.Item{}, err)
	}
}

// take keeps what is needed at the end and returns what is complete.
func (a *assembler) take(p parsed) (registry.Item, bool) {
	switch {
	case p.err != nil:
		f, _ := errors.AsType[*flaw](p.err)
		if f == nil {
			f = &flaw{message: p.err.Error()}
		}
		a.problem(p.where, f.hint, "%s", f.message)
	case p.pkg != nil:
		a.addPackage(*p.pkg, p.where)
	case p.channel != nil:
		a.channels = append(a.channels, placed[channelBlob]{*p.channel, p.where})
	case p.deprecations != nil:
		a.deprecations = append(a.deprecations, placed[deprecationsBlob]{*p.deprecations, p.where})
	case p.bundle != nil:
		key := [2]string{p.bundle.Package, p.bundle.Name}
		if a.bundles[key] {
			a.problem(p.where, "", "package %q has duplicate bundle %q", p.bundle.Package, p.bundle.Name)
			return registry.Item{}, false
		}
		a.bundles[key] = true
		return registry.Item{Bundle: p.bundle, Where: p.where}, true
	case p.blob != nil:
		return registry.Item{Blob: p.blob, Where: p.where}, true
	}
	return registry.Item{}, false
}

// reader reads the files of a source.
type reader struct {
	source

	underWay *semaphore.Weighted // bytes
}

// read starts the parsing of every document, in the order of files and lines.
func (r reader) read(ctx context.Context, start func(func() parsed) error) error {
	names, err := files(r.fsys)
	if err != nil {
		return r.located(err)
	}
	for _, name := range names {
		f, err := r.fsys.Open(name)
		if err != nil {
			return r.located(err)
		}
		err = r.readFile(ctx, f, name, start)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (r reader) readFile(ctx context.Context, f fs.File, name string, start func(func() parsed) error) error {
	file := path.Join(r.name, name)
	for doc, err := range documents(f) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errTooLarge) {
			return failure.New(failure.Invalid, "%s: %v", where(file, doc.line), err).WithHint("split it")
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		weight := len(doc.text)
		if err := r.underWay.Acquire(ctx, int64(weight)); err != nil {
			return err
		}
		err := start(func() parsed {
			p := parse(doc, file)
			p.weight = weight
			return p
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// located says which catalog a failure is about.
func (s source) located(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*failure.Error](err); ok {
		return failure.New(e.Kind, "%q: %s", s.name, e.Message).WithHint("%s", e.Hint)
	}
	return fmt.Errorf("read catalog %s: %w", s.name, err)
}

// catalogFiles are the extensions of files that are meant to be read.
var catalogFiles = []string{".yaml", ".yml", ".json"}

// parse reads a document into the form of its schema.
func parse(doc document, file string) parsed {
	p := parsed{where: where(file, doc.line)}
	m, err := parseMeta(doc)
	if err == nil {
		p.size = len(m.json)
		err = p.decode(m)
	}
	if f, ok := errors.AsType[*flaw](err); ok {
		if f.line > 0 {
			p.where = where(file, f.line)
		}
		if !slices.Contains(catalogFiles, path.Ext(file)) {
			f.hint = "if the file is no part of the catalog, name it in .indexignore"
		}
	}
	p.err = err
	return p
}

func (p *parsed) decode(m meta) (err error) {
	switch m.schema {
	case schemaBundle:
		p.bundle, err = bundleOf(m)
	case schemaPackage:
		p.pkg, err = decodePointer[packageBlob](m, "package")
	case schemaChannel:
		p.channel, err = decodePointer[channelBlob](m, "channel")
	case schemaDeprecations:
		p.deprecations, err = decodePointer[deprecationsBlob](m, "deprecation")
	default:
		if !component.MatchString(m.schema) || m.pkg != "" && !component.MatchString(m.pkg) {
			return &flaw{message: fmt.Sprintf("invalid custom schema meta: invalid schema %q or package %q: must match %s", m.schema, m.pkg, component)}
		}
		p.blob = &registry.Blob{Schema: m.schema, Package: m.pkg, Name: m.name, JSON: m.json}
	}
	return err
}

func decodePointer[T any](m meta, what string) (*T, error) {
	v, err := decode[T](m, what)
	return &v, err
}
