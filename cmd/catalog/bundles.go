package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

type bundlesOptions struct {
	sourceOptions

	format       string
	pkg, channel string
}

func newBundlesCommand() *cobra.Command {
	var o bundlesOptions
	cmd := &cobra.Command{
		Use:   "bundles FILE_OR_SOURCE_OR_ADDRESS [PACKAGE]",
		Short: "List the bundles of a catalog or of a package, with their upgrade edges",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.pkg = optional(args, 1)
			return ask(cmd, args[0], o.sourceOptions, func(ctx context.Context, store registry.Store, out io.Writer) error {
				return runBundles(ctx, store, out, o)
			})
		},
	}
	addSourceFlags(cmd, &o.sourceOptions)
	addFormatFlag(cmd, &o.format)
	cmd.Flags().StringVar(&o.channel, "channel", "", "only bundles of the `channel`")
	return cmd
}

type bundleView struct {
	Package     string   `json:"package"`
	Channel     string   `json:"channel"`
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	Replaces    string   `json:"replaces,omitempty"`
	Skips       []string `json:"skips,omitempty"`
	SkipRange   string   `json:"skipRange,omitempty"`
	Image       string   `json:"image,omitempty"`
	Deprecation string   `json:"deprecation,omitempty"`
}

func runBundles(ctx context.Context, store registry.Store, out io.Writer, o bundlesOptions) error {
	packages, err := chosen(ctx, store, o.pkg)
	if err != nil {
		return err
	}
	t := table{header: []string{"PACKAGE", "CHANNEL", "BUNDLE", "REPLACES", "SKIPS", "SKIP RANGE", "IMAGE", "DEPRECATED"}, optional: 1}
	views := []bundleView{}
	for _, p := range packages {
		if _, ok := p.Channel(o.channel); o.pkg != "" && o.channel != "" && !ok {
			return failure.New(failure.NotFound, "package %q has no channel %q", p.Name, o.channel)
		}
		known, err := bundlesByName(ctx, store, p.Name)
		if err != nil {
			return err
		}
		for _, m := range registry.Members(p) {
			if o.channel != "" && m.Channel != o.channel {
				continue
			}
			b := known[m.Name]
			views = append(views, bundleView{
				Package: p.Name, Channel: m.Channel, Name: m.Name, Version: b.Version, Replaces: m.Replaces,
				Skips: m.Skips, SkipRange: m.SkipRange, Image: b.Image, Deprecation: b.Deprecation,
			})
			t.add(p.Name, m.Channel, m.Name, m.Replaces, strings.Join(m.Skips, ","), m.SkipRange, b.Image, b.Deprecation)
		}
	}
	return writeResult(out, o.format, views, t)
}

func bundlesByName(ctx context.Context, store registry.Store, pkg string) (map[string]registry.Bundle, error) {
	all := map[string]registry.Bundle{}
	for b, err := range store.Bundles(ctx, pkg) {
		if err != nil {
			return nil, err
		}
		all[b.Name] = b
	}
	return all, nil
}
