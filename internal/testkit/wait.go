package testkit

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Eventually asks until check has no complaint, and fails the test with the
// last complaint when timeout has passed.
func Eventually(t testing.TB, timeout time.Duration, check func(context.Context) error) {
	t.Helper()
	EventuallyEvery(t, 25*time.Millisecond, timeout, check)
}

// EventuallyEvery is Eventually with a given time between two questions.
func EventuallyEvery(t testing.TB, interval, timeout time.Duration, check func(context.Context) error) {
	t.Helper()
	last := fmt.Errorf("never asked")
	err := wait.PollUntilContextTimeout(t.Context(), interval, timeout, true, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if err == nil || ctx.Err() == nil && !strings.Contains(err.Error(), "context deadline") {
			last = err // what a check says at the end of its time is about the time
		}
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("after %s still: %v", timeout, last)
	}
}

// FreeAddress returns a loopback address that nobody listens on.
func FreeAddress(t testing.TB) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
