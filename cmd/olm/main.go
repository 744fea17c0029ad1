// Command olm installs operators on Kubernetes clusters and keeps them up to
// date: the lifecycle controller and the command line of its users.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"chandler.dev/olm/pkg/failure"
)

func main() { os.Exit(program()) }

func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRootCommand()
	return failure.Report(os.Stderr, "olm", usage(root.ExecuteContext(ctx)))
}
