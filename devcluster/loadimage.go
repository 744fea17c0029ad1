package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"chandler.dev/olm/devcluster/internal/cluster"
)

func newLoadImageCommand() *cobra.Command {
	var o target
	cmd := &cobra.Command{
		Use:   "load-image FILE…",
		Short: "Import the images of OCI or Docker archives into the real node of a cluster",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := o.folder()
			if err != nil {
				return err
			}
			for _, path := range args {
				if err := loadImage(cmd.Context(), f, path, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.addFlags(cmd)
	return cmd
}

func loadImage(ctx context.Context, f cluster.Folder, path string, out io.Writer) error {
	archive, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("load image: %w", err)
	}
	defer func() { _ = archive.Close() }()
	return cluster.LoadImage(ctx, f, archive, out)
}
