package main

import (
	"context"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"chandler.dev/olm/devcluster/internal/cluster"
)

// faultOptions name a component of a cluster.
type faultOptions struct {
	target
	component string
}

func (o *faultOptions) addFlags(cmd *cobra.Command) {
	o.target.addFlags(cmd)
	cmd.Flags().StringVar(&o.component, "component", "", "`name` of the component, such as etcd or kube-apiserver")
	_ = cmd.MarkFlagRequired("component") // the flag exists
}

func newPauseCommand() *cobra.Command {
	return newSignalCommand("pause", "Freeze a component of a cluster", syscall.SIGSTOP)
}

func newResumeCommand() *cobra.Command {
	return newSignalCommand("resume", "Let a frozen component go on", syscall.SIGCONT)
}

func newSignalCommand(use, short string, sig syscall.Signal) *cobra.Command {
	var o faultOptions
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := o.folder()
			if err != nil {
				return err
			}
			return cluster.Signal(f, o.component, sig)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func newRestartCommand() *cobra.Command {
	var o faultOptions
	cmd := &cobra.Command{
		Use:   "restart",
		Short: "Kill a component of a cluster and wait until it is back",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := o.folder()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
			defer cancel()
			return cluster.Restart(ctx, f, o.component)
		},
	}
	o.addFlags(cmd)
	return cmd
}
