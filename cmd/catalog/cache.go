package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fingerprint"
	"chandler.dev/olm/pkg/registry/oci"
	"chandler.dev/olm/pkg/registry/rpc"
	"chandler.dev/olm/pkg/registry/sqlite"
)

// cacheOptions say where the indexes of sources are kept.
type cacheOptions struct {
	dir     string
	only    bool // index and do not serve
	enforce bool // fail instead of making an index again
}

func addCacheFlags(cmd *cobra.Command, o *cacheOptions) {
	f := cmd.Flags()
	f.StringVar(&o.dir, "cache-dir", "", "`directory` that keeps the indexes of sources, so that the next start need not make them")
	f.BoolVar(&o.only, "cache-only", false, "only make the indexes in the cache directory")
	f.BoolVar(&o.enforce, "cache-enforce-integrity", false, "fail if an index in the cache directory is damaged or not of its source, instead of making it again")
}

func (o cacheOptions) check() error {
	for flag, set := range map[string]bool{"cache-only": o.only, "cache-enforce-integrity": o.enforce} {
		if set && o.dir == "" {
			return failure.New(failure.Invalid, "--cache-dir must be specified with --%s", flag)
		}
	}
	if o.only && o.enforce {
		return failure.New(failure.Invalid, "--cache-only makes indexes, --cache-enforce-integrity forbids it").WithHint("use one of them")
	}
	return nil
}

// kept opens the index of a source in the cache directory, and makes it again
// if it is damaged or of another content.
func (s *server) kept(ctx context.Context, one served) (stored, error) {
	o := s.options
	name := one.name
	if name == "" {
		name = "catalog" // not the path: the cache may be moved together with the source
	}
	source, err := o.fingerprint(ctx, one.arg)
	if err != nil && !isUnreachable(err) {
		return stored{}, err
	}
	kept := sqlite.Kept{Dir: o.cache.dir, Name: name, Source: source, From: one.arg}
	store, why := kept.Open(ctx)
	switch {
	case why == nil && err != nil:
		s.log.Warn("the source cannot be reached, the kept index is served", "catalog", one.arg, "error", err)
		return closing(store), nil
	case why == nil:
		return closing(store), nil
	case err != nil:
		return stored{}, errors.Join(err, why)
	case o.cache.enforce:
		return stored{}, failure.New(failure.Invalid, "integrity check failed: cache requires rebuild: %v", why).
			WithHint("run with --cache-only, or without --cache-enforce-integrity")
	case failure.KindOf(why) != failure.NotFound:
		s.log.Warn("the index is made again", "catalog", one.arg, "reason", why)
	}
	return s.keep(ctx, kept, one.arg)
}

// keep makes an index and keeps it. If the cache directory cannot be written,
// the index lasts as long as the program.
func (s *server) keep(ctx context.Context, kept sqlite.Kept, arg string) (stored, error) {
	src, release, err := s.options.source(ctx, arg, s.leftOut)
	if err != nil {
		return stored{}, err
	}
	defer release()
	if err := os.MkdirAll(kept.Dir, 0o755); err != nil && !isReadOnly(err) {
		return stored{}, err
	}
	store, err := kept.Create(ctx, src)
	if err == nil {
		return closing(store), nil
	}
	if !isReadOnly(err) || s.options.cache.only {
		return stored{}, err
	}
	s.log.Warn("the index cannot be kept", "directory", kept.Dir, "error", err)
	return index(ctx, src)
}

func isReadOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

func isUnreachable(err error) bool { return failure.KindOf(err) == failure.Waiting }

func closing(store *sqlite.Store) stored {
	return stored{store, func() { _ = store.Close() }}
}

// source returns the checked content of an argument, servers included.
func (o sourceOptions) source(ctx context.Context, arg string, reported func(registry.Problem)) (registry.Source, func(), error) {
	src, err := sourceOf(arg, o, reported)
	if err != nil {
		return nil, nil, err
	}
	if src != nil {
		return checked(src, o, reported), func() {}, nil
	}
	store, err := openStore(ctx, arg, o, reported)
	if err != nil {
		return nil, nil, err
	}
	return registry.FromStore(store.Store), store.release, nil
}

// fingerprint identifies the content of a source, without understanding it.
func (o sourceOptions) fingerprint(ctx context.Context, arg string) (string, error) {
	at, err := placeOf(arg)
	if err != nil {
		return "", err
	}
	words := fmt.Sprintf("place %d, graph %s, lenient %t", at, o.graph, o.lenient)
	switch at {
	case imageReference:
		image, err := oci.Open(ctx, arg, o.images)
		if err != nil {
			return "", err
		}
		return words + ", image " + image.Digest, nil
	case remoteAddress:
		conn, err := o.remote.dial(arg)
		if err != nil {
			return "", err
		}
		defer conn.Close() //nolint:errcheck // nothing can be done
		digest, err := rpc.NewClient(conn).Digest(ctx)
		return words + ", server " + digest, err
	case nowhere, catalogFile, legacyIndex, yamlFile, fbcDirectory, bundleTree, legacyTree:
	}
	return fingerprint.Of(ctx, arg, words)
}
