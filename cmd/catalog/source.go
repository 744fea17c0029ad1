package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/oci"
	"chandler.dev/olm/pkg/registry/rpc"
	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/registry/sqlite/legacy"
)

// The start of a SQLite file: its magic, and where it says whose file it is.
const (
	sqliteMagic   = "SQLite format 3\x00"
	sqliteHeader  = 100
	applicationAt = 68
)

// place is what an argument names.
type place int

const (
	nowhere        place = iota
	catalogFile          // of pkg/registry/sqlite
	legacyIndex          // SQLite of the tools before
	yamlFile             // a file-based catalog in one file
	fbcDirectory         // a file-based catalog
	bundleTree           // a bundle, or a directory of them
	legacyTree           // package manifests
	remoteAddress        // a server
	imageReference       // an image in a registry or in an OCI layout
)

// placeOf finds out what an argument names by looking at it.
func placeOf(arg string) (place, error) {
	info, err := os.Stat(arg)
	switch {
	case errors.Is(err, os.ErrNotExist) && isAddress(arg):
		return remoteAddress, nil
	case errors.Is(err, os.ErrNotExist) && oci.IsReference(arg):
		return imageReference, nil
	case errors.Is(err, os.ErrNotExist):
		return nowhere, failure.New(failure.NotFound, "there is no %q", arg).
			WithHint("name a catalog file, a directory of bundles or of a file-based catalog, or host:port of a server")
	case err != nil:
		return nowhere, err
	case info.IsDir() && bundle.Has(os.DirFS(arg)):
		return bundleTree, nil
	case info.IsDir() && bundle.IsPackageManifests(os.DirFS(arg)):
		return legacyTree, nil
	case info.IsDir():
		return fbcDirectory, nil
	}
	f, err := os.Open(arg)
	if err != nil {
		return nowhere, err
	}
	defer f.Close() //nolint:errcheck // only read
	head := make([]byte, sqliteHeader)
	if _, err := io.ReadFull(f, head); err == nil && bytes.HasPrefix(head, []byte(sqliteMagic)) {
		if binary.BigEndian.Uint32(head[applicationAt:]) == 0 {
			return legacyIndex, nil // it has no application
		}
		return catalogFile, nil
	}
	if ext := filepath.Ext(arg); ext == ".db" || ext == ".sqlite" {
		return catalogFile, nil // opening it says what is wrong with it
	}
	return yamlFile, nil
}

func isAddress(arg string) bool {
	_, port, err := net.SplitHostPort(arg)
	return err == nil && port != "" && !strings.ContainsAny(arg, "/\\")
}

// options of reading sources.
type sourceOptions struct {
	graph         string
	lenient       bool
	imageTemplate string // of bundles in directories
	images        oci.Options
	remote        remoteOptions
}

// imageOf returns where bundles of directories were published, nil if nobody
// says.
func (o sourceOptions) imageOf() (func(registry.Bundle) (string, error), error) {
	if o.imageTemplate == "" {
		return nil, nil //nolint:nilnil // nobody says
	}
	t, err := template.New("image").Option("missingkey=error").Parse(o.imageTemplate)
	if err != nil {
		return nil, failure.New(failure.Invalid, "the image template cannot be read: %v", err)
	}
	return func(b registry.Bundle) (string, error) {
		var image strings.Builder
		err := t.Execute(&image, struct{ Package, Name, Version string }{b.Package, b.Name, b.Version})
		if err != nil {
			return "", failure.New(failure.Invalid, "the image template fails: %v", err).WithHint("it knows .Package, .Name and .Version")
		}
		return image.String(), nil
	}, nil
}

// sourceOf returns the content of an argument that is no server and no catalog
// file, not yet validated.
func sourceOf(arg string, o sourceOptions, reported func(registry.Problem)) (registry.Source, error) {
	at, err := placeOf(arg)
	if err != nil {
		return nil, err
	}
	switch at {
	case fbcDirectory:
		return fbc.Dir(arg), nil
	case yamlFile:
		return fbc.File(arg), nil
	case bundleTree:
		mode := bundle.Mode(o.graph)
		if mode != bundle.Replaces && mode != bundle.SemVer {
			return nil, failure.New(failure.Invalid, "unknown graph mode %q", o.graph).WithHint("use --graph replaces or --graph semver")
		}
		imageOf, err := o.imageOf()
		return bundle.Dir(arg, bundle.Options{Mode: mode, Report: reported, ImageOf: imageOf}), err
	case legacyTree:
		return bundle.PackageManifests(arg, bundle.Options{Report: reported}), nil
	case legacyIndex:
		return legacy.File(arg), nil
	case imageReference:
		return imageSource{ref: arg, options: o, reported: reported}, nil
	case nowhere, catalogFile, remoteAddress:
	}
	return nil, nil //nolint:nilnil // those are stores
}

// stored is a catalog that can be asked, and how to let go of it.
type stored struct {
	registry.Store

	release func()
}

// openStore opens whatever an argument names for asking. A source is indexed
// into a temporary file.
func openStore(ctx context.Context, arg string, o sourceOptions, reported func(registry.Problem)) (stored, error) {
	at, err := placeOf(arg)
	if err != nil {
		return stored{}, err
	}
	switch at {
	case catalogFile:
		store, err := sqlite.Open(ctx, arg)
		if err != nil {
			return stored{}, err
		}
		return stored{store, func() { _ = store.Close() }}, nil
	case remoteAddress:
		conn, err := o.remote.dial(arg)
		if err != nil {
			return stored{}, err
		}
		return stored{rpc.NewClient(conn), func() { _ = conn.Close() }}, nil
	case nowhere, yamlFile, fbcDirectory, bundleTree, legacyTree, legacyIndex, imageReference:
	}
	src, err := sourceOf(arg, o, reported)
	if err != nil {
		return stored{}, err
	}
	return index(ctx, checked(src, o, reported))
}

// checked returns a source that fails if the catalog is invalid, or leaves out
// what is.
func checked(src registry.Source, o sourceOptions, reported func(registry.Problem)) registry.Source {
	if o.lenient {
		return registry.Lenient(src, reported)
	}
	return registry.Validated(src)
}

// index writes a source into a file of its own, which has no name any more
// when it can be asked: it is gone with the process.
func index(ctx context.Context, src registry.Source) (stored, error) {
	s, err := newScratch()
	if err != nil {
		return stored{}, err
	}
	defer s.remove()
	path := filepath.Join(s.dir, "catalog.db")
	if err := sqlite.Create(ctx, path, src); err != nil {
		return stored{}, err
	}
	store, err := sqlite.Open(ctx, path) // opens it as often as it ever will
	if err != nil {
		return stored{}, err
	}
	return stored{store, func() { _ = store.Close() }}, nil
}
