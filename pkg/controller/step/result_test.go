package step_test

import (
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
)

func TestResult(t *testing.T) {
	tests := map[string]struct {
		outcome   step.Outcome
		err       error
		wantAfter time.Duration
		wantErr   bool
	}{
		"success waits for a watch":              {outcome: step.Stop()},
		"a step may ask for a delay":             {outcome: step.RetryAfter(time.Minute), wantAfter: time.Minute},
		"an unclassified error backs off":        {err: errors.New("boom"), wantErr: true},
		"an invalid spec waits for its author":   {err: failure.New(failure.Invalid, "bad range")},
		"waiting is repeated without backoff":    {err: failure.New(failure.Waiting, "not ready"), wantAfter: 30 * time.Second},
		"a write conflict is retried in silence": {err: apierrors.NewConflict(schema.GroupResource{}, "s", nil), wantAfter: time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := step.Result(t.Context(), tt.outcome, tt.err)
			if got.RequeueAfter != tt.wantAfter || (err != nil) != tt.wantErr {
				t.Errorf("Result() = %v, %v; want after %v, error %v", got.RequeueAfter, err, tt.wantAfter, tt.wantErr)
			}
		})
	}
}
