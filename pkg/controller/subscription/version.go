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
			if version := KubeVersion(server); version != "" {
				known, asked = version, c.Now()
			}
		}
		return known
	}
}

// KubeVersion asks for the version of a cluster, such as "1.36.3"; empty if it
// does not answer.
func KubeVersion(server discovery.ServerVersionInterface) string {
	info, err := server.ServerVersion()
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(info.GitVersion, "v")
}
