package condition_test

import (
	"errors"
	"fmt"
	"testing"

	"chandler.dev/olm/pkg/controller/condition"
	"chandler.dev/olm/pkg/failure"
)

func TestText(t *testing.T) {
	tests := map[string]struct {
		err  error
		want string
	}{
		"nothing happened":              {nil, ""},
		"a failure speaks for itself":   {failure.New(failure.Invalid, "no package %q", "x"), `no package "x"`},
		"the cure follows":              {fmt.Errorf("resolve: %w", failure.New(failure.Invalid, "no package").WithHint("name one")), "no package; name one"},
		"an unclassified error is kept": {errors.New("dial tcp 10.0.0.1:45123"), "internal error, see the log of the controller"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := condition.Text(tt.err); got != tt.want {
				t.Errorf("Text() = %q, want %q", got, tt.want)
			}
		})
	}
}
