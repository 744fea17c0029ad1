package step

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"

	"chandler.dev/olm/pkg/failure"
)

const (
	conflictDelay = time.Second
	waitDelay     = 30 * time.Second
)

// Result translates what Run returned for controller-runtime. Only internal
// errors are retried with backoff; the others are logged here and wait for time or a watch.
func Result(ctx context.Context, outcome Outcome, err error) (ctrl.Result, error) {
	switch {
	case err == nil:
		return ctrl.Result{RequeueAfter: outcome.Retry()}, nil
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	case failure.KindOf(err) == failure.Internal:
		return ctrl.Result{}, err
	}
	ctrl.LoggerFrom(ctx).Info("stopped", "kind", failure.KindOf(err), "reason", err.Error())
	if failure.KindOf(err) == failure.Waiting {
		return ctrl.Result{RequeueAfter: waitDelay}, nil
	}
	return ctrl.Result{}, nil
}
