// Package condition turns errors into the sentences that conditions show.
package condition

import (
	"errors"

	"chandler.dev/olm/pkg/failure"
)

// Text returns what a person may read about err: what happened and what to do
// next. An error that nobody wrote for users is left to the log; its text may
// change from one attempt to the next, and with it the status.
func Text(err error) string {
	e, ok := errors.AsType[*failure.Error](err)
	switch {
	case err == nil:
		return ""
	case !ok:
		return "internal error, see the log of the controller"
	case e.Hint == "":
		return e.Message
	}
	return e.Message + "; " + e.Hint
}
