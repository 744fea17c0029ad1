package main

import (
	"fmt"
	"maps"
	"slices"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"chandler.dev/olm/pkg/controller/subscription"
	"chandler.dev/olm/pkg/failure"
)

// wish is what a namespace would ask if its subscriptions were others.
type wish struct {
	question *subscription.Question
	changes  []string // what is different, in words
}

// apply makes the changes that the options name.
func (w *wish) apply(q *questioner, o planOptions) error {
	for _, pkg := range o.remove {
		subs := w.to(pkg)
		if len(subs) == 0 {
			return q.errNobody(pkg)
		}
		for _, sub := range subs {
			w.question = w.question.Without(sub.Name)
			w.note("without subscription %s (package %s) and what it installed", sub.Name, pkg)
		}
	}
	for _, pkg := range o.add {
		if err := w.add(q, pkg); err != nil {
			return err
		}
	}
	if o.pkg == "" {
		return nil
	}
	subs := w.to(o.pkg)
	if len(subs) == 0 && !slices.Contains(o.remove, o.pkg) {
		return q.errNobody(o.pkg)
	}
	for _, sub := range subs {
		w.edit(q, o, sub)
	}
	return nil
}

func (w *wish) note(format string, args ...any) {
	w.changes = append(w.changes, fmt.Sprintf(format, args...))
}

// to returns the subscriptions to a package.
func (w *wish) to(pkg string) (subs []*operatorsv1alpha1.Subscription) {
	for _, sub := range w.question.Subscriptions() {
		if sub.Spec.Package == pkg {
			subs = append(subs, sub)
		}
	}
	return subs
}

// add subscribes to a package, of any catalog.
func (w *wish) add(q *questioner, pkg string) error {
	if len(w.to(pkg)) > 0 {
		return failure.New(failure.Conflict, "namespace %q has a subscription to package %q already", q.namespace, pkg).
			WithHint("leave --add away; --channel, --version and --catalog show what would change")
	}
	name := pkg
	for w.has(name) {
		name += "-2"
	}
	w.question = w.question.With(&operatorsv1alpha1.Subscription{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: q.namespace},
		Spec:       &operatorsv1alpha1.SubscriptionSpec{Package: pkg},
	})
	w.note("with subscription %s (package %s)", name, pkg)
	return nil
}

func (w *wish) has(name string) bool {
	return slices.ContainsFunc(w.question.Subscriptions(), func(s *operatorsv1alpha1.Subscription) bool { return s.Name == name })
}

// edit makes a subscription ask for something else.
func (w *wish) edit(q *questioner, o planOptions, sub *operatorsv1alpha1.Subscription) {
	sub = sub.DeepCopy()
	if o.channel != "" {
		sub.Spec.Channel = o.channel
		w.note("subscription %s follows channel %s", sub.Name, o.channel)
	}
	if o.version != "" {
		sub.Annotations = maps.Clone(sub.Annotations)
		if sub.Annotations == nil {
			sub.Annotations = map[string]string{}
		}
		sub.Annotations[subscription.RangeAnnotation] = o.version
		w.note("subscription %s stays in %s", sub.Name, o.version)
	}
	if o.catalog != "" {
		key := catalogKey(o.catalog, q.global)
		sub.Spec.CatalogSource, sub.Spec.CatalogSourceNamespace = key.Name, key.Namespace
		w.note("subscription %s takes catalog %s", sub.Name, key)
	}
	w.question = w.question.With(sub)
}
