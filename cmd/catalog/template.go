package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/template"
)

func newTemplateCommand() *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use:   "template FILE",
		Short: "Write the file-based catalog of a template to stdout",
		Long: `Write the file-based catalog of a template to stdout: olm.template.basic (bundles are
only named), olm.semver (channels made of versions) or olm.template.substitutes
(rebuilt bundles in the place of others). Bundles are named by image, or by directory.
FILE may be - for stdin.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTemplate(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), args[0], o)
		},
	}
	addRenderFlags(cmd, &o)
	return cmd
}

func runTemplate(ctx context.Context, stdin io.Reader, out io.Writer, file string, o renderOptions) error {
	text, err := readFile(stdin, file)
	if err != nil {
		return err
	}
	src, err := template.Render(ctx, file, text, o.load)
	if err != nil {
		return err
	}
	store, err := memory.New(ctx, registry.Validated(src))
	if err != nil {
		return err
	}
	return fbc.Write(ctx, out, o.store(store), fbc.Format(o.format))
}

func readFile(stdin io.Reader, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, failure.New(failure.NotFound, "cannot read %q: %v", file, err)
	}
	return text, nil
}

// load returns the bundles of an image or a directory.
func (o sourceOptions) load(ctx context.Context, ref string) ([]registry.Bundle, error) {
	found, err := o.parsed(ctx, []string{ref})
	if err != nil {
		return nil, err
	}
	var all []registry.Bundle
	for _, b := range found {
		all = append(all, b.Bundle)
	}
	return all, nil
}
