// Package member runs one etcd member of a database: it finds out whether to
// found, join or resume a cluster, serves, and says when it is ready. It is not
// the operator, which decides how many members there are.
package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/apimachinery/pkg/util/wait"

	"chandler.dev/olm/examples/database/roster"
)

const (
	clientPort = "2379"
	peerPort   = "2380"

	// Retry is how long to wait before looking again.
	Retry = time.Second

	// linger is how long a removed member waits to be stopped. If it ended at
	// once it would be restarted and join again before its pod is deleted.
	linger = time.Minute

	maxLearners = 8 // more than read replicas and one joining member can be
)

// Options say who a member is.
type Options struct {
	Role    Role
	Name    string // of the pod
	Host    string // under which the others reach it
	Cluster string // token that tells databases apart
	State   string // "new" or "existing"
	DataDir string
	Quota   int64  // bytes at which etcd refuses writes; 0 is its default
	Listen  string // IP address to listen on
	Probes  string // host:port of the health endpoints

	// Peers returns the IP addresses of the other members, running or not.
	Peers func(context.Context) ([]string, error)
}

func (o Options) peerURL() string { return "http://" + net.JoinHostPort(o.Host, peerPort) }

// Run serves until ctx ends.
func Run(ctx context.Context, o Options) error {
	probes := newProbes(o.Role)
	go probes.serve(ctx, o.Probes)
	config, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	server, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer server.Close()
	probes.watch(server)
	if o.Role == Voter {
		go promote(ctx, server)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-server.Err():
		return fmt.Errorf("serve etcd: %w", err)
	case <-server.Server.StopNotify():
	}
	logr.FromContextOrDiscard(ctx).Info("removed from the cluster, waiting to be stopped")
	select {
	case <-ctx.Done():
		return nil
	case <-time.NewTimer(linger).C:
		return errors.New("removed from the cluster but not stopped")
	}
}

// prepare makes moves until one of them is a way to start.
func prepare(ctx context.Context, o Options) (config *embed.Config, err error) {
	log := logr.FromContextOrDiscard(ctx)
	var last Move
	err = wait.PollUntilContextCancel(ctx, Retry, true, func(ctx context.Context) (bool, error) {
		sight, endpoints := look(ctx, o)
		move, id := Next(sight)
		if move != last {
			log.Info("before the start", "move", move, "members", len(sight.Members))
			last = move
		}
		var failed error
		switch move {
		case Found, Resume, Join:
			config, err = configOf(o, move, sight)
			return err == nil, err
		case Add:
			failed = roster.AddLearner(ctx, endpoints, sight.PeerURL)
		case Replace:
			failed = roster.Remove(ctx, endpoints, id)
		case Discard:
			return false, os.RemoveAll(o.DataDir)
		case Wait:
		}
		if failed != nil {
			log.Info("not yet", "move", move, "reason", failed.Error())
		}
		return false, nil
	})
	return config, err
}

// look observes the data directory and the other members.
func look(ctx context.Context, o Options) (Sight, []string) {
	s := Sight{Role: o.Role, First: strings.HasSuffix(o.Name, "-0"), State: o.State, PeerURL: o.peerURL()}
	if entries, err := os.ReadDir(filepath.Join(o.DataDir, "member", "wal")); err == nil {
		s.HasData = len(entries) > 0
	}
	hosts, err := o.Peers(ctx)
	if err != nil || len(hosts) == 0 {
		return s, nil
	}
	slices.Sort(hosts)
	var endpoints []string
	for _, host := range hosts {
		endpoints = append(endpoints, "http://"+net.JoinHostPort(host, clientPort))
	}
	if s.Members, err = roster.List(ctx, endpoints); err == nil {
		s.Answered = true
	}
	return s, endpoints
}

func configOf(o Options, move Move, s Sight) (*embed.Config, error) {
	c := embed.NewConfig()
	c.Name, c.Dir = o.Name, o.DataDir
	c.InitialClusterToken = o.Cluster
	c.QuotaBackendBytes = o.Quota
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, "1h"
	c.MaxLearners = maxLearners
	c.LogLevel = "warn"
	c.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	c.ListenClientUrls = []url.URL{httpURL(o.Listen, clientPort)}
	c.ListenPeerUrls = []url.URL{httpURL(o.Listen, peerPort)}
	c.AdvertiseClientUrls = []url.URL{httpURL(o.Host, clientPort)}
	c.AdvertisePeerUrls = []url.URL{httpURL(o.Host, peerPort)}
	c.InitialCluster = initialCluster(o, move, s)
	c.ClusterState = embed.ClusterStateFlagExisting
	if move == Found {
		c.ClusterState = embed.ClusterStateFlagNew
	}
	return c, c.Validate()
}

// initialCluster lists the members in etcd's syntax. A joining member must
// name exactly those that the cluster has; itself has no name there yet.
func initialCluster(o Options, move Move, s Sight) string {
	if move != Join {
		return o.Name + "=" + o.peerURL()
	}
	var list []string
	for _, m := range s.Members {
		name := m.Name
		if m.PeerURL == s.PeerURL {
			name = o.Name
		}
		list = append(list, name+"="+m.PeerURL)
	}
	return strings.Join(list, ",")
}

func httpURL(host, port string) url.URL {
	return url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}
}

// promote makes a learner vote as soon as it has caught up. It looks again and
// again: a member learns that it is a learner some time after its start.
func promote(ctx context.Context, server *embed.Etcd) {
	log := logr.FromContextOrDiscard(ctx)
	_ = wait.PollUntilContextCancel(ctx, Retry, true, func(ctx context.Context) (bool, error) {
		if !server.Server.IsLearner() {
			return false, nil
		}
		if _, err := server.Server.PromoteMember(ctx, uint64(server.Server.MemberID())); err != nil {
			log.V(1).Info("not promoted yet", "reason", err.Error())
			return false, nil
		}
		log.Info("promoted")
		return true, nil
	})
}
