package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
)

type statusOptions struct {
	pkg       string
	namespace string
	output    string
}

func newStatusCommand(c *connection) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status [PACKAGE]",
		Short: "Show what runs, and what stands in its way",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.pkg = args[0]
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			return runStatus(cmd.Context(), cl, cmd.OutOrStdout(), o)
		},
	}
	cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "", "`namespace` to look at (default: all)")
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runStatus(ctx context.Context, cl client.Client, out io.Writer, o statusOptions) error {
	rows, err := readRows(ctx, cl, o)
	if err != nil {
		return err
	}
	if o.pkg != "" && len(rows) == 0 {
		return failure.New(failure.NotFound, "nobody subscribed to package %q", o.pkg).WithHint("install it with `olm install %s`", o.pkg)
	}
	return printAs(out, o.output, map[string]any{"operators": rows}, func() error { return printRows(out, rows) })
}

func readRows(ctx context.Context, cl client.Client, o statusOptions) ([]row, error) {
	var subs operatorsv1alpha1.SubscriptionList
	if err := cl.List(ctx, &subs, client.InNamespace(o.namespace)); err != nil {
		return nil, friendly(err)
	}
	rows := []row{}
	for i := range subs.Items {
		if sub := &subs.Items[i]; sub.Spec != nil && (o.pkg == "" || sub.Spec.Package == o.pkg) {
			r, err := rowOf(ctx, cl, sub)
			if err != nil {
				return nil, err
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func printRows(out io.Writer, rows []row) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(out, "no operators; install one with `olm install PACKAGE`")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAMESPACE\tPACKAGE\tCHANNEL\tVERSION\tSTATUS\tINSTALLED\tNEXT")
	for _, r := range rows {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Namespace, r.Package, orDash(r.Channel), orDash(r.Version), r.Status, orDash(r.Installed), orDash(r.next()))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		if r.Message == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "\n%s/%s: %s\n", r.Namespace, r.Package, r.Message); err != nil {
			return err
		}
	}
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
