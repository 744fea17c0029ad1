// Package kube observes and changes the objects of one cluster for plans and
// operators. It reads live, one object at a time, so that its memory does not
// grow with the cluster; it writes by server-side apply and only what is not
// as it should be, so that a steady cluster sees no writes. What should be is
// decided elsewhere.
package kube

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"chandler.dev/olm/pkg/failure"
)

// FieldManager owns the fields that the lifecycle applies.
const FieldManager = "chandler"

// Cluster reads and writes objects of one cluster with the rights of one user.
type Cluster struct {
	client    client.Client
	discovery discovery.ServerResourcesInterface // nil for fakes
	locks     locks
	seen      memory
}

// New returns the cluster that c talks to. c must not read from a cache.
func New(c client.Client) *Cluster {
	return &Cluster{client: c}
}

// WithDiscovery makes ShowsColumn ask the server of d. Without it the API
// server is taken to work at once with a CustomResourceDefinition that changed.
func (c *Cluster) WithDiscovery(d discovery.ServerResourcesInterface) *Cluster {
	c.discovery = d
	return c
}

// Connect returns the cluster of cfg, read without a cache. mapper may be
// shared between the users of a cluster; nil makes one that asks the cluster
// for an API when it is first needed.
func Connect(cfg *rest.Config, scheme *runtime.Scheme, mapper meta.RESTMapper) (*Cluster, error) {
	httpClient, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if mapper == nil {
		if mapper, err = apiutil.NewDynamicRESTMapper(cfg, httpClient); err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
	}
	c, err := client.New(cfg, client.Options{HTTPClient: httpClient, Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	d, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, httpClient)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return New(c).WithDiscovery(d), nil
}

// Client returns the client that reads and writes live.
func (c *Cluster) Client() client.Client { return c.client }

// API says how a cluster serves a kind.
type API struct {
	Resource   string // plural, as in rules
	Namespaced bool
}

// API looks up a kind. It fails with failure.NotFound if the cluster does not
// serve it.
func (c *Cluster) API(gvk schema.GroupVersionKind) (API, error) {
	mapping, err := c.client.RESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version)
	switch {
	case meta.IsNoMatchError(err) || apierrors.IsNotFound(err):
		e := failure.New(failure.NotFound, "the cluster does not serve kind %q of %q", gvk.Kind, gvk.GroupVersion())
		e.Err = err
		return API{}, e
	case err != nil:
		return API{}, Classify(err, "look up kind "+gvk.Kind)
	}
	return API{Resource: mapping.Resource.Resource, Namespaced: mapping.Scope.Name() == meta.RESTScopeNameNamespace}, nil
}

// HasOtherVersion reports whether the cluster serves a kind in any version.
func (c *Cluster) HasOtherVersion(kind schema.GroupKind) (bool, error) {
	mappings, err := c.client.RESTMapper().RESTMappings(kind)
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return false, nil
	}
	return len(mappings) > 0, Classify(err, "look up kind "+kind.Kind)
}

// Get reads an object. It returns nil if there is none, also if the cluster
// does not serve its kind.
func (c *Cluster) Get(ctx context.Context, gvk schema.GroupVersionKind, key client.ObjectKey) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	err := c.client.Get(ctx, key, u)
	if isAbsent(err) {
		return nil, nil //nolint:nilnil // an absent object is an answer
	}
	if err != nil {
		return nil, Classify(err, "read "+gvk.Kind+" "+key.Name)
	}
	return u, nil
}

// GetMetadata reads the metadata of an object. It returns nil if there is none.
func (c *Cluster) GetMetadata(ctx context.Context, gvk schema.GroupVersionKind, key client.ObjectKey) (*metav1.PartialObjectMetadata, error) {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(gvk)
	err := c.client.Get(ctx, key, m)
	if isAbsent(err) {
		return nil, nil //nolint:nilnil // an absent object is an answer
	}
	if err != nil {
		return nil, Classify(err, "read "+gvk.Kind+" "+key.Name)
	}
	return m, nil
}

func isAbsent(err error) bool {
	return apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
}

// locks serialize writers of one object inside this process, so that plans
// that bring the same cluster-wide object do not run into each other.
type locks struct {
	mu   sync.Mutex
	held map[string]*heldLock
}

type heldLock struct {
	sync.Mutex

	users int
}

func (l *locks) lock(key string) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*heldLock{}
	}
	h := l.held[key]
	if h == nil {
		h = &heldLock{}
		l.held[key] = h
	}
	h.users++
	l.mu.Unlock()
	h.Lock()
	return func() {
		h.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(l.held, key)
		}
	}
}
