package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/spf13/cobra"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/catalogsource"
	"chandler.dev/olm/pkg/controller/catalogsource/dial"
	"chandler.dev/olm/pkg/controller/subscription"
	"chandler.dev/olm/pkg/controller/subscription/inventory"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
)

// questioner reads what a namespace asks the resolver, and what the catalogs
// that it sees offer.
type questioner struct {
	client    client.Client
	namespace string
	global    string // namespace whose catalogs every namespace sees
	version   func() string
	kinds     inventory.Kinds
	server    string // host:port of the server of catalogs without an address of their own; empty for their Services
	open      func(ctx context.Context, address, authority string) (registry.Store, func() error, error)
	talk      io.Writer
	unreached []string             // catalogs that could not be reached, as NAMESPACE/NAME
	inventory *inventory.Inventory // as it was when the first question was read
}

// addFlags adds the flags of every command that asks the resolver.
func (q *questioner) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&q.namespace, "namespace", "n", "", "`namespace` to look at (default: of the kubeconfig context)")
	cmd.Flags().StringVar(&q.global, "catalog-namespace", "olm", "`namespace` whose catalogs every namespace sees")
	cmd.Flags().StringVar(&q.server, "catalog-server", os.Getenv("OLM_CATALOG_SERVER"),
		"`host:port` of the server of catalog images, as it is reached from here (default $OLM_CATALOG_SERVER, then the services in the cluster)")
}

// connect makes the questioner ask the cluster of a connection.
func (q *questioner) connect(c *connection, talk io.Writer) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	server, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return err
	}
	q.client, err = c.client()
	q.namespace = c.namespace(q.namespace)
	q.version, q.kinds = sync.OnceValue(func() string { return subscription.KubeVersion(server) }), inventory.Discover(server)
	q.open, q.talk = dial.Store, talk
	return err
}

func (q *questioner) read(ctx context.Context) (*subscription.Question, error) {
	if q.inventory == nil {
		inv, err := inventory.Read(ctx, q.client, q.kinds)
		if err != nil {
			return nil, friendly(err)
		}
		q.inventory = inv
	}
	cluster := subscription.Cluster{Reader: q.client, KubeVersion: q.version(), Inventory: q.inventory}
	question, err := subscription.Read(ctx, cluster, q.namespace)
	return question, friendly(err)
}

// sources connects to the catalogs that a question concerns. One that cannot be
// reached from here is said to be unavailable. The function that it returns,
// never nil, ends the connections.
func (q *questioner) sources(ctx context.Context, question *subscription.Question) (sources []resolver.Source, done func(), err error) {
	var closers []func() error
	done = func() {
		for _, c := range closers {
			_ = c()
		}
	}
	for _, ns := range question.CatalogNamespaces(q.global) {
		list := catalogsource.NewList()
		if err := q.client.List(ctx, list, client.InNamespace(ns)); err != nil {
			return nil, done, friendly(err)
		}
		for i := range list.Items {
			cs, err := catalogsource.Decode(&list.Items[i])
			if err != nil {
				continue // its own controller says so
			}
			source := subscription.SourceOf(cs)
			store, closeStore, err := q.dial(ctx, cs)
			if err == nil {
				source.Store = store
				closers = append(closers, closeStore)
			} else if err := q.unreachable(&source, cs); err != nil {
				return nil, done, err
			}
			sources = append(sources, source)
		}
	}
	return sources, done, nil
}

func (q *questioner) unreachable(source *resolver.Source, cs *operatorsv1alpha1.CatalogSource) error {
	if source.Unavailable == "" {
		source.Unavailable = "it cannot be reached from here"
	}
	name := cs.Namespace + "/" + cs.Name
	if slices.Contains(q.unreached, name) {
		return nil
	}
	q.unreached = append(q.unreached, name)
	_, err := fmt.Fprintf(q.talk, "catalog %s cannot be reached from here (address %q), so its offers do not count\n", name, addressOf(cs))
	return err
}

// dial opens a catalog: over the catalog server if that is named and serves it.
func (q *questioner) dial(ctx context.Context, cs *operatorsv1alpha1.CatalogSource) (registry.Store, func() error, error) {
	address := addressOf(cs)
	if q.server == "" || cs.Spec.Address != "" || address == "" {
		return q.open(ctx, address, "")
	}
	return q.open(ctx, q.server, address)
}

// addressOf returns the host and port of the server of a catalog: the one that
// is written down, or the one that whoever runs its image made known.
func addressOf(cs *operatorsv1alpha1.CatalogSource) string {
	if cs.Spec.Address != "" {
		return cs.Spec.Address
	}
	if state := cs.Status.GRPCConnectionState; state != nil && state.Address != "" {
		return state.Address
	}
	if service := cs.Status.RegistryServiceStatus; service != nil {
		return service.Address()
	}
	return ""
}

// errNobody says that nobody in the namespace subscribed to a package.
func (q *questioner) errNobody(pkg string) error {
	return failure.New(failure.NotFound, "nobody subscribed to package %q in namespace %q", pkg, q.namespace).
		WithHint("`olm status %s` shows where somebody did; to see what it would bring here, `olm plan %s --add %s -n %s`", pkg, pkg, pkg, q.namespace)
}
