package main

import (
	"github.com/spf13/cobra"

	"chandler.dev/olm/devcluster/internal/cluster"
)

func newDownCommand() *cobra.Command {
	var o target
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop a cluster, if it runs, and remove everything of it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := o.folder()
			if err != nil {
				return err
			}
			return cluster.Down(cmd.Context(), f)
		},
	}
	o.addFlags(cmd)
	return cmd
}
