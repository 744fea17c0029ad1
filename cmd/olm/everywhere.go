package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// everywhere is what `olm plan --all-namespaces` says.
type everywhere struct {
	Unreachable []string     `json:"unreachableCatalogs,omitempty"` // from where the command runs
	Namespaces  []difference `json:"namespaces"`                    // those with a subscription, by name

	wanted bool
}

func (a *everywhere) check(o planOptions, namespace string) error {
	if a.wanted && (o.pkg != "" || namespace != "" || len(o.add)+len(o.remove) > 0) {
		return failure.New(failure.Invalid, "--all-namespaces goes with --replace-catalog only").
			WithHint("leave --all-namespaces away to ask about one package or namespace")
	}
	return nil
}

func (a *everywhere) run(ctx context.Context, q *questioner, out io.Writer, o planOptions) error {
	replaced, done, err := q.replacements(ctx, o.replace, "")
	defer done()
	if err != nil {
		return err
	}
	var subs operatorsv1alpha1.SubscriptionList
	if err := q.client.List(ctx, &subs); err != nil {
		return friendly(err)
	}
	names := map[string]bool{}
	for i := range subs.Items {
		names[subs.Items[i].Namespace] = true
	}
	defer q.keepConnections()()
	a.Namespaces = []difference{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		q.namespace = name
		d, err := q.difference(ctx, o, replaced)
		if err != nil {
			return fmt.Errorf("namespace %s: %w", name, err)
		}
		d.Unreachable = nil
		a.Namespaces = append(a.Namespaces, d)
	}
	a.Unreachable = q.unreached
	return printAs(out, o.output, a, func() error { return a.print(out) })
}

func (a *everywhere) print(out io.Writer) error {
	for i := range a.Namespaces {
		d := &a.Namespaces[i]
		heading := "namespace " + d.Namespace + "\n"
		if d.Refusal != "" {
			heading += d.Refusal + "\n"
		}
		if _, err := io.WriteString(out, heading); err != nil {
			return err
		}
		if err := d.print(out); err != nil {
			return err
		}
	}
	return nil
}

// keepConnections makes the questioner open every catalog once. The function
// that it returns ends the connections.
func (q *questioner) keepConnections() (done func()) {
	type kept struct {
		store registry.Store
		err   error
	}
	known := map[[2]string]kept{}
	var closers []func() error
	open := q.open
	q.open = func(ctx context.Context, address, authority string) (registry.Store, func() error, error) {
		key := [2]string{address, authority}
		k, ok := known[key]
		if !ok {
			var closeStore func() error
			if k.store, closeStore, k.err = open(ctx, address, authority); k.err == nil {
				closers = append(closers, closeStore)
			}
			known[key] = k
		}
		return k.store, func() error { return nil }, k.err
	}
	return func() {
		for _, c := range closers {
			_ = c()
		}
	}
}
