package failure_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"chandler.dev/olm/pkg/failure"
)

func TestReport(t *testing.T) {
	tests := map[string]struct {
		err      error
		want     string
		wantCode int
	}{
		"nothing happened":           {err: nil, want: "", wantCode: 0},
		"an unclassified error is 1": {err: errors.New("boom"), want: "olm: boom\n", wantCode: 1},
		"a hint has a line of its own": {
			err:      fmt.Errorf("install: %w", failure.New(failure.NotFound, "no package %q", "etcd").WithHint("see `catalog packages`")),
			want:     "olm: install: no package \"etcd\"\nhint: see `catalog packages`\n",
			wantCode: 3,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			code := failure.Report(&out, "olm", tt.err)
			if code != tt.wantCode || out.String() != tt.want {
				t.Errorf("Report() = %d, %q; want %d, %q", code, out.String(), tt.wantCode, tt.want)
			}
		})
	}
}
