package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/changes"
	"chandler.dev/olm/pkg/registry/sqlite"
)

// asker is the program that asks clusters. This one has no client for them: it
// would need more memory to serve.
const asker = "olm"

// clusterOptions say which catalog of which cluster would be replaced by what.
type clusterOptions struct {
	kubeconfig string
	catalog    string // NAMESPACE/NAME; empty: the only one in use
	next       string // catalog file
	stderr     io.Writer
}

// againstCluster is what `diff --against-cluster` says.
type againstCluster struct {
	Changes     []changes.Change `json:"changes"`
	Unreachable []string         `json:"unreachableCatalogs,omitempty"`
	Cluster     []effect         `json:"cluster"` // by namespace
}

// effect is what becomes of a subscription, or of a package that others need.
type effect struct {
	Namespace    string `json:"namespace"`
	Subscription string `json:"subscription,omitempty"`
	Package      string `json:"package"`
	Now          string `json:"now,omitempty"`  // name of the bundle; empty: none
	Then         string `json:"then,omitempty"` // name of the bundle; empty: none
	Effect       string `json:"effect"`
	Message      string `json:"message,omitempty"`
}

// Effects, an API.
const (
	effectChanges  = "changes"
	effectInstalls = "installs"
	effectRemoves  = "removes"
	effectStays    = "stays"
	effectPathLost = "loses its path"
	effectBlocked  = "no longer solvable"
	effectUnsolved = "not solvable either way"
	effectFreed    = "solvable again"
)

// clusterPlan is what `olm plan --all-namespaces -o json` says, as far as it is
// used here.
type clusterPlan struct {
	Unreachable []string `json:"unreachableCatalogs"`
	Namespaces  []struct {
		Namespace string        `json:"namespace"`
		Refusal   string        `json:"refusal"`
		Outcomes  []planOutcome `json:"outcomes"`
		Unchanged []planOutcome `json:"unchanged"`
	} `json:"namespaces"`
}

type planOutcome struct {
	Subscription string `json:"subscription"`
	Package      string `json:"package"`
	Channel      string `json:"channel"`
	Now          string `json:"now"`
	Then         string `json:"then"`
	Blocked      bool   `json:"blocked"`
	Before       bool   `json:"blockedBefore"`
	Freed        bool   `json:"freed"`
	Message      string `json:"message"`
}

func runDiffAgainst(ctx context.Context, old, next registry.Store, out io.Writer, o diffOptions) error {
	found, err := changes.Between(ctx, old, next)
	if err != nil {
		return err
	}
	plan, err := askCluster(ctx, o.cluster)
	if err != nil {
		return err
	}
	defaults, err := defaultChannels(ctx, next, found)
	if err != nil {
		return err
	}
	result := againstCluster{Changes: append([]changes.Change{}, found...), Unreachable: plan.Unreachable, Cluster: effectsOf(plan, found, defaults)}
	if o.format != formatTable {
		return write(out, o.format, result)
	}
	if err := writeChanges(out, found, o); err != nil {
		return err
	}
	if len(result.Cluster) == 0 {
		_, err := io.WriteString(out, "\nnothing is subscribed to in the cluster\n")
		return err
	}
	if _, err := io.WriteString(out, "\n"); err != nil {
		return err
	}
	t := table{header: []string{"NAMESPACE", "SUBSCRIPTION", "PACKAGE", "NOW", "THEN", "EFFECT", "MESSAGE"}, optional: 1}
	for _, e := range result.Cluster {
		t.add(e.Namespace, e.Subscription, e.Package, e.Now, e.Then, e.Effect, e.Message)
	}
	return writeResult(out, o.format, nil, t)
}

// defaultChannels returns the default channels of the packages that changed and
// are still there.
func defaultChannels(ctx context.Context, next registry.Store, found []changes.Change) (map[string]string, error) {
	channels := map[string]string{}
	for _, c := range found {
		if c.Kind != changes.PathLost {
			continue
		}
		p, err := next.Package(ctx, c.Package)
		if err != nil && failure.KindOf(err) != failure.NotFound {
			return nil, err
		}
		channels[c.Package] = p.DefaultChannel
	}
	return channels, nil
}

// effectsOf tells what a plan means, with what changed in the catalog; defaults
// are its default channels, by package.
func effectsOf(plan clusterPlan, found []changes.Change, defaults map[string]string) []effect {
	all := []effect{}
	for _, ns := range plan.Namespaces {
		for _, x := range ns.Outcomes {
			all = append(all, effectOf(ns.Namespace, x))
		}
		for _, x := range ns.Unchanged {
			e := effectOf(ns.Namespace, x)
			e.Message = ns.Refusal
			channel := x.Channel
			if channel == "" {
				channel = defaults[x.Package]
			}
			if slices.ContainsFunc(found, func(c changes.Change) bool {
				return c.Kind == changes.PathLost && c.Package == x.Package && c.Channel == channel && c.Bundle == x.Then
			}) {
				e.Effect, e.Message = effectPathLost, fmt.Sprintf("no upgrade leads from %s to the head of channel %s any more", x.Then, channel)
			}
			all = append(all, e)
		}
	}
	return all
}

func effectOf(namespace string, x planOutcome) effect {
	e := effect{Namespace: namespace, Subscription: x.Subscription, Package: x.Package, Now: x.Now, Then: x.Then, Message: x.Message}
	switch {
	case x.Blocked && x.Before:
		e.Effect = effectUnsolved
	case x.Blocked:
		e.Effect = effectBlocked
	case x.Freed:
		e.Effect = effectFreed
	case x.Now == x.Then:
		e.Effect = effectStays
	case x.Now == "":
		e.Effect = effectInstalls
	case x.Then == "":
		e.Effect = effectRemoves
	default:
		e.Effect = effectChanges
	}
	return e
}

// askCluster asks what would be different in a cluster.
func askCluster(ctx context.Context, o clusterOptions) (plan clusterPlan, err error) {
	program, err := findAsker()
	if err != nil {
		return plan, err
	}
	args := []string{"plan", "--all-namespaces", "--replace-catalog", o.catalog + "=" + o.next, "--output", formatJSON}
	if o.kubeconfig != "" {
		args = append(args, "--kubeconfig", o.kubeconfig)
	}
	var answer bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // no shell reads the arguments
	cmd.Stdout, cmd.Stderr = &answer, o.stderr
	if err := cmd.Run(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			return plan, err
		}
		return plan, failure.New(failure.KindOfExit(exit.ExitCode()), "%s could not tell what changes in the cluster", program).
			WithHint("it says why above; --catalog names the catalog to replace, --kubeconfig the cluster; both programs must be of the same version")
	}
	if err := json.Unmarshal(answer.Bytes(), &plan); err != nil {
		return plan, fmt.Errorf("read what %s says: %w", program, err)
	}
	return plan, nil
}

// findAsker finds the program that asks clusters: beside this one, else in $PATH.
func findAsker() (string, error) {
	if own, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(own), asker)
		if found, err := exec.LookPath(beside); err == nil {
			return found, nil
		}
	}
	found, err := exec.LookPath(asker)
	if err != nil {
		return "", failure.New(failure.NotFound, "there is no program %s, which asks the cluster", asker).
			WithHint("install %s beside this program or in $PATH; `make build` makes both", asker)
	}
	return found, nil
}

// indexFile returns a catalog file with the content of whatever an argument
// names: the file itself if it is one, else one that release removes.
func indexFile(ctx context.Context, arg string, o sourceOptions, reported func(registry.Problem)) (path string, release func(), err error) {
	at, err := placeOf(arg)
	if err != nil {
		return "", nil, err
	}
	if at == catalogFile {
		return arg, func() {}, nil
	}
	src, err := joinedSource(ctx, []string{arg}, o, reported)
	if err != nil {
		return "", nil, err
	}
	s, err := newScratch()
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(s.dir, "catalog.db")
	if err := sqlite.Create(ctx, path, checked(src, o, reported)); err != nil {
		s.remove()
		return "", nil, err
	}
	return path, s.remove, nil
}
