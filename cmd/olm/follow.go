package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
)

// refusalGrace is how long a refusal must stand before follow gives up: a
// catalog that was just created is not read yet.
const refusalGrace = 3 * time.Second

// follow reports the way of a Subscription until its operator runs, a person
// is needed, or ctx ends.
func follow(ctx context.Context, cl client.WithWatch, out, talk io.Writer, key client.ObjectKey) error {
	events, stop, err := watchNamespace(ctx, cl, key.Namespace)
	if err != nil {
		return err
	}
	defer stop()
	f := &follower{cl: cl, talk: talk, key: key, clock: clock.RealClock{}}
	f.start = f.clock.Now()
	tick := f.clock.NewTicker(time.Second)
	defer tick.Stop()
	for {
		done, err := f.look(ctx)
		if err != nil {
			return err
		}
		if done != "" {
			_, err := fmt.Fprintln(out, done)
			return err
		}
		select {
		case <-ctx.Done():
			return f.timedOut(ctx)
		case <-tick.C():
		case _, ok := <-events:
			if !ok {
				return failure.New(failure.Waiting, "the cluster ended the watch").WithHint("run the command again")
			}
		}
	}
}

// watchNamespace reports every change of the lifecycle kinds of a namespace.
func watchNamespace(ctx context.Context, cl client.WithWatch, ns string) (<-chan struct{}, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	changed := make(chan struct{}, 1)
	for _, list := range []client.ObjectList{
		&operatorsv1alpha1.SubscriptionList{}, &operatorsv1alpha1.InstallPlanList{}, &operatorsv1alpha1.ClusterServiceVersionList{},
	} {
		w, err := cl.Watch(ctx, list, client.InNamespace(ns))
		if err != nil {
			cancel()
			return nil, nil, friendly(err)
		}
		go forward(w, changed)
	}
	return changed, cancel, nil
}

func forward(w watch.Interface, changed chan<- struct{}) {
	defer w.Stop()
	for range w.ResultChan() {
		select {
		case changed <- struct{}{}:
		default: // one pending signal is enough
		}
	}
}

// follower remembers what it said already.
type follower struct {
	cl      client.Client
	talk    io.Writer
	key     client.ObjectKey
	clock   clock.WithTicker
	start   time.Time
	said    string
	refused time.Time
}

// look says what is new; a non-empty result is the last line.
func (f *follower) look(ctx context.Context) (string, error) {
	row, err := readRow(ctx, f.cl, f.key)
	if err != nil {
		if ctx.Err() != nil {
			return "", nil //nolint:nilerr // the caller reports that ctx ended
		}
		return "", err
	}
	if line := row.progress(); line != f.said {
		f.said = line
		if _, err := fmt.Fprintf(f.talk, "%6.1fs  %s\n", f.clock.Since(f.start).Seconds(), line); err != nil {
			return "", err
		}
	}
	switch {
	case row.Healthy:
		return fmt.Sprintf("%s %s runs in namespace %s", row.Package, row.Version, row.Namespace), nil
	case row.NeedsApproval && !row.Refused:
		return fmt.Sprintf("%s waits for approval: olm approve %s -n %s", row.Wanted, row.Package, row.Namespace), nil
	}
	return "", f.refusal(row)
}

// refusal is why the operator cannot get further without a person.
func (f *follower) refusal(row row) error {
	if !row.Refused {
		f.refused = time.Time{}
		return nil
	}
	if f.refused.IsZero() {
		f.refused = f.clock.Now()
	}
	if f.clock.Since(f.refused) < refusalGrace {
		return nil
	}
	return failure.New(failure.Blocked, "package %q is not installed: %s", row.Package, row.Message).
		WithHint("`olm status %s -n %s` has the details; the controller continues when the cause is gone", row.Package, row.Namespace)
}

func (f *follower) timedOut(ctx context.Context) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return failure.New(failure.Waiting, "interrupted; the controller continues without this command")
	}
	last := f.said
	if last == "" {
		last = "nothing happened"
	}
	return failure.New(failure.Waiting, "not yet installed: %s", last).
		WithHint("is `olm controller` running? `olm status -n %s` shows where it stands", f.key.Namespace)
}
