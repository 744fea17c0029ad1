package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/changes"
)

type diffOptions struct {
	sourceOptions

	format string
}

func newDiffCommand() *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what changed between two catalogs, and which installed versions lose their way",
		Long: `Say what changed between two catalogs. "path lost" names the bundles from which an
upgrade led to the head of the channel, and no longer does: who has one of them
installed stays behind.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, args[0], o.sourceOptions, func(_ context.Context, old registry.Store, out io.Writer) error {
				return ask(cmd, args[1], o.sourceOptions, func(ctx context.Context, next registry.Store, _ io.Writer) error {
					return runDiff(ctx, old, next, out, o)
				})
			})
		},
	}
	addSourceFlags(cmd, &o.sourceOptions)
	addFormatFlag(cmd, &o.format)
	return cmd
}

func runDiff(ctx context.Context, old, next registry.Store, out io.Writer, o diffOptions) error {
	found, err := changes.Between(ctx, old, next)
	if err != nil {
		return err
	}
	if len(found) == 0 && o.format == formatTable {
		_, err := io.WriteString(out, "the catalogs say the same\n")
		return err
	}
	t := table{header: []string{"CHANGE", "PACKAGE", "CHANNEL", "BUNDLE", "OLD", "NEW"}}
	for _, c := range found {
		t.add(string(c.Kind), c.Package, c.Channel, c.Bundle, c.Old, c.New)
	}
	return writeResult(out, o.format, append([]changes.Change{}, found...), t)
}
