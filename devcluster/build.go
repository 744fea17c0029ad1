package main

import (
	"github.com/spf13/cobra"

	"chandler.dev/olm/devcluster/internal/binaries"
)

func newBuildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Build the programs of a cluster unless they are in the cache",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cache, err := binaries.NewCache(goMod, goSum, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return cache.Ensure(cmd.Context(), binaries.ControlPlane...)
		},
	}
}
