package main

import (
	"slices"

	"github.com/spf13/cobra"

	"chandler.dev/olm/devcluster/internal/binaries"
)

func newBuildCommand() *cobra.Command {
	var real bool
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the programs of a cluster unless they are in the cache",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			programs := binaries.ControlPlane
			if real {
				programs = slices.Concat(programs, binaries.RealNode)
			}
			cache, err := binaries.NewCache(goMod, goSum, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return cache.Ensure(cmd.Context(), programs...)
		},
	}
	cmd.Flags().BoolVar(&real, "real", false, "build those of real nodes too")
	return cmd
}
