package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"chandler.dev/olm/devcluster/internal/cluster"
)

func newRunCommand() *cobra.Command {
	var o startOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a cluster until interrupted or until standard input ends",
		Long: "Run a cluster in the foreground. A line \"kubeconfig: PATH\" on standard output says that everything is ready.\n" +
			"SIGTERM, SIGINT and the end of standard input take the cluster down; when this process is killed, its children are too.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go func() {
				_, _ = io.Copy(io.Discard, cmd.InOrStdin()) // any end of the input is an end
				cancel()
			}()
			cmd.SetContext(ctx)
			f, options, err := o.resolve(cmd)
			if err != nil {
				return err
			}
			return cluster.Run(ctx, f, options, cmd.ErrOrStderr(), func() {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "kubeconfig: %s\n", f.Kubeconfig())
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}
