package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"chandler.dev/olm/devcluster/internal/cluster"
)

func newListCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the clusters that run",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runList(cmd.OutOrStdout(), dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".cluster", "`folder` below which every cluster has one of its own")
	return cmd
}

func runList(out io.Writer, dir string) error {
	states, err := cluster.List(dir)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tPHASE\tNODES\tSERVER\tKUBECONFIG")
	for _, s := range states {
		f, err := cluster.NewFolder(dir, s.Name)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d %s\t%s\t%s\n", s.Name, s.Phase, s.NodeCount, s.Nodes, s.Server, f.Kubeconfig())
	}
	return w.Flush()
}
