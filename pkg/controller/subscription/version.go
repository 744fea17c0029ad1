package subscription

import (
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/utils/clock"
)

// versionAge is how long the version of the cluster is believed.
const versionAge = 10 * time.Minute

// kubeVersion returns a function that knows the version of the cluster, such
// as "1.36.3"; an empty one while it cannot be asked.
func kubeVersion(server discovery.ServerVersionInterface, c clock.PassiveClock) func() string {
	var (
		mu    sync.Mutex
		known string
		asked time.Time
	)
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		if known == "" || c.Since(asked) > versionAge {
			if info, err := server.ServerVersion(); err == nil {
				known, asked = strings.TrimPrefix(info.GitVersion, "v"), c.Now()
			}
		}
		return known
	}
}
