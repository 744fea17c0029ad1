package main

import (
	"context"
	"fmt"
	"io"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
)

func newApproveCommand(c *connection) *cobra.Command {
	var ns string
	cmd := &cobra.Command{
		Use:   "approve PACKAGE",
		Short: "Approve the pending install plan of a package",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			return runApprove(cmd.Context(), cl, cmd.OutOrStdout(), c.namespace(ns), args[0])
		},
	}
	cmd.Flags().StringVarP(&ns, "namespace", "n", "", "`namespace` of the operator (default: of the kubeconfig context)")
	return cmd
}

func runApprove(ctx context.Context, cl client.Client, out io.Writer, ns, pkg string) error {
	sub, err := subscriptionOf(ctx, cl, ns, pkg)
	if err != nil {
		return err
	}
	plan, err := planOf(ctx, cl, sub)
	if err != nil {
		return err
	}
	if plan == nil || plan.Status.Phase != operatorsv1alpha1.InstallPlanPhaseRequiresApproval {
		return failure.New(failure.NotFound, "package %q has no plan that waits for approval", pkg).WithHint("`olm status %s -n %s` shows where it stands", pkg, ns)
	}
	before := plan.DeepCopy()
	plan.Spec.Approved = true
	if err := cl.Patch(ctx, plan, client.MergeFrom(before)); err != nil {
		return friendly(err)
	}
	_, err = fmt.Fprintf(out, "approved install plan %s/%s: %s\n", ns, plan.Name, describeCSVs(plan))
	return err
}

func describeCSVs(plan *operatorsv1alpha1.InstallPlan) string {
	return fmt.Sprintf("%q", plan.Spec.ClusterServiceVersionNames)
}

// subscriptionOf finds the Subscription to a package in a namespace.
func subscriptionOf(ctx context.Context, cl client.Client, ns, pkg string) (*operatorsv1alpha1.Subscription, error) {
	var list operatorsv1alpha1.SubscriptionList
	if err := cl.List(ctx, &list, client.InNamespace(ns)); err != nil {
		return nil, friendly(err)
	}
	for i := range list.Items {
		if list.Items[i].Spec != nil && list.Items[i].Spec.Package == pkg {
			return &list.Items[i], nil
		}
	}
	return nil, failure.New(failure.NotFound, "namespace %q has no subscription to package %q", ns, pkg).WithHint("`olm status` lists them all")
}
