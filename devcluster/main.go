// Devcluster runs a real Kubernetes control plane on this machine, with simulated or real nodes, for development and for
// tests. It builds what it runs from Go modules and needs nothing else.
package main

import (
	"context"
	_ "embed" // the pinned modules are part of the program, so that it works from any folder
	"os"
	"os/signal"
	"syscall"
)

//go:embed go.mod
var goMod []byte

//go:embed go.sum
var goSum []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
