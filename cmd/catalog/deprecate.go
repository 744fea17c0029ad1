package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/fbc"
)

type deprecateOptions struct {
	channel, bundle, message string
	undo                     bool
}

func newDeprecateCommand() *cobra.Command {
	var o deprecateOptions
	cmd := &cobra.Command{
		Use:   "deprecate DIRECTORY PACKAGE --message TEXT [--channel C | --bundle B]",
		Short: "Say in a file-based catalog that a package, a channel or a bundle should not be used any more",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.message == "" && !o.undo {
				return failure.New(failure.Invalid, "the message is empty").WithHint("say why, and what to use instead; --undo takes a deprecation back")
			}
			return runDeprecate(cmd.Context(), cmd.ErrOrStderr(), o, args[0], args[1])
		},
	}
	cmd.Flags().StringVar(&o.channel, "channel", "", "deprecate only the `channel`")
	cmd.Flags().StringVar(&o.bundle, "bundle", "", "deprecate only the `bundle`")
	cmd.Flags().StringVar(&o.message, "message", "", "`text` that users see: why, and what to use instead")
	cmd.Flags().BoolVar(&o.undo, "undo", false, "take it back")
	cmd.MarkFlagsMutuallyExclusive("channel", "bundle")
	cmd.MarkFlagsOneRequired("message", "undo")
	cmd.MarkFlagsMutuallyExclusive("message", "undo")
	return cmd
}

func runDeprecate(ctx context.Context, stderr io.Writer, o deprecateOptions, dir, pkg string) error {
	store, err := editable(ctx, dir)
	if err != nil {
		return err
	}
	p, err := store.Package(ctx, pkg)
	if err != nil {
		return err
	}
	bundles := map[string]string{}
	names := map[string]bool{}
	for b, err := range store.Bundles(ctx, pkg) {
		if err != nil {
			return err
		}
		names[b.Name] = true
		if b.Deprecation != "" {
			bundles[b.Name] = b.Deprecation
		}
	}
	switch {
	case o.bundle != "" && !names[o.bundle]:
		return failure.New(failure.NotFound, "package %q has no bundle %q", pkg, o.bundle)
	case o.bundle != "":
		bundles[o.bundle] = o.message
	case o.channel != "":
		found := false
		for i := range p.Channels {
			if p.Channels[i].Name == o.channel {
				p.Channels[i].Deprecation, found = o.message, true
			}
		}
		if !found {
			return failure.New(failure.NotFound, "package %q has no channel %q", pkg, o.channel)
		}
	default:
		p.Deprecation = o.message
	}
	return rewrite(stderr, dir, []fbc.Edit{fbc.EditDeprecations(p, bundles)})
}
