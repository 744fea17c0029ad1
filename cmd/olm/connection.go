package main

import (
	"context"
	"errors"
	"net"
	"net/url"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
)

// connection says which cluster a command talks to.
type connection struct {
	kubeconfig string
	context    string
}

// loader reads the kubeconfig by the rules of kubectl.
func (c *connection) loader() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context})
}

// config is what client libraries need; Invalid if there is no cluster to talk to.
func (c *connection) config() (*rest.Config, error) {
	cfg, err := c.loader().ClientConfig()
	if err != nil {
		return nil, &failure.Error{Kind: failure.Invalid, Message: "no cluster to talk to", Hint: "name a kubeconfig with --kubeconfig or $KUBECONFIG", Err: err}
	}
	cfg.QPS, cfg.Burst = 50, 100
	return cfg, nil
}

// namespace returns ns, or the one of the kubeconfig context if ns is empty.
func (c *connection) namespace(ns string) string {
	if ns != "" {
		return ns
	}
	if found, _, err := c.loader().Namespace(); err == nil && found != "" {
		return found
	}
	return "default"
}

// client returns a client that can also watch.
func (c *connection) client() (client.WithWatch, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	cl, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	return cl, friendly(err)
}

// newScheme knows the kinds that the program reads and writes.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, apiregistrationv1.AddToScheme,
		operatorsv1alpha1.AddToScheme, operatorsv1.AddToScheme, operatorsv2.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// friendly turns what a cluster answers into sentences with a cure.
func friendly(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := asFailure(err); ok {
		return err
	}
	var dial *net.OpError
	var address *url.Error
	switch {
	case meta.IsNoMatchError(err):
		return &failure.Error{Kind: failure.NotFound, Message: "the cluster does not know the operator kinds", Hint: "run `olm setup` once", Err: err}
	case apierrors.IsForbidden(err):
		return &failure.Error{Kind: failure.Blocked, Message: "the cluster refuses", Hint: "ask an administrator for the right named above", Err: err}
	case apierrors.IsUnauthorized(err):
		return &failure.Error{Kind: failure.Blocked, Message: "the cluster does not accept your credentials", Hint: "check the user of the kubeconfig context", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure.Error{Kind: failure.Waiting, Message: "timed out", Hint: "wait longer with --timeout", Err: err}
	case errors.As(err, &dial), errors.As(err, &address):
		return &failure.Error{Kind: failure.Waiting, Message: "the cluster does not answer", Hint: "check that it runs and that the kubeconfig names its address", Err: err}
	}
	return err
}
