package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/controller/subscription"
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
	replace []string // catalogs, as [NAMESPACE/NAME=]SOURCE
	output  string
}

// edits reports whether something about the package itself is to be different.
func (o planOptions) edits() bool { return o.channel != "" || o.version != "" || o.catalog != "" }

func newPlanCommand(c *connection) *cobra.Command {
	var (
		o planOptions
		q questioner
		a everywhere
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
  olm plan --remove database -n shop -o json
  olm plan --all-namespaces --replace-catalog olm/community=next.db`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.pkg = args[0]
			}
			if err := errors.Join(o.check(), a.check(o, q.namespace)); err != nil {
				return err
			}
			if err := q.connect(c, cmd.ErrOrStderr()); err != nil {
				return err
			}
			if a.wanted {
				return a.run(cmd.Context(), &q, cmd.OutOrStdout(), o)
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
	flags.StringArrayVar(&o.replace, "replace-catalog", nil, "if a catalog had the content of a catalog file or of a file-based catalog, as `[NAMESPACE/NAME=]SOURCE`; without a name, the only one that subscriptions use")
	flags.BoolVarP(&a.wanted, "all-namespaces", "A", false, "every namespace with a subscription; for --replace-catalog, or what is about to happen anyway")
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
	replaced, done, err := q.replacements(ctx, o.replace, q.namespace)
	defer done()
	if err != nil {
		return err
	}
	d, err := q.difference(ctx, o, replaced)
	if err != nil {
		return err
	}
	if d.Refusal != "" {
		if _, err := fmt.Fprintln(q.talk, d.Refusal); err != nil {
			return err
		}
	}
	return printAs(out, o.output, d, func() error { return d.print(out) })
}

// difference asks what would be different in the namespace.
func (q *questioner) difference(ctx context.Context, o planOptions, replaced []replacement) (difference, error) {
	d := difference{Namespace: q.namespace, Outcomes: []outcome{}}
	now, err := q.read(ctx)
	if err != nil {
		return d, err
	}
	w := wish{question: now}
	if err := w.apply(q, o); err != nil {
		return d, err
	}
	for _, r := range replaced {
		w.note("catalog %s/%s has the content of %s", r.ref.Namespace, r.ref.Name, r.source)
	}
	sources, done, err := q.sources(ctx, now)
	defer done()
	if err != nil {
		return d, err
	}
	problem, changes, err := compareWith(ctx, now, w.question, sources, replaced)
	if err != nil {
		return d, friendly(err)
	}
	preview, err := resolver.PreviewChanges(ctx, problem, changes...)
	if err != nil {
		return d, err
	}
	d.Changes, d.Unreachable, d.Refusal = w.changes, q.unreached, w.question.Refusal()
	if len(w.changes) == 0 {
		d.pending(now, preview.Now, problem, o.pkg)
		return d, nil
	}
	then := resolver.Apply(problem, changes...)
	d.compare(preview, then)
	if len(replaced) > 0 {
		d.stay(preview.Then, then)
	}
	return d, nil
}

func compareWith(ctx context.Context, now, then *subscription.Question, sources []resolver.Source, replaced []replacement) (resolver.Problem, []resolver.Change, error) {
	if len(replaced) == 0 {
		return now.Compare(ctx, then, sources)
	}
	return now.CompareCatalogs(ctx, then, sources, replaceIn(sources, replaced))
}
