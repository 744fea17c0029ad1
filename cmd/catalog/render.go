package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
)

type renderOptions struct {
	sourceOptions

	format  string
	migrate bool
}

func newRenderCommand() *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use:   "render FILE_OR_SOURCE_OR_ADDRESS",
		Short: "Write a catalog as a file-based catalog to stdout",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, args[0], o.sourceOptions, func(ctx context.Context, store registry.Store, out io.Writer) error {
				return fbc.Write(ctx, out, o.store(store), fbc.Format(o.format))
			})
		},
	}
	addRenderFlags(cmd, &o)
	return cmd
}

func addRenderFlags(cmd *cobra.Command, o *renderOptions) {
	addSourceFlags(cmd, &o.sourceOptions)
	cmd.Flags().StringVarP(&o.format, "output", "o", string(fbc.YAML), "`format`: yaml or json")
	cmd.Flags().BoolVar(&o.migrate, "migrate", false, "keep only the metadata of bundles that have an image")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{string(fbc.YAML), string(fbc.JSON)}, cobra.ShellCompDirectiveNoFileComp))
}

func (o renderOptions) store(store registry.Store) registry.Store {
	if o.migrate {
		return fbc.Migrated(store)
	}
	return store
}

func newConvertCommand() *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use:   "convert FILE_OR_SOURCE_OR_ADDRESS DIRECTORY",
		Short: "Write a catalog as a file-based catalog into a new directory, one directory per package",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, args[0], o.sourceOptions, func(ctx context.Context, store registry.Store, _ io.Writer) error {
				return fbc.WriteDir(ctx, args[1], o.store(store), fbc.Format(o.format))
			})
		},
	}
	addRenderFlags(cmd, &o)
	return cmd
}
