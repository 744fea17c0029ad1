package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

type providersOptions struct {
	sourceOptions

	format string
	gvk    registry.GVK
	all    bool
}

func newProvidersCommand() *cobra.Command {
	var o providersOptions
	cmd := &cobra.Command{
		Use:   "providers FILE_OR_SOURCE_OR_ADDRESS GROUP/VERSION/KIND",
		Short: "List the channel heads that provide an API",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			parts := strings.Split(args[1], "/")
			if len(parts) != 3 {
				return failure.New(failure.Invalid, "%q is no API", args[1]).WithHint("write it as group/version/kind")
			}
			o.gvk = registry.GVK{Group: parts[0], Version: parts[1], Kind: parts[2]}
			return ask(cmd, args[0], o.sourceOptions, func(ctx context.Context, store registry.Store, out io.Writer) error {
				return runProviders(ctx, store, out, o)
			})
		},
	}
	addSourceFlags(cmd, &o.sourceOptions)
	addFormatFlag(cmd, &o.format)
	cmd.Flags().BoolVar(&o.all, "all", false, "every entry of every channel, not only heads")
	return cmd
}

type providerView struct {
	Package string `json:"package"`
	Channel string `json:"channel"`
	Name    string `json:"name"`
	Default bool   `json:"default"` // the channel is the default one of the package
	Head    bool   `json:"head"`
}

func runProviders(ctx context.Context, store registry.Store, out io.Writer, o providersOptions) error {
	members, err := store.Providers(ctx, o.gvk)
	if err != nil {
		return err
	}
	t := table{header: []string{"PACKAGE", "CHANNEL", "BUNDLE"}}
	views := []providerView{}
	var p registry.Package
	for _, m := range members {
		if p.Name != m.Package {
			if p, err = store.Package(ctx, m.Package); err != nil {
				return err
			}
		}
		ch, _ := p.Channel(m.Channel)
		v := providerView{Package: m.Package, Channel: m.Channel, Name: m.Name, Default: p.DefaultChannel == m.Channel, Head: ch.Head == m.Name}
		if v.Head || o.all {
			views = append(views, v)
			t.add(v.Package, v.Channel, v.Name)
		}
	}
	if len(views) == 0 {
		return failure.New(failure.NotFound, "nothing provides %s/%s/%s", o.gvk.Group, o.gvk.Version, o.gvk.Kind).WithHint("--all also looks at bundles that are no heads")
	}
	return writeResult(out, o.format, views, t)
}
