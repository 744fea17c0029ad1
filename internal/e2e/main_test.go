// Package e2e walks the whole way on a real API server: the two programs as
// processes, bundles as their authors published them, simulated nodes.
package e2e

import (
	"testing"

	"chandler.dev/olm/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
