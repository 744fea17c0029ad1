package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/bundle"
	"chandler.dev/olm/pkg/registry/bundle/check"
)

type validateOptions struct {
	sourceOptions

	format  string
	bundles bool // check bundles as well
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
	cmd.Flags().BoolVar(&o.bundles, "bundles", false, "also check what a catalog would take but publishers are asked to get right, in bundle directories")
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
	v.Packages, v.Bundles = count.packages, count.bundles
	v.Problems = append(v.Problems, problem.Problems...)
	if o.bundles {
		if checkErr := v.checkBundles(args); checkErr != nil {
			return checkErr
		}
		err = registry.InvalidCatalog(v.Problems)
		invalid = err != nil
	}
	v.Passed = !invalid
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

// checkBundles checks the bundles of all arguments that are trees of them.
func (v *verdict) checkBundles(args []string) error {
	for _, arg := range args {
		at, err := placeOf(arg)
		if err != nil {
			return err
		}
		if at != bundleTree {
			continue
		}
		fsys := os.DirFS(arg)
		for dir, err := range bundle.Directories(fsys) {
			if err != nil {
				return err
			}
			sub, err := fs.Sub(fsys, dir)
			if err != nil {
				return err
			}
			name := filepath.Join(arg, dir)
			found := check.Bundle(sub, name)
			v.Problems = append(v.Problems, under("should not be published", name, found.Problems)...)
			v.Warnings = append(v.Warnings, under("could be better", name, found.Warnings)...)
		}
	}
	return nil
}

// under returns problems as one, nothing if there are none.
func under(verdict, name string, problems []registry.Problem) []registry.Problem {
	if len(problems) == 0 {
		return nil
	}
	return []registry.Problem{{Message: fmt.Sprintf("bundle %q %s", name, verdict), Problems: problems}}
}
