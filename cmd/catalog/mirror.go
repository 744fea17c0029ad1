package main

import (
	"cmp"
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/oci"
)

const parallelCopies = 4

type mirrorOptions struct {
	sourceOptions

	format   string
	packages []string
	tag      string
	dryRun   bool
}

func newMirrorCommand() *cobra.Command {
	var o mirrorOptions
	cmd := &cobra.Command{
		Use:   "mirror FILE_OR_SOURCE_OR_ADDRESS DESTINATION",
		Short: "Copy packages with all their images to a registry (registry/path) or a directory (oci:DIR)",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, args[0], o.sourceOptions, func(ctx context.Context, store registry.Store, out io.Writer) error {
				return runMirror(ctx, store, out, args[1], o)
			})
		},
	}
	addSourceFlags(cmd, &o.sourceOptions)
	addFormatFlag(cmd, &o.format)
	cmd.Flags().StringArrayVar(&o.packages, "package", nil, "`name` of a package; may be repeated; all if not given")
	cmd.Flags().StringVar(&o.tag, "tag", "latest", "`tag` of the catalog image in the destination")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only list what would be copied")
	return cmd
}

type copied struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// selection is a store of which only some packages can be seen.
type selection struct {
	registry.Store

	names []string
}

func (s selection) Packages(context.Context) ([]string, error) { return s.names, nil }

// AllBlobs returns the items of other schemas that belong to the packages or to
// the whole catalog.
func (s selection) AllBlobs(ctx context.Context) ([]registry.Blob, error) {
	lister, ok := s.Store.(interface {
		AllBlobs(ctx context.Context) ([]registry.Blob, error)
	})
	if !ok {
		return nil, nil
	}
	all, err := lister.AllBlobs(ctx)
	return slices.DeleteFunc(all, func(b registry.Blob) bool { return b.Package != "" && !slices.Contains(s.names, b.Package) }), err
}

func runMirror(ctx context.Context, store registry.Store, out io.Writer, dest string, o mirrorOptions) error {
	chosen, err := choose(ctx, store, o.packages)
	if err != nil {
		return err
	}
	images, err := imagesOf(ctx, chosen)
	if err != nil {
		return err
	}
	mirror := oci.NewMirror(dest, o.images)
	if err := checkPlaces(mirror, images); err != nil {
		return err
	}
	all := make([]copied, len(images))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelCopies)
	for i, image := range images {
		group.Go(func() (err error) {
			move := mirror.Copy
			if o.dryRun {
				move = func(_ context.Context, ref string) (string, error) { return mirror.Place(ref) }
			}
			all[i].From = image
			all[i].To, err = move(groupCtx, image)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	place, err := mirror.Catalog(o.tag)
	if err != nil {
		return err
	}
	if !o.dryRun {
		if err := runPush(ctx, chosen, io.Discard, place, o.sourceOptions); err != nil {
			return err
		}
	}
	all = append(all, copied{From: "(the catalog)", To: place})
	t := table{header: []string{"FROM", "TO"}}
	for _, c := range all {
		t.add(c.From, c.To)
	}
	return writeResult(out, o.format, all, t)
}

// checkPlaces fails if two images would get the same name: the registries that
// they are in are no part of it.
func checkPlaces(mirror *oci.Mirror, images []string) error {
	from := map[string]string{}
	for _, image := range images {
		place, err := mirror.Place(image)
		if err != nil {
			return err
		}
		if other, taken := from[place]; taken {
			return failure.New(failure.Conflict, "both %q and %q would become %q", other, image, place).
				WithHint("mirror their packages to different places, with --package")
		}
		from[place] = image
	}
	return nil
}

func choose(ctx context.Context, store registry.Store, names []string) (selection, error) {
	known, err := store.Packages(ctx)
	if err != nil {
		return selection{}, err
	}
	if len(names) == 0 {
		return selection{store, known}, nil
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return selection{}, failure.New(failure.NotFound, "package %q not found", name)
		}
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return selection{store, slices.Compact(names)}, nil
}

// imagesOf returns the images of all bundles, and those that they run.
func imagesOf(ctx context.Context, s selection) ([]string, error) {
	var all []string
	for _, name := range s.names {
		for b, err := range s.Bundles(ctx, name) {
			if err != nil {
				return nil, err
			}
			all = append(all, b.Image)
			for _, image := range b.RelatedImages {
				all = append(all, image.Image)
			}
		}
	}
	slices.SortFunc(all, cmp.Compare[string])
	return slices.DeleteFunc(slices.Compact(all), func(image string) bool { return image == "" }), nil
}
