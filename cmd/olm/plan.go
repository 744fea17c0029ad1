package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/resolver"
)

type planOptions struct {
	pkg     string
	channel string
	version string
	catalog string
	add     []string
	remove  []string
	output  string
}

// edits reports whether something about the package itself is to be different.
func (o planOptions) edits() bool { return o.channel != "" || o.version != "" || o.catalog != "" }

func newPlanCommand(c *connection) *cobra.Command {
	var (
		o planOptions
		q questioner
	)
	cmd := &cobra.Command{
		Use:   "plan [PACKAGE]",
		Short: "Show what would change, without changing it",
		Long: `Ask the resolver what would be different in a namespace if a subscription were
added, removed or changed. Nothing is written. Without a change it shows what is
about to be installed anyway, of PACKAGE or of everything in the namespace.

Lines begin with + for what comes, - for what goes, ~ for what gets another
version and ! for what has no solution.`,
		Example: `  olm plan -n shop
  olm plan database -n shop --channel fast --version '>=1.1.0 <2.0.0'
  olm plan database --add database -n shop --catalog olm/community
  olm plan --remove database -n shop -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.pkg = args[0]
			}
			if err := o.check(); err != nil {
				return err
			}
			if err := q.connect(c, cmd.ErrOrStderr()); err != nil {
				return err
			}
			return runPlan(cmd.Context(), &q, cmd.OutOrStdout(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.channel, "channel", "", "if PACKAGE followed this `channel`")
	flags.StringVar(&o.version, "version", "", "if PACKAGE stayed in this `range` of versions, such as '>=1.1.0 <2.0.0'")
	flags.StringVar(&o.catalog, "catalog", "", "if PACKAGE came from the catalog `NAMESPACE/NAME`")
	flags.StringSliceVar(&o.add, "add", nil, "if there were a subscription to these `packages`; the flags above apply to the one that is PACKAGE")
	flags.StringSliceVar(&o.remove, "remove", nil, "if these `packages` were uninstalled")
	q.addFlags(cmd)
	addOutputFlag(cmd, &o.output)
	return cmd
}

func (o planOptions) check() error {
	if o.edits() && o.pkg == "" {
		return failure.New(failure.Invalid, "no package is named that --channel, --version or --catalog applies to").
			WithHint("write `olm plan PACKAGE --channel …`")
	}
	return checkRange(o.version)
}

func runPlan(ctx context.Context, q *questioner, out io.Writer, o planOptions) error {
	now, err := q.read(ctx)
	if err != nil {
		return err
	}
	w := wish{question: now}
	if err := w.apply(q, o); err != nil {
		return err
	}
	sources, done, err := q.sources(ctx, now)
	defer done()
	if err != nil {
		return err
	}
	problem, changes, err := now.Compare(ctx, w.question, sources)
	if err != nil {
		return friendly(err)
	}
	preview, err := resolver.PreviewChanges(ctx, problem, changes...)
	if err != nil {
		return err
	}
	if text := w.question.Refusal(); text != "" {
		if _, err := fmt.Fprintln(q.talk, text); err != nil {
			return err
		}
	}
	d := difference{Namespace: q.namespace, Changes: w.changes, Unreachable: q.unreached, Outcomes: []outcome{}}
	if len(w.changes) > 0 {
		d.compare(preview, resolver.Apply(problem, changes...))
	} else {
		d.pending(now, preview.Now, problem, o.pkg)
	}
	return printAs(out, o.output, d, func() error { return d.print(out) })
}
