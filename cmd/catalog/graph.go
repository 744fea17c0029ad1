package main

import (
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/drawing"
)

type graphOptions struct {
	sourceOptions

	format             string
	pkg, channel, from string
	floor              string
}

var drawers = map[string]func([]drawing.Package) string{"mermaid": drawing.Mermaid, "dot": drawing.Dot, "svg": drawing.SVG}

func newGraphCommand() *cobra.Command {
	var o graphOptions
	cmd := &cobra.Command{
		Use:   "graph FILE_OR_SOURCE_OR_ADDRESS [PACKAGE]",
		Short: "Draw the upgrade graphs of channels",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.pkg = optional(args, 1)
			return ask(cmd, args[0], o.sourceOptions, func(ctx context.Context, store registry.Store, out io.Writer) error {
				return runGraph(ctx, store, out, o)
			})
		},
	}
	addSourceFlags(cmd, &o.sourceOptions)
	cmd.Flags().StringVarP(&o.format, "output", "o", "mermaid", "`format`: mermaid, dot or svg")
	cmd.Flags().StringVar(&o.channel, "channel", "", "only the `channel`")
	cmd.Flags().StringVar(&o.from, "from", "", "mark the way of an installed `bundle` (name or version) to the head")
	cmd.Flags().StringVar(&o.floor, "minimum-edge", "", "only the package of a `bundle`, and nothing below the version of the bundle")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"mermaid", "dot", "svg"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runGraph(ctx context.Context, store registry.Store, out io.Writer, o graphOptions) error {
	draw, ok := drawers[o.format]
	if !ok {
		return failure.New(failure.Invalid, "unknown output format %q", o.format).WithHint("use -o mermaid, dot or svg")
	}
	packages, err := chosen(ctx, store, o.pkg)
	if err != nil {
		return err
	}
	var drawn []drawing.Package
	for _, p := range packages {
		d := drawing.Package{Package: p, Installed: o.from, Floor: o.floor}
		if o.channel != "" {
			d.Channels = slices.DeleteFunc(slices.Clone(p.Channels), func(ch registry.Channel) bool { return ch.Name != o.channel })
		}
		for b, err := range store.Bundles(ctx, p.Name) {
			if err != nil {
				return err
			}
			if b.Version == o.from {
				d.Installed = b.Name
			}
			d.Bundles = append(d.Bundles, b)
		}
		if len(d.Channels) > 0 && hasBundle(d, o.floor) {
			drawn = append(drawn, d)
		}
	}
	if len(drawn) == 0 && o.floor != "" {
		return failure.New(failure.NotFound, "unknown minimum edge name: %q", o.floor).WithHint("name a bundle; `catalog bundles` lists them")
	}
	if len(drawn) == 0 && o.channel != "" {
		return failure.New(failure.NotFound, "no package has a channel %q", o.channel)
	}
	_, err = io.WriteString(out, draw(drawn))
	return err
}

// hasBundle reports whether a bundle belongs to a package; no name is any.
func hasBundle(d drawing.Package, name string) bool {
	return name == "" || slices.ContainsFunc(d.Bundles, func(b registry.Bundle) bool { return b.Name == name })
}
