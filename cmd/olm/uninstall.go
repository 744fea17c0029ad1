package main

import (
	"context"
	"fmt"
	"io"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func newUninstallCommand(c *connection) *cobra.Command {
	var ns string
	cmd := &cobra.Command{
		Use:   "uninstall PACKAGE",
		Short: "Remove an operator; its resource definitions and their objects stay",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			return runUninstall(cmd.Context(), cl, cmd.OutOrStdout(), c.namespace(ns), args[0])
		},
	}
	cmd.Flags().StringVarP(&ns, "namespace", "n", "", "`namespace` of the operator (default: of the kubeconfig context)")
	return cmd
}

// runUninstall deletes the Subscription first, so that nothing installs the
// operator again, and then every version of it that is there.
func runUninstall(ctx context.Context, cl client.Client, out io.Writer, ns, pkg string) error {
	sub, err := subscriptionOf(ctx, cl, ns, pkg)
	if err != nil {
		return err
	}
	if err := remove(ctx, cl, out, "subscription", sub); err != nil {
		return err
	}
	for _, name := range uniq(sub.Status.CurrentCSV, sub.Status.InstalledCSV) {
		if name == "" {
			continue
		}
		csv := &operatorsv1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}}
		if err := remove(ctx, cl, out, "operator", csv); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(out, "resource definitions and the objects of users stay; delete them yourself if you want them gone")
	return err
}

func remove(ctx context.Context, cl client.Client, out io.Writer, kind string, obj client.Object) error {
	err := cl.Delete(ctx, obj)
	if client.IgnoreNotFound(err) != nil {
		return friendly(err)
	}
	if err != nil {
		return nil //nolint:nilerr // somebody else removed it, which is what was asked for
	}
	_, err = fmt.Fprintf(out, "removed %s %s/%s\n", kind, obj.GetNamespace(), obj.GetName())
	return err
}
