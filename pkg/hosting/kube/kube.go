// Package kube reads from one cluster what a catalog server hosts: it watches
// CatalogSources and the ConfigMaps that they name, and reads their pull
// secrets. Everything that belongs to a CatalogSource is read in its own
// namespace. It writes nothing. It is a client of its own, because the usual
// library adds a sixth to the memory of a server that does not use it.
package kube

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"k8s.io/utils/clock"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/hosting"
)

const catalogSources = "/apis/operators.coreos.com/v1alpha1/catalogsources"

// Cluster is an API server.
type Cluster struct {
	client *client
	log    *slog.Logger
}

// Connect returns the cluster of a kubeconfig, by the rules of kubectl: the file
// that is named, then the usual ones, then the cluster that the program runs in.
// It talks to nobody. failure.Invalid if there is none.
func Connect(kubeconfig, kubeContext string, log *slog.Logger) (*Cluster, error) {
	a, err := accessOf(kubeconfig, kubeContext)
	if err != nil {
		return nil, err
	}
	transport, err := a.transport()
	if err != nil {
		return nil, none("the kubeconfig cannot be used", err)
	}
	base := strings.TrimSuffix(a.cluster.Server, "/")
	return &Cluster{client: &client{base: base, http: &http.Client{Transport: transport}, clock: clock.RealClock{}}, log: log}, nil
}

// Catalogs tells all CatalogSources that ask to be hosted, once they are all
// known and again on every change, until ctx ends.
func (c *Cluster) Catalogs(ctx context.Context, changed func([]hosting.Request)) error {
	known := map[string]hosting.Request{}
	take := func(object json.RawMessage, isThere bool) {
		r, ok, err := hosting.Parse(object)
		if err != nil { // its controller says so
			return
		}
		if delete(known, r.Key()); ok && isThere {
			known[r.Key()] = r
		}
	}
	tell := func() { changed(slices.Collect(maps.Values(known))) }
	c.client.follow(ctx, followed{
		path: catalogSources,
		replace: func(objects []json.RawMessage) {
			known = map[string]hosting.Request{}
			for _, object := range objects {
				take(object, true)
			}
			tell()
		},
		put:     func(object json.RawMessage) { take(object, true); tell() },
		remove:  func(object json.RawMessage) { take(object, false); tell() },
		trouble: c.trouble("CatalogSources"),
	})
	return nil
}

// trouble logs why something cannot be read, once for the same reason.
func (c *Cluster) trouble(what string) func(error) {
	last := ""
	return func(err error) {
		if text := err.Error(); text != last {
			last = text
			c.log.Warn("the cluster does not answer; it is asked again", "for", what, "error", err)
		}
	}
}

// ConfigMap tells the data of a ConfigMap, nil if there is none, at once and
// again on every change, until ctx ends.
func (c *Cluster) ConfigMap(ctx context.Context, namespace, name string, changed func(data map[string]string)) error {
	if !isName(name) {
		changed(nil)
		<-ctx.Done()
		return nil
	}
	put := func(object json.RawMessage) {
		var configMap struct{ Data map[string]string }
		if err := json.Unmarshal(object, &configMap); err != nil || configMap.Data == nil {
			configMap.Data = map[string]string{}
		}
		changed(configMap.Data)
	}
	c.client.follow(ctx, followed{
		path: "/api/v1/namespaces/" + namespace + "/configmaps", selector: "metadata.name=" + name,
		replace: func(objects []json.RawMessage) {
			if len(objects) == 0 {
				changed(nil)
				return
			}
			put(objects[0])
		},
		put:     put,
		remove:  func(json.RawMessage) { changed(nil) },
		trouble: c.trouble("ConfigMap " + namespace + "/" + name),
	})
	return nil
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
		if !isName(name) {
			absent = append(absent, name)
			continue
		}
		secret := hosting.Secret{Name: name}
		err := c.client.get(ctx, inNamespace(r, "secrets", name), nil, &secret)
		if answered(err, http.StatusNotFound, http.StatusForbidden) {
			absent = append(absent, name)
			continue
		}
		if err != nil {
			return nil, nil, unread("secret", name, err)
		}
		found = append(found, secret)
	}
	return found, absent, nil
}

func (c *Cluster) secretNames(ctx context.Context, r hosting.Request) ([]string, error) {
	names := slices.Clone(r.Secrets)
	var account struct{ ImagePullSecrets []struct{ Name string } }
	err := c.client.get(ctx, inNamespace(r, "serviceaccounts", r.Name), nil, &account)
	if err != nil && !answered(err, http.StatusNotFound, http.StatusForbidden) {
		return nil, unread("service account", r.Name, err)
	}
	for _, secret := range account.ImagePullSecrets {
		if secret.Name != "" && !slices.Contains(names, secret.Name) {
			names = append(names, secret.Name)
		}
	}
	return names, nil
}

// inNamespace is the path of an object beside a CatalogSource.
func inNamespace(r hosting.Request, resource, name string) string {
	return "/api/v1/namespaces/" + r.Namespace + "/" + resource + "/" + name
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// isName reports whether an object can have a name. Names come from users, and
// no other text may become part of a path.
func isName(name string) bool { return len(name) <= 253 && namePattern.MatchString(name) }

// unread says that an object cannot be read, and never what is in it.
func unread(kind, name string, err error) error {
	e := failure.New(failure.Waiting, "the %s %q cannot be read", kind, name)
	if status, ok := errors.AsType[*statusError](err); ok {
		e.Err = status
	} else if address, ok := errors.AsType[*url.Error](err); ok {
		e.Err = address
	}
	return e
}
