package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/sqlite"
	"chandler.dev/olm/pkg/resolver"
)

// sqliteMagic is how a SQLite file begins.
const sqliteMagic = "SQLite format 3\x00"

// replacement is a catalog that would have another content.
type replacement struct {
	ref    resolver.CatalogRef
	source string // where the content is
	store  registry.Store
}

// replacements opens what the flag --replace-catalog names. A catalog without a
// name is the only one that subscriptions of a namespace use, or of all
// namespaces if it is empty. The function that it returns, never nil, closes
// them.
func (q *questioner) replacements(ctx context.Context, texts []string, namespace string) (all []replacement, done func(), err error) {
	done = func() {
		for _, r := range all {
			if c, ok := r.store.(io.Closer); ok {
				_ = c.Close()
			}
		}
	}
	for _, text := range texts {
		name, source, named := strings.Cut(text, "=")
		if !named {
			name, source = "", text
		}
		r := replacement{source: source}
		if r.ref, err = q.catalogNamed(ctx, name, namespace); err != nil {
			return all, done, err
		}
		if r.store, err = openCatalog(ctx, source); err != nil {
			return all, done, err
		}
		all = append(all, r)
	}
	return all, done, nil
}

// catalogNamed finds a catalog of the cluster.
func (q *questioner) catalogNamed(ctx context.Context, name, namespace string) (resolver.CatalogRef, error) {
	if name == "" {
		return q.catalogInUse(ctx, namespace)
	}
	key := catalogKey(name, q.global)
	found := catalogMetadata()
	err := q.client.Get(ctx, key, found)
	if apierrors.IsNotFound(err) {
		return resolver.CatalogRef{}, failure.New(failure.NotFound, "there is no catalog %s", key).
			WithHint("`kubectl get catalogsources -A` lists them; write it as NAMESPACE/NAME")
	}
	return resolver.CatalogRef{Namespace: key.Namespace, Name: key.Name}, friendly(err)
}

// catalogInUse returns the one catalog that subscriptions name.
func (q *questioner) catalogInUse(ctx context.Context, namespace string) (resolver.CatalogRef, error) {
	var subs operatorsv1alpha1.SubscriptionList
	if err := q.client.List(ctx, &subs, client.InNamespace(namespace)); err != nil {
		return resolver.CatalogRef{}, friendly(err)
	}
	names := map[string]resolver.CatalogRef{}
	for i := range subs.Items {
		if spec := subs.Items[i].Spec; spec != nil && spec.CatalogSource != "" {
			names[spec.CatalogSourceNamespace+"/"+spec.CatalogSource] = resolver.CatalogRef{Namespace: spec.CatalogSourceNamespace, Name: spec.CatalogSource}
		}
	}
	switch len(names) {
	case 0:
		return resolver.CatalogRef{}, failure.New(failure.NotFound, "no subscription names a catalog").
			WithHint("name the catalog to replace as NAMESPACE/NAME; `kubectl get catalogsources -A` lists them")
	case 1:
		for _, ref := range names {
			return ref, nil
		}
	}
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return resolver.CatalogRef{}, failure.New(failure.Invalid, "subscriptions use %d catalogs: %s", len(list), strings.Join(list, ", ")).
		WithHint("name the one to replace as NAMESPACE/NAME")
}

// replaceIn returns the sources with the content that they would have.
func replaceIn(sources []resolver.Source, replaced []replacement) []resolver.Source {
	then := slices.Clone(sources)
	for i := range then {
		for _, r := range replaced {
			if then[i].Ref == r.ref {
				then[i].Store, then[i].Unavailable = r.store, ""
			}
		}
	}
	return then
}

// openCatalog opens a catalog file, or a file-based catalog, which it indexes
// into a file that is gone with the process.
func openCatalog(ctx context.Context, path string) (registry.Store, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, failure.New(failure.NotFound, "there is no %q", path).
			WithHint("name a catalog file or a directory of a file-based catalog; `catalog build` makes a catalog file of anything else")
	}
	if err != nil {
		return nil, err
	}
	source := fbc.Dir(path)
	if !info.IsDir() {
		indexed, err := isIndex(path)
		if err != nil {
			return nil, err
		}
		if indexed {
			return sqlite.Open(ctx, path)
		}
		source = fbc.File(path)
	}
	dir, err := os.MkdirTemp("", "chandler-plan-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system removes it one day
	index := filepath.Join(dir, "catalog.db")
	if err := sqlite.Create(ctx, index, registry.Validated(source)); err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, index) // opens it as often as it ever will
}

func isIndex(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close() //nolint:errcheck // only read
	head := make([]byte, len(sqliteMagic))
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return bytes.Equal(head[:n], []byte(sqliteMagic)), err
}
