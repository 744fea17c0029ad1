// Package cluster starts, finds and stops clusters.
//
// Every cluster has one supervisor process, which is the parent of all others and holds the lock of the cluster's
// folder. When it dies, whatever the reason, the kernel kills its children and frees the lock: a held lock is a running
// cluster, and nothing that a crash leaves behind can be in the way of the next start.
package cluster

import "time"

// Options say what kind of cluster to start.
type Options struct {
	Nodes     NodeKind
	NodeCount int
	// Audit makes the API server write every request to logs/audit.log.
	Audit bool
	// Timeout bounds the start; 0 means two minutes.
	Timeout time.Duration
	// Program returns the path of a built program.
	Program func(name string) string

	// keep names entries of the folder that a start does not delete.
	keep []string
}

func (o Options) timeout() time.Duration {
	if o.Timeout == 0 {
		return 2 * time.Minute
	}
	return o.Timeout
}
