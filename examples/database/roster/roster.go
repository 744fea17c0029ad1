// Package roster reads and changes the list of members of an etcd cluster over
// its client API. It knows nothing of Kubernetes but the names of pods.
package roster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// patience is how long one endpoint may take to answer.
const patience = 2 * time.Second

// Entry is a member of an etcd cluster.
type Entry struct {
	ID      uint64
	Name    string // empty until the member has started once
	PeerURL string
	Learner bool
}

// List returns the members as a majority of them knows them.
func List(ctx context.Context, endpoints []string) (entries []Entry, err error) {
	err = ask(ctx, endpoints, func(ctx context.Context, c *clientv3.Client) error {
		reply, err := c.MemberList(ctx)
		if err != nil {
			return err
		}
		entries = entriesOf(reply.Members)
		return nil
	})
	return entries, err
}

// AddLearner adds a member that does not vote.
func AddLearner(ctx context.Context, endpoints []string, peerURL string) error {
	return ask(ctx, endpoints, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.MemberAddAsLearner(ctx, []string{peerURL})
		return err
	})
}

// Remove removes a member.
func Remove(ctx context.Context, endpoints []string, id uint64) error {
	return ask(ctx, endpoints, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.MemberRemove(ctx, id)
		return err
	})
}

// ask puts a question to one endpoint after the other until one answers.
// Learners and members that are cut off refuse, so that the next one is asked.
func ask(ctx context.Context, endpoints []string, question func(context.Context, *clientv3.Client) error) error {
	if len(endpoints) == 0 {
		return errors.New("no member to ask")
	}
	var refusals []error
	for _, endpoint := range endpoints {
		err := askOne(ctx, endpoint, question)
		if err == nil {
			return nil
		}
		refusals = append(refusals, fmt.Errorf("%s: %w", endpoint, err))
	}
	return errors.Join(refusals...)
}

func askOne(ctx context.Context, endpoint string, question func(context.Context, *clientv3.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, Context: ctx, DialTimeout: patience, Logger: zap.NewNop(),
	})
	if err != nil {
		return err
	}
	return errors.Join(question(ctx, c), c.Close())
}

func entriesOf(members []*etcdserverpb.Member) (entries []Entry) {
	for _, m := range members {
		e := Entry{ID: m.ID, Name: m.Name, Learner: m.IsLearner}
		if len(m.PeerURLs) > 0 {
			e.PeerURL = m.PeerURLs[0]
		}
		entries = append(entries, e)
	}
	return entries
}
