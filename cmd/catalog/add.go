package main

import (
	"context"
	"fmt"
	"io"
	"maps"
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
nothing is written unless the result is valid.

With --graph replaces a bundle upgrades what it says itself (spec.replaces,
spec.skips, olm.skipRange); with --graph semver it goes between the next lower and
the next higher version of each of its channels.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAdd(cmd.Context(), cmd.ErrOrStderr(), o, args[0], args[1:])
		},
	}
	cmd.Flags().StringVar(&o.graph, "graph", "replaces", "where the edges of new bundles come from: replaces or semver")
	addTemplateFlag(cmd, &o)
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
	byPackage := map[string][]*bundle.Parsed{}
	for _, b := range added {
		byPackage[b.Package] = append(byPackage[b.Package], b)
	}
	var (
		edits     []fbc.Edit
		additions []bundle.Addition
	)
	for _, name := range slices.Sorted(maps.Keys(byPackage)) {
		p, known, err := packageOf(ctx, store, name)
		if err != nil {
			return err
		}
		a, err := bundle.Add(p, known, byPackage[name], bundle.Mode(o.graph))
		if err != nil {
			return err
		}
		if err := checkAddition(a, known, byPackage[name]); err != nil {
			return err
		}
		edits = append(edits, editsOf(p, a, known)...)
		for _, b := range byPackage[name] {
			edits = append(edits, fbc.EditBundle(b.Bundle))
		}
		additions = append(additions, a)
	}
	if err := rewrite(stderr, dir, edits); err != nil {
		return err
	}
	for _, a := range additions {
		tellAddition(stderr, a)
	}
	return nil
}

// checkAddition fails if the package is not valid with its new bundles.
func checkAddition(a bundle.Addition, known []registry.Bundle, added []*bundle.Parsed) error {
	check := registry.NewValidator()
	for _, b := range known {
		check.Add(registry.Item{Bundle: &b})
	}
	for _, b := range added {
		check.Add(registry.Item{Bundle: &b.Bundle, Where: b.Where})
	}
	check.Add(registry.Item{Package: &a.Package, Dropped: a.Dropped})
	return registry.InvalidCatalog(check.Problems())
}

// tellAddition says what came into which channel, and what fell out.
func tellAddition(stderr io.Writer, a bundle.Addition) {
	for _, m := range a.Placed {
		text := fmt.Sprintf("added %s to channel %s of package %s", m.Name, m.Channel, m.Package)
		if m.Replaces != "" {
			text += ", replacing " + m.Replaces
		}
		_, _ = fmt.Fprintln(stderr, text)
	}
	for _, ch := range a.Package.Channels {
		var names []string
		for _, m := range a.Fallen {
			if m.Channel == ch.Name {
				names = append(names, m.Name)
			}
		}
		if len(names) > 0 {
			warnings(stderr)(registry.Problem{
				Message: fmt.Sprintf("%s fell out of channel %s of package %s: the new head %s does not lead there", strings.Join(names, ", "), ch.Name, a.Package.Name, ch.Head),
				Hint:    "let spec.replaces or spec.skips of the new bundle name them, or use --graph semver",
			})
		}
	}
	if len(a.Dropped) > 0 {
		warnings(stderr)(registry.Problem{
			Message: fmt.Sprintf("%s: in no channel of package %s any more, and removed from the catalog", strings.Join(a.Dropped, ", "), a.Package.Name),
		})
	}
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

// packageOf returns a package, empty if it is new, with its bundles.
func packageOf(ctx context.Context, store registry.Store, name string) (registry.Package, []registry.Bundle, error) {
	p, err := store.Package(ctx, name)
	if err != nil && failure.KindOf(err) != failure.NotFound {
		return p, nil, err
	}
	p.Name = name
	var bundles []registry.Bundle
	for brief, err := range store.Bundles(ctx, name) {
		if err != nil {
			return p, nil, err
		}
		b, err := store.Bundle(ctx, name, brief.Name)
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
	if at != imageReference && at != bundleTree {
		return nil, failure.New(failure.Invalid, "%q is no bundle", ref).WithHint("name the image or the directory of a bundle")
	}
	if at == bundleTree {
		imageOf, err := o.imageOf()
		if err != nil {
			return nil, err
		}
		return bundle.Read(ctx, ref, bundle.Options{ImageOf: imageOf})
	}
	temporary, err := newScratch()
	if err != nil {
		return nil, err
	}
	defer temporary.remove()
	options, dir, err := temporary.unpacking(o.images)
	if err != nil {
		return nil, err
	}
	image, err := oci.Open(ctx, ref, options)
	if err != nil {
		return nil, err
	}
	if _, ok := image.Labels[oci.LabelPackage]; !ok {
		return nil, failure.New(failure.Invalid, "image %q is no bundle: it has no label %s", ref, oci.LabelPackage)
	}
	if err := image.Unpack(ctx, dir, "manifests", "metadata"); err != nil {
		return nil, err
	}
	return bundle.Read(ctx, dir, bundle.Options{Image: ref})
}

// editsOf returns the edits that make one package of another.
func editsOf(old registry.Package, a bundle.Addition, known []registry.Bundle) []fbc.Edit {
	next := a.Package
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
	kept, forgotten := map[string]string{}, false
	for _, b := range known {
		switch gone := slices.Contains(a.Dropped, b.Name); {
		case gone && b.Deprecation != "":
			forgotten = true
		case b.Deprecation != "":
			kept[b.Name] = b.Deprecation
		}
	}
	for _, name := range a.Dropped {
		edits = append(edits, fbc.RemoveBundle(next.Name, name))
	}
	if forgotten {
		edits = append(edits, fbc.EditDeprecations(next, kept))
	}
	return edits
}

// rewrite applies edits and says which files they have changed.
func rewrite(stderr io.Writer, dir string, edits []fbc.Edit) error {
	changed, err := fbc.Rewrite(dir, edits)
	if err != nil {
		return err
	}
	text := "nothing has to change"
	if len(changed) > 0 {
		text = "changed " + strings.Join(changed, ", ")
	}
	_, err = fmt.Fprintln(stderr, text)
	return err
}
