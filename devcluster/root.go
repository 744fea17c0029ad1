package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"chandler.dev/olm/devcluster/internal/binaries"
	"chandler.dev/olm/devcluster/internal/cluster"
	"chandler.dev/olm/devcluster/internal/node"
)

// Exit codes, as those of the other programs.
const (
	exitInternal = 1
	exitNotFound = 3
)

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cmd := &cobra.Command{
		Use:           "devcluster",
		Short:         "Run a real Kubernetes on this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.SetArgs(args)
	cmd.SetIn(stdin)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	cmd.AddCommand(
		newBuildCommand(), newUpCommand(), newSuperviseCommand(), newRunCommand(), newDownCommand(), newListCommand(),
		newPauseCommand(), newResumeCommand(), newRestartCommand(), newNodeCommand(), newLoadImageCommand(),
	)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, cluster.ErrNotFound):
		_, _ = fmt.Fprintf(stderr, "devcluster: %v\n", err)
		return exitNotFound
	default:
		_, _ = fmt.Fprintf(stderr, "devcluster: %v\n", err)
		return exitInternal
	}
}

// target names a cluster.
type target struct {
	dir  string
	name string
}

func (t *target) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.dir, "dir", ".cluster", "`folder` below which every cluster has one of its own")
	cmd.Flags().StringVar(&t.name, "name", "dev", "`name` of the cluster")
}

func (t *target) folder() (cluster.Folder, error) {
	return cluster.NewFolder(t.dir, t.name)
}

// startOptions are the flags of the commands that start a cluster.
type startOptions struct {
	target
	nodes     string
	nodeCount int
	audit     bool
	timeout   time.Duration
}

func (o *startOptions) addFlags(cmd *cobra.Command) {
	o.target.addFlags(cmd)
	cmd.Flags().StringVar(&o.nodes, "nodes", string(cluster.Simulated), "`kind` of the nodes: simulated, or real (needs root)")
	cmd.Flags().IntVar(&o.nodeCount, "node-count", 1, "`number` of nodes")
	cmd.Flags().BoolVar(&o.audit, "audit", false, "write every request to the API server to logs/audit.log")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long to wait until everything is ready")
}

// resolve builds what is missing and returns where and how to start.
func (o *startOptions) resolve(cmd *cobra.Command) (cluster.Folder, cluster.Options, error) {
	var options cluster.Options
	f, err := o.folder()
	if err != nil {
		return "", options, err
	}
	programs := binaries.ControlPlane
	switch cluster.NodeKind(o.nodes) {
	case cluster.Simulated:
	case cluster.Real:
		programs = slices.Concat(programs, binaries.RealNode)
		if err := checkReal(o.nodeCount); err != nil {
			return "", options, err
		}
	default:
		return "", options, fmt.Errorf("unknown kind of nodes %q: want simulated or real", o.nodes)
	}
	if o.nodeCount < 1 {
		return "", options, fmt.Errorf("invalid number of nodes %d: want at least 1", o.nodeCount)
	}
	cache, err := binaries.NewCache(goMod, goSum, cmd.ErrOrStderr())
	if err != nil {
		return "", options, err
	}
	if err := cache.Ensure(cmd.Context(), programs...); err != nil {
		return "", options, err
	}
	return f, cluster.Options{
		Nodes: cluster.NodeKind(o.nodes), NodeCount: o.nodeCount, Audit: o.audit, Timeout: o.timeout,
		Program: cache.Find,
	}, nil
}

func checkReal(count int) error {
	if count != 1 {
		return fmt.Errorf("invalid number of nodes %d: there is one real node", count)
	}
	return node.Check()
}
