package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/explain"
)

type whyOptions struct {
	pkg    string
	output string
}

func newWhyCommand(c *connection) *cobra.Command {
	var (
		o whyOptions
		q questioner
	)
	cmd := &cobra.Command{
		Use:   "why PACKAGE",
		Short: "Explain why a package has this version, has none, or is here at all",
		Long: `Ask the resolver about a package in a namespace: why its subscription has no
solution, and what would cure that; why it has this version and not the newest;
who needs it, if nobody subscribed to it. The catalogs are read from where the
command runs; one that cannot be reached counts as unavailable.`,
		Example: `  olm why database -n shop
  olm why database -n shop -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.pkg = args[0]
			if err := q.connect(c, cmd.ErrOrStderr()); err != nil {
				return err
			}
			return runWhy(cmd.Context(), &q, cmd.OutOrStdout(), o)
		},
	}
	q.addFlags(cmd)
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runWhy(ctx context.Context, q *questioner, out io.Writer, o whyOptions) error {
	question, err := q.read(ctx)
	if err != nil {
		return err
	}
	sources, done, err := q.sources(ctx, question)
	defer done()
	if err != nil {
		return err
	}
	problem, err := question.Problem(ctx, sources)
	if err != nil {
		return friendly(err)
	}
	a := whyAnswer{Namespace: q.namespace, Package: o.pkg, Refusal: question.Refusal(), Unreachable: q.unreached, Subscriptions: []whySubscription{}, Bundles: []whyBundle{}}
	if err := a.resolve(ctx, problem); err != nil {
		return err
	}
	if len(a.Subscriptions)+len(a.Bundles) == 0 {
		return q.errNobody(o.pkg)
	}
	for i := range a.Subscriptions {
		s := &a.Subscriptions[i]
		at := slices.IndexFunc(question.Subscriptions(), func(x *operatorsv1alpha1.Subscription) bool { return x.Name == s.Name })
		r, err := rowOf(ctx, q.client, question.Subscriptions()[at])
		if err != nil {
			return err
		}
		s.Status, s.row = r.Status, r
	}
	return printAs(out, o.output, a, func() error { return a.print(out) })
}

func (a *whyAnswer) print(out io.Writer) error {
	var text strings.Builder
	if a.Refusal != "" {
		text.WriteString(a.Refusal + "\n")
	}
	for _, s := range a.Subscriptions {
		text.WriteString(s.text())
	}
	for _, b := range a.Bundles {
		text.WriteString(explain.Presence(resolver.Presence(b)))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// text explains the answer for a subscription, and what keeps it from being
// carried out.
func (s *whySubscription) text() string {
	if s.unsolvable != nil {
		return fmt.Sprintf("subscription %s (package %s) has no solution\n", s.Name, s.rationale.Package) + indent(explain.Text(*s.unsolvable))
	}
	text := explain.Version(s.rationale)
	if s.row.Status != "" && !s.row.Healthy {
		text += "  not there yet: " + s.row.progress() + "\n"
	}
	return text
}
