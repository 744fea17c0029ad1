package failure_test

import (
	"errors"
	"fmt"
	"testing"

	"chandler.dev/olm/pkg/failure"
)

func TestKindOf(t *testing.T) {
	tests := map[string]struct {
		err  error
		want failure.Kind
	}{
		"plain error is internal": {errors.New("boom"), failure.Internal},
		"kind survives wrapping":  {fmt.Errorf("resolve: %w", failure.New(failure.NotFound, "no package %q", "etcd")), failure.NotFound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := failure.KindOf(tt.err); got != tt.want {
				t.Errorf("KindOf() = %s, want %s", got, tt.want)
			}
		})
	}
}
