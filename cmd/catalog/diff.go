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

	format  string
	against bool
	cluster clusterOptions
}

func newDiffCommand() *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what changed between two catalogs, and which installed versions lose their way",
		Long: `Say what changed between two catalogs. "path lost" names the bundles from which an
upgrade led to the head of the channel, and no longer does: who has one of them
installed stays behind.

With --against-cluster it also says what NEW would do to the subscriptions of a
cluster whose catalog it replaced: who upgrades, who stays, who loses the way and
who has no solution any more. Nothing is written. The program olm, beside this
one or in $PATH, asks the cluster.`,
		Example: `  catalog diff old.db new.db
  catalog diff old.db path/to/fbc --against-cluster --catalog olm/community`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !o.against {
				return diffBetween(cmd, args, o, runDiff)
			}
			path, release, err := indexFile(cmd.Context(), args[1], o.sourceOptions, warnings(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			defer release()
			o.cluster.next, o.cluster.stderr = path, cmd.ErrOrStderr()
			return diffBetween(cmd, []string{args[0], path}, o, runDiffAgainst)
		},
	}
	addSourceFlags(cmd, &o.sourceOptions)
	addFormatFlag(cmd, &o.format)
	flags := cmd.Flags()
	flags.BoolVar(&o.against, "against-cluster", false, "also say what NEW would do to the subscriptions of a cluster")
	flags.StringVar(&o.cluster.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster (default: as kubectl finds it)")
	flags.StringVar(&o.cluster.catalog, "catalog", "", "the CatalogSource `NAMESPACE/NAME` that NEW would replace (default: the only one that subscriptions use)")
	return cmd
}

// diffBetween opens both catalogs.
func diffBetween(cmd *cobra.Command, args []string, o diffOptions, run func(ctx context.Context, old, next registry.Store, out io.Writer, o diffOptions) error) error {
	return ask(cmd, args[0], o.sourceOptions, func(_ context.Context, old registry.Store, out io.Writer) error {
		return ask(cmd, args[1], o.sourceOptions, func(ctx context.Context, next registry.Store, _ io.Writer) error {
			return run(ctx, old, next, out, o)
		})
	})
}

func runDiff(ctx context.Context, old, next registry.Store, out io.Writer, o diffOptions) error {
	found, err := changes.Between(ctx, old, next)
	if err != nil {
		return err
	}
	return writeChanges(out, found, o)
}

func writeChanges(out io.Writer, found []changes.Change, o diffOptions) error {
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
