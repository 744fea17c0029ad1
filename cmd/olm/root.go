package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
)

const long = `Install operators from catalogs, and keep them up to date.

Start with a cluster and a catalog:

  olm setup                      # the resource definitions, once per cluster
  olm controller                 # the controller, in or outside of the cluster
  olm install database           # an operator, from the catalogs of the cluster
  olm status                     # what runs, and what stands in its way
  olm why database               # why this version, why none, why at all
  olm plan database --channel fast   # what would change if

Every command takes --kubeconfig and --context; results go to stdout, talk to
stderr. Exit codes: 0 done, 2 invalid input, 3 not found, 4 conflict, 5 refused,
6 not yet (timed out waiting), 1 anything else.`

func newRootCommand() *cobra.Command {
	c := &connection{}
	root := &cobra.Command{
		Use:           "olm",
		Short:         "Install operators and keep them up to date",
		Long:          long,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig `file` (default $KUBECONFIG, then ~/.kube/config, then the cluster that the program runs in)")
	root.PersistentFlags().StringVar(&c.context, "context", "", "`name` of the kubeconfig context")
	root.AddCommand(
		newSetupCommand(c),
		newControllerCommand(c),
		newInstallCommand(c),
		newStatusCommand(c),
		newWhyCommand(c),
		newPlanCommand(c),
		newApproveCommand(c),
		newUninstallCommand(c),
	)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return failure.New(failure.Invalid, "%v", err).WithHint("see `%s --help`", cmd.CommandPath())
	})
	return root
}

// usage classifies the errors that the command library makes of bad arguments.
func usage(err error) error {
	if err == nil || failure.KindOf(err) != failure.Internal {
		return err
	}
	for _, prefix := range []string{"unknown command", "accepts ", "requires "} {
		if strings.HasPrefix(err.Error(), prefix) {
			return failure.New(failure.Invalid, "%v", err).WithHint("see `olm --help`")
		}
	}
	return friendly(err)
}

// asFailure returns the part of err that was written for users, if any.
func asFailure(err error) (*failure.Error, bool) {
	return errors.AsType[*failure.Error](err)
}
