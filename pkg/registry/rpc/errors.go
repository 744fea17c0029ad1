package rpc

import (
	"context"
	"errors"
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chandler.dev/olm/pkg/failure"
)

var codeOf = map[failure.Kind]codes.Code{
	failure.Invalid:  codes.InvalidArgument,
	failure.NotFound: codes.NotFound,
	failure.Conflict: codes.AlreadyExists,
	failure.Blocked:  codes.FailedPrecondition,
	failure.Waiting:  codes.Unavailable,
}

// kindOf is wider than codeOf: other servers and the network use more codes.
var kindOf = map[codes.Code]failure.Kind{
	codes.InvalidArgument:    failure.Invalid,
	codes.NotFound:           failure.NotFound,
	codes.AlreadyExists:      failure.Conflict,
	codes.FailedPrecondition: failure.Blocked,
	codes.PermissionDenied:   failure.Blocked,
	codes.Unauthenticated:    failure.Blocked,
	codes.Unavailable:        failure.Waiting,
	codes.DeadlineExceeded:   failure.Waiting,
}

// toStatus hides the cause of err from the client.
func toStatus(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, context.Canceled.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, context.DeadlineExceeded.Error())
	}
	if e, ok := errors.AsType[*failure.Error](err); ok {
		if code, ok := codeOf[e.Kind]; ok {
			return status.Error(code, e.Message)
		}
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Internal, "internal error, see the log of the catalog")
}

// missing is how servers that know no codes say that something is not there.
var missing = regexp.MustCompile(`^(package .*not found$|no entry found |no channel entries found |no package found )`)

// fromStatus classifies what a server or the network says. A server that knows
// no codes answers Unknown: what it says is not there is NotFound, the rest
// stays unclassified.
func fromStatus(err error) error {
	st, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	kind, ok := kindOf[st.Code()]
	if st.Code() == codes.Unknown && missing.MatchString(st.Message()) {
		kind, ok = failure.NotFound, true
	}
	if ok {
		e := failure.New(kind, "%s", st.Message())
		if kind == failure.Waiting {
			e.Message = "the catalog cannot be reached"
			e.Err = err
			return e.WithHint("check that it runs, and its address and port")
		}
		return e
	}
	return err
}
