package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/oci"
)

func newPushCommand() *cobra.Command {
	var o sourceOptions
	cmd := &cobra.Command{
		Use:   "push FILE_OR_SOURCE_OR_ADDRESS IMAGE",
		Short: "Write a catalog as a catalog image to a registry or to an OCI layout (oci:DIR:TAG)",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, args[0], o, func(ctx context.Context, store registry.Store, out io.Writer) error {
				return runPush(ctx, store, out, args[1], o)
			})
		},
	}
	addSourceFlags(cmd, &o)
	return cmd
}

func runPush(ctx context.Context, store registry.Store, out io.Writer, ref string, o sourceOptions) error {
	temporary, err := newScratch()
	if err != nil {
		return err
	}
	defer temporary.remove()
	if err := fbc.WriteDir(ctx, temporary.dir, store, fbc.JSON); err != nil {
		return err
	}
	digest, err := oci.Push(ctx, ref, os.DirFS(temporary.dir), o.images)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, digest)
	return err
}

func newPullCommand() *cobra.Command {
	var o sourceOptions
	cmd := &cobra.Command{
		Use:   "pull IMAGE DIRECTORY",
		Short: "Write the file-based catalog of a catalog image into a new directory, as it is",
		Args:  cobra.ExactArgs(2),
		RunE:  func(cmd *cobra.Command, args []string) error { return runPull(cmd.Context(), args[0], args[1], o) },
	}
	addImageFlags(cmd, &o.images)
	return cmd
}

func runPull(ctx context.Context, ref, dir string, o sourceOptions) error {
	image, err := oci.Open(ctx, ref, o.images)
	if err != nil {
		return err
	}
	configs, ok := image.Labels[oci.LabelConfigs]
	if !ok {
		return failure.New(failure.Invalid, "image %q has no file-based catalog", ref).WithHint("`catalog convert` reads bundles and old indexes too")
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return failure.New(failure.Conflict, "output directory %q must be empty", dir).WithHint("choose another one")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return image.Unpack(ctx, dir, configs)
}
