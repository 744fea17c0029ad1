package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"chandler.dev/olm/devcluster/internal/cluster"
)

func newUpCommand() *cobra.Command {
	var o startOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster, unless it runs, and leave it running",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, options, err := o.resolve(cmd)
			if err != nil {
				return err
			}
			if _, err := cluster.Up(cmd.Context(), f, options); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "kubeconfig: %s\n", f.Kubeconfig())
			return err
		},
	}
	o.addFlags(cmd)
	return cmd
}

// newSuperviseCommand is what up starts to keep the cluster running.
func newSuperviseCommand() *cobra.Command {
	var o startOptions
	cmd := &cobra.Command{
		Use:    "supervise",
		Short:  "Keep a cluster running (started by up)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, options, err := o.resolve(cmd)
			if err != nil {
				return err
			}
			return cluster.SuperviseDetached(cmd.Context(), f, options, cmd.ErrOrStderr())
		},
	}
	o.addFlags(cmd)
	return cmd
}
