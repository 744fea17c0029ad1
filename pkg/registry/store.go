package registry

import (
	"context"
	"iter"
)

// Store reads one catalog. Every implementation passes storetest.Run; every
// list is sorted, so that the same catalog gives the same answers everywhere.
// A Store is safe for concurrent use. Content never changes under a Store:
// another catalog is another Store with another digest.
type Store interface {
	// Digest identifies the content, as "sha256:<hex>".
	Digest(ctx context.Context) (string, error)
	// Packages returns the names of all packages, sorted.
	Packages(ctx context.Context) ([]string, error)
	// Package returns a package with its channels and their entries;
	// failure.NotFound if there is none of that name.
	Package(ctx context.Context, name string) (Package, error)
	// Bundles yields the bundles of a package without Content, sorted by name;
	// nothing if there is no such package.
	Bundles(ctx context.Context, pkg string) iter.Seq2[Bundle, error]
	// Bundle returns one bundle with its Content; failure.NotFound if the
	// package has no bundle of that name.
	Bundle(ctx context.Context, pkg, name string) (Bundle, error)
	// Providers returns every channel entry whose bundle provides an API,
	// sorted by package, channel and bundle name; none is no failure.
	Providers(ctx context.Context, api GVK) ([]Member, error)
	// Blobs returns the items of an extension schema for a package (empty: of
	// the whole catalog), sorted by name.
	Blobs(ctx context.Context, schema, pkg string) ([]Blob, error)
}
