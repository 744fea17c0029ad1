package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

const long = `Build, check, ask and serve catalogs of operators.

  catalog build -o catalog.db bundles/      # one file of directories of bundles or file-based catalogs
  catalog serve catalog.db                  # answer gRPC clients on 127.0.0.1:50051
  catalog packages 127.0.0.1:50051          # ask a file, a directory or a server

Results go to stdout, talk to stderr. Exit codes: 0 done, 2 invalid input,
3 not found, 4 conflict, 5 refused, 6 not yet, 1 anything else.`

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return report(stderr, usage(root.ExecuteContext(ctx)))
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "catalog", Short: "Build, check, ask and serve catalogs of operators", Long: long,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(
		newBuildCommand(),
		newValidateCommand(),
		newServeCommand(),
		newPackagesCommand(),
		newChannelsCommand(),
		newBundlesCommand(),
		newShowCommand(),
		newGraphCommand(),
		newProvidersCommand(),
		newRenderCommand(),
		newConvertCommand(),
		newInitCommand(),
		newAddCommand(),
		newDeprecateCommand(),
		newTemplateCommand(),
		newDiffCommand(),
		newPushCommand(),
		newPullCommand(),
		newMirrorCommand(),
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
	for _, prefix := range []string{"unknown command", "accepts ", "requires ", "required flag"} {
		if strings.HasPrefix(err.Error(), prefix) {
			return failure.New(failure.Invalid, "%v", err).WithHint("see `catalog --help`")
		}
	}
	return err
}

// report writes err; what is wrong with a catalog as a tree below it.
func report(stderr io.Writer, err error) int {
	problem, ok := errors.AsType[registry.Problem](err)
	if !ok {
		return failure.Report(stderr, "catalog", err)
	}
	e, _ := errors.AsType[*failure.Error](err)
	if e == nil {
		e = failure.New(failure.Invalid, "the catalog is invalid")
	}
	code := failure.Report(stderr, "catalog", &failure.Error{Kind: e.Kind, Message: e.Message})
	_, _ = fmt.Fprintln(stderr, problem.Error())
	return code
}
