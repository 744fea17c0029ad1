package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/registry"
)

type channelsOptions struct {
	sourceOptions

	format string
	pkg    string
}

func newChannelsCommand() *cobra.Command {
	var o channelsOptions
	cmd := &cobra.Command{
		Use:   "channels FILE_OR_SOURCE_OR_ADDRESS [PACKAGE]",
		Short: "List the channels of a catalog or of a package",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.pkg = optional(args, 1)
			return ask(cmd, args[0], o.sourceOptions, func(ctx context.Context, store registry.Store, out io.Writer) error {
				return runChannels(ctx, store, out, o)
			})
		},
	}
	addSourceFlags(cmd, &o.sourceOptions)
	addFormatFlag(cmd, &o.format)
	return cmd
}

func optional(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

// chosen returns one package, or all of them if name is empty.
func chosen(ctx context.Context, store registry.Store, name string) ([]registry.Package, error) {
	names := []string{name}
	if name == "" {
		var err error
		if names, err = store.Packages(ctx); err != nil {
			return nil, err
		}
	}
	var all []registry.Package
	for _, name := range names {
		p, err := store.Package(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

type channelView struct {
	Package     string `json:"package"`
	Name        string `json:"name"`
	Head        string `json:"head"`
	Default     bool   `json:"default"`
	Entries     int    `json:"entries"`
	Deprecation string `json:"deprecation,omitempty"`
}

func runChannels(ctx context.Context, store registry.Store, out io.Writer, o channelsOptions) error {
	packages, err := chosen(ctx, store, o.pkg)
	if err != nil {
		return err
	}
	t := table{header: []string{"PACKAGE", "CHANNEL", "HEAD", "DEPRECATED"}, optional: 1}
	views := []channelView{}
	for _, p := range packages {
		for _, ch := range p.Channels {
			views = append(views, channelView{
				Package: p.Name, Name: ch.Name, Head: ch.Head, Default: ch.Name == p.DefaultChannel,
				Entries: len(ch.Entries), Deprecation: ch.Deprecation,
			})
			t.add(p.Name, ch.Name, ch.Head, ch.Deprecation)
		}
	}
	return writeResult(out, o.format, views, t)
}
