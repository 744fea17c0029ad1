package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/oci"
)

func newAddCommand() *cobra.Command {
	var o sourceOptions
	cmd := &cobra.Command{
		Use:   "add DIRECTORY BUNDLE...",
		Short: "Take bundles (directories or images) into a file-based catalog",
		Long: `Take bundles (directories or images) into the file-based catalog of a directory. Only
documents that have to are changed. What falls out of a channel is reported, and
nothing is written unless the result is valid.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAdd(cmd.Context(), cmd.ErrOrStderr(), o, args[0], args[1:])
		},
	}
	cmd.Flags().StringVar(&o.graph, "graph", "replaces", "where the edges of new bundles come from: replaces or semver")
	addImageFlags(cmd, &o.images)
	return cmd
}

func runAdd(ctx context.Context, stderr io.Writer, o sourceOptions, dir string, refs []string) error {
	store, err := editable(ctx, dir)
	if err != nil {
		return err
	}
	added, err := o.parsed(ctx, refs)
	if err != nil {
		return err
	}
	var edits []fbc.Edit
	packages := map[string]registry.Package{}
	known := map[string][]registry.Bundle{}
	for _, b := range added {
		p, ok := packages[b.Package]
		if !ok {
			if p, known[b.Package], err = packageOf(ctx, store, b.Package); err != nil {
				return err
			}
		}
		next, left, err := bundle.Add(p, known[b.Package], b, bundle.Mode(o.graph))
		if err != nil {
			return err
		}
		for _, problem := range left {
			warnings(stderr)(problem)
		}
		edits = append(edits, changedBlobs(p, next)...)
		edits = append(edits, fbc.EditBundle(b.Bundle))
		packages[b.Package] = next
		known[b.Package] = append(known[b.Package], b.Bundle)
	}
	return rewrite(stderr, dir, edits)
}

// editable reads a file-based catalog into memory; a directory that does not
// exist is an empty one.
func editable(ctx context.Context, dir string) (*memory.Store, error) {
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return memory.New(ctx, registry.Catalog{})
	}
	at, err := placeOf(dir)
	if err != nil {
		return nil, err
	}
	if at != fbcDirectory {
		return nil, failure.New(failure.Invalid, "%q is no directory of a file-based catalog", dir).WithHint("make one with `catalog convert`")
	}
	return memory.New(ctx, registry.Validated(fbc.Dir(dir)))
}

func packageOf(ctx context.Context, store registry.Store, name string) (registry.Package, []registry.Bundle, error) {
	p, err := store.Package(ctx, name)
	if err != nil && failure.KindOf(err) != failure.NotFound {
		return p, nil, err
	}
	p.Name = name
	var bundles []registry.Bundle
	for b, err := range store.Bundles(ctx, name) {
		if err != nil {
			return p, nil, err
		}
		bundles = append(bundles, b)
	}
	return p, bundles, nil
}

// parsed returns the bundles that are named, by ascending version.
func (o sourceOptions) parsed(ctx context.Context, refs []string) ([]*bundle.Parsed, error) {
	var all []*bundle.Parsed
	for _, ref := range refs {
		found, err := o.read(ctx, ref)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, failure.New(failure.NotFound, "%q holds no bundle", ref)
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, bundle.CompareVersions)
	return all, nil
}

func (o sourceOptions) read(ctx context.Context, ref string) ([]*bundle.Parsed, error) {
	at, err := placeOf(ref)
	if err != nil {
		return nil, err
	}
	if at != imageReference {
		return bundle.Read(ctx, ref, bundle.Options{})
	}
	image, err := oci.Open(ctx, ref, o.images)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "catalog-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is temporary
	if err := image.Unpack(ctx, dir, "manifests", "metadata"); err != nil {
		return nil, err
	}
	return bundle.Read(ctx, dir, bundle.Options{Image: ref})
}

// changedBlobs returns the edits that make one package of another.
func changedBlobs(old, next registry.Package) []fbc.Edit {
	var edits []fbc.Edit
	if len(old.Channels) == 0 || old.DefaultChannel != next.DefaultChannel {
		edits = append(edits, fbc.EditPackage(next))
	}
	for _, ch := range next.Channels {
		before, _ := old.Channel(ch.Name)
		same := slices.EqualFunc(before.Entries, ch.Entries, func(a, b registry.Entry) bool {
			return a.Name == b.Name && a.Replaces == b.Replaces && a.SkipRange == b.SkipRange && slices.Equal(a.Skips, b.Skips)
		})
		if !same {
			edits = append(edits, fbc.EditChannel(next.Name, ch))
		}
	}
	return edits
}

// rewrite applies edits and says which files they have changed.
func rewrite(stderr io.Writer, dir string, edits []fbc.Edit) error {
	changed, err := fbc.Rewrite(dir, edits)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stderr, "changed %s\n", strings.Join(changed, ", "))
	return err
}
