package main

import (
	"github.com/spf13/cobra"

	"chandler.dev/olm/devcluster/internal/node"
)

// newNodeCommand is what the supervisor starts as the first process of a real node.
func newNodeCommand() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:    "node",
		Short:  "Be the first process of a real node (started by up and run)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return node.Init(cmd.Context(), config, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "`file` to wait for")
	_ = cmd.MarkFlagRequired("config") // the flag exists
	return cmd
}
