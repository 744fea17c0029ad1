package kube

import (
	"errors"
	"fmt"
	"net"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"chandler.dev/olm/pkg/failure"
)

// Classify turns an error of the API server into one that says who can cure
// it. doing is what was tried, such as `apply Service "x"`. A conflict of two
// writers stays as it is, because it is retried in silence. nil stays nil.
func Classify(err error, doing string) error {
	if err == nil {
		return nil
	}
	if _, classified := errors.AsType[*failure.Error](err); classified || apierrors.IsConflict(err) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	kind, message, hint := describe(err)
	if kind == failure.Internal {
		return fmt.Errorf("%s: %w", doing, err)
	}
	e := failure.New(kind, "%s: %s", doing, message)
	e.Hint, e.Err = hint, err
	return e
}

func describe(err error) (kind failure.Kind, message, hint string) {
	var network net.Error
	switch {
	case apierrors.IsForbidden(err):
		return failure.Blocked, "it is forbidden", "grant the missing rights, or ask an administrator to"
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err), apierrors.IsMethodNotSupported(err):
		return failure.Invalid, "the API server rejects it" + firstCause(err), "correct the manifest in the bundle"
	case apierrors.IsAlreadyExists(err):
		return failure.Conflict, "it exists already", ""
	case meta.IsNoMatchError(err):
		return failure.NotFound, "the cluster does not serve its kind", "install what serves it"
	case apierrors.IsNotFound(err):
		return failure.NotFound, "what it needs does not exist", ""
	case apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err),
		apierrors.IsServiceUnavailable(err), apierrors.IsInternalError(err), apierrors.IsUnexpectedServerError(err),
		errors.As(err, &network):
		return failure.Waiting, "the API server is not able to answer now", ""
	default:
		return failure.Internal, "", ""
	}
}

// firstCause names the first field that the API server complains about.
func firstCause(err error) string {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || status.ErrStatus.Details == nil || len(status.ErrStatus.Details.Causes) == 0 {
		return ""
	}
	const limit = 100
	cause := status.ErrStatus.Details.Causes[0]
	text := []rune(cause.Field + ": " + cause.Message)
	if len(text) > limit {
		text = append(text[:limit], '…')
	}
	return ": " + string(text)
}
