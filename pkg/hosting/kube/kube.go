// Package kube reads from one cluster what a catalog server hosts: it watches
// CatalogSources and the ConfigMaps that they name, and reads their pull
// secrets. Everything that belongs to a CatalogSource is read in its own
// namespace. It writes nothing.
package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/hosting"
)

// What is read.
var (
	catalogSources  = schema.GroupVersionResource{Group: "operators.coreos.com", Version: "v1alpha1", Resource: "catalogsources"}
	configMaps      = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets         = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	serviceAccounts = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
)

// Cluster is an API server.
type Cluster struct{ client dynamic.Interface }

// Connect returns the cluster of a kubeconfig, by the rules of kubectl: the file
// that is named, then the usual ones, then the cluster that the program runs in.
// failure.Invalid if there is none.
func Connect(kubeconfig, kubeContext string) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: kubeContext}).ClientConfig()
	if err != nil {
		return nil, &failure.Error{Kind: failure.Invalid, Message: "no cluster to talk to", Hint: "name a kubeconfig with --kubeconfig or $KUBECONFIG", Err: err}
	}
	config.UserAgent = "chandler-catalog"
	config.QPS, config.Burst = 50, 100
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, &failure.Error{Kind: failure.Invalid, Message: "the kubeconfig cannot be used", Hint: "see whether kubectl can use it", Err: err}
	}
	return &Cluster{client}, nil
}

// Catalogs tells all CatalogSources that ask to be hosted, once they are all
// known and again on every change, until ctx ends.
func (c *Cluster) Catalogs(ctx context.Context, changed func([]hosting.Request)) error {
	dirty := make(chan struct{}, 1)
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: c.lister(catalogSources, metav1.NamespaceAll, ""),
		ObjectType:    &unstructured.Unstructured{},
		Transform:     strip,
		Handler:       notice(dirty),
	})
	go controller.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		return nil
	}
	for {
		requests, err := parsed(store.List())
		if err != nil {
			return err
		}
		changed(requests)
		select {
		case <-ctx.Done():
			return nil
		case <-dirty:
		}
	}
}

// notice marks every change.
func notice(dirty chan struct{}) cache.ResourceEventHandler {
	mark := func() {
		select {
		case dirty <- struct{}{}:
		default:
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { mark() }, UpdateFunc: func(any, any) { mark() }, DeleteFunc: func(any) { mark() },
	}
}

// strip drops what nobody reads here.
func strip(object any) (any, error) {
	if u, ok := object.(*unstructured.Unstructured); ok {
		u.SetManagedFields(nil)
		u.SetAnnotations(nil)
		unstructured.RemoveNestedField(u.Object, "status")
		unstructured.RemoveNestedField(u.Object, "spec", "icon")
		unstructured.RemoveNestedField(u.Object, "spec", "description")
	}
	return object, nil
}

func parsed(objects []any) ([]hosting.Request, error) {
	var requests []hosting.Request
	for _, object := range objects {
		u, ok := object.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		text, err := u.MarshalJSON()
		if err != nil {
			return nil, err
		}
		if r, ok, err := hosting.Parse(text); err == nil && ok { // what cannot be read, its controller refuses
			requests = append(requests, r)
		}
	}
	return requests, nil
}

// ConfigMap tells the data of a ConfigMap, nil if there is none, at once and
// again on every change, until ctx ends.
func (c *Cluster) ConfigMap(ctx context.Context, namespace, name string, changed func(data map[string]string)) error {
	dirty := make(chan struct{}, 1)
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: c.lister(configMaps, namespace, fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()),
		ObjectType:    &unstructured.Unstructured{},
		Handler:       notice(dirty),
	})
	go controller.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		return nil
	}
	for {
		var data map[string]string
		if object, found, err := store.GetByKey(namespace + "/" + name); err == nil && found {
			data = map[string]string{}
			if u, ok := object.(*unstructured.Unstructured); ok {
				if stored, _, err := unstructured.NestedStringMap(u.Object, "data"); err == nil && stored != nil {
					data = stored
				}
			}
		}
		changed(data)
		select {
		case <-ctx.Done():
			return nil
		case <-dirty:
		}
	}
}

func (c *Cluster) lister(resource schema.GroupVersionResource, namespace, fieldSelector string) cache.ListerWatcher {
	client := c.client.Resource(resource).Namespace(namespace)
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = fieldSelector
			return client.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = fieldSelector
			return client.Watch(ctx, o)
		},
	}
}

// Secrets returns the pull secrets of a request: those that it names, and those
// of the ServiceAccount of its name, if there is one. Secrets that are not there
// or may not be read are named in absent.
func (c *Cluster) Secrets(ctx context.Context, r hosting.Request) (found []hosting.Secret, absent []string, err error) {
	names, err := c.secretNames(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		u, err := c.client.Resource(secrets).Namespace(r.Namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
			absent = append(absent, name)
			continue
		}
		if err != nil {
			return nil, nil, unread("secret", name, err)
		}
		secret, err := secretOf(u)
		if err != nil {
			return nil, nil, unread("secret", name, err)
		}
		found = append(found, secret)
	}
	return found, absent, nil
}

func (c *Cluster) secretNames(ctx context.Context, r hosting.Request) ([]string, error) {
	names := r.Secrets
	u, err := c.client.Resource(serviceAccounts).Namespace(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return names, nil
	}
	if err != nil {
		return nil, unread("service account", r.Name, err)
	}
	var account struct {
		ImagePullSecrets []struct {
			Name string `json:"name"`
		} `json:"imagePullSecrets"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &account); err != nil {
		return nil, unread("service account", r.Name, err)
	}
	for _, secret := range account.ImagePullSecrets {
		if secret.Name != "" {
			names = append(names[:len(names):len(names)], secret.Name)
		}
	}
	return names, nil
}

func secretOf(u *unstructured.Unstructured) (hosting.Secret, error) {
	var secret struct {
		Type string            `json:"type"`
		Data map[string][]byte `json:"data"`
	}
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &secret)
	return hosting.Secret{Name: u.GetName(), Type: secret.Type, Data: secret.Data}, err
}

// unread hides what a Secret may hold from messages.
func unread(kind, name string, err error) error {
	e := failure.New(failure.Waiting, "the %s %q cannot be read", kind, name)
	e.Err = fmt.Errorf("read %s: %s", kind, apierrors.ReasonForError(err))
	return e
}
