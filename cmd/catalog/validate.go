package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/registry"
)

type validateOptions struct {
	sourceOptions

	format string
}

func newValidateCommand() *cobra.Command {
	var o validateOptions
	cmd := &cobra.Command{
		Use:   "validate SOURCE...",
		Short: "Say everything that is wrong with a catalog, at once",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runValidate(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o, args)
		},
	}
	cmd.Flags().StringVar(&o.graph, "graph", "replaces", "where the edges between bundles come from: replaces or semver")
	addImageFlags(cmd, &o.images)
	addFormatFlag(cmd, &o.format)
	return cmd
}

// verdict is the result for programs.
type verdict struct {
	Passed   bool               `json:"passed"`
	Packages int                `json:"packages"`
	Bundles  int                `json:"bundles"`
	Problems []registry.Problem `json:"problems"`
	Warnings []registry.Problem `json:"warnings"`
}

func runValidate(ctx context.Context, stdout, stderr io.Writer, o validateOptions, args []string) error {
	v := verdict{Problems: []registry.Problem{}, Warnings: []registry.Problem{}}
	src, err := joinedSource(ctx, args, o.sourceOptions, func(p registry.Problem) { v.Warnings = append(v.Warnings, p) })
	if err != nil {
		return err
	}
	count := &counter{src: registry.Validated(src)}
	for _, err = range count.Items(ctx) {
		if err != nil {
			break
		}
	}
	problem, invalid := errors.AsType[registry.Problem](err)
	if err != nil && !invalid {
		return err
	}
	v.Passed, v.Packages, v.Bundles = !invalid, count.packages, count.bundles
	v.Problems = append(v.Problems, problem.Problems...)
	if o.format != formatTable {
		return errors.Join(write(stdout, o.format, v), err)
	}
	for _, w := range v.Warnings {
		warnings(stderr)(w)
	}
	if invalid {
		return err
	}
	_, printErr := fmt.Fprintf(stdout, "valid: %s, %s\n", plural(v.Packages, "package"), plural(v.Bundles, "bundle"))
	return printErr
}
