package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/sqlite"
)

type buildOptions struct {
	sourceOptions

	output string
}

func newBuildCommand() *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build -o FILE SOURCE...",
		Short: "Index sources into one catalog file",
		Long: `Index sources into one catalog file: directories of file-based catalogs, bundle
directories and trees of them. The file appears when it is complete and valid.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBuild(cmd.Context(), cmd.ErrOrStderr(), o, args)
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "catalog.db", "catalog `file` to write")
	addSourceFlags(cmd, &o.sourceOptions)
	return cmd
}

// addSourceFlags adds the flags of reading sources.
func addSourceFlags(cmd *cobra.Command, o *sourceOptions) {
	cmd.Flags().StringVar(&o.graph, "graph", "replaces", "where the edges between bundles come from: replaces or semver")
	cmd.Flags().BoolVar(&o.lenient, "lenient", false, "leave invalid packages out and report them")
	addTemplateFlag(cmd, o)
	addImageFlags(cmd, &o.images)
	addRemoteFlags(cmd, &o.remote)
	_ = cmd.RegisterFlagCompletionFunc("graph", cobra.FixedCompletions([]string{"replaces", "semver"}, cobra.ShellCompDirectiveNoFileComp))
}

func addTemplateFlag(cmd *cobra.Command, o *sourceOptions) {
	cmd.Flags().StringVar(&o.imageTemplate, "image-template", "", "where bundles of directories are published, as a `template` of .Package, .Name and .Version")
}

func runBuild(ctx context.Context, stderr io.Writer, o buildOptions, args []string) error {
	clk := clock.RealClock{}
	start := clk.Now()
	src, err := joinedSource(ctx, args, o.sourceOptions, warnings(stderr))
	if err != nil {
		return err
	}
	count := &counter{src: checked(src, o.sourceOptions, warnings(stderr))}
	if err := sqlite.Create(ctx, o.output, count); err != nil {
		return err
	}
	info, err := os.Stat(o.output)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stderr, "%s: %s, %s, %.1f MB, %.1f s\n", o.output, plural(count.packages, "package"), plural(count.bundles, "bundle"),
		float64(info.Size())/1e6, clk.Since(start).Seconds())
	return err
}

// joinedSource returns the content of all arguments.
func joinedSource(ctx context.Context, args []string, o sourceOptions, reported func(registry.Problem)) (registry.Source, error) {
	var sources []registry.Source
	for _, arg := range args {
		src, err := sourceOf(arg, o, reported)
		if err != nil {
			return nil, err
		}
		if src == nil {
			store, err := openStore(ctx, arg, o, reported)
			if err != nil {
				return nil, err
			}
			src = registry.FromStore(store.Store) // open as long as the program
		}
		sources = append(sources, src)
	}
	return registry.Join(sources...), nil
}

// warnings returns a function that writes what is left out.
func warnings(stderr io.Writer) func(registry.Problem) {
	return func(p registry.Problem) { _, _ = fmt.Fprintf(stderr, "warning: %s\n", p.Error()) }
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
