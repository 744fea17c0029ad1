// Command demo shows the main job from nothing to the end: a cluster, a
// catalog, an operator installed and upgraded twice while its database lives.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/utils/clock"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := &demo{line: newTimeline(os.Stdout, clock.RealClock{})}
	flag.StringVar(&d.nodes, "nodes", "simulated", "simulated or real")
	flag.BoolVar(&d.keep, "keep", false, "keep the cluster and the programs running until interrupted")
	flag.Parse()
	err := d.run(ctx)
	if err == nil && d.keep {
		d.line.say("kept: export KUBECONFIG=%s   (Ctrl-C ends everything)", d.kubeconfig)
		<-ctx.Done()
	}
	err = errors.Join(err, d.close())
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}
