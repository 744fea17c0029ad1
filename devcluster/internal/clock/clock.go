// Package clock is the only place of this module that reads the wall clock.
package clock

import (
	"context"
	"time"
)

// Now returns the current time.
func Now() time.Time {
	return time.Now() //nolint:forbidigo // a launcher of real processes has no other time
}

// Wait returns after d or when ctx ends, whichever comes first, with the error of ctx in the second case.
func Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
