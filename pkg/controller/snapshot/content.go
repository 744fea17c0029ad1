package snapshot

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/registry"
)

// Bundle returns a bundle of the last good content of a catalog with its
// manifests, wherever they are: in the snapshot, at the catalog, or in the
// image of the bundle.
func (c *Cache) Bundle(ctx context.Context, catalog types.NamespacedName, pkg, name string) (registry.Bundle, error) {
	snapshot, err := c.Open(ctx, catalog)
	if err != nil {
		return registry.Bundle{}, err
	}
	defer snapshot.Close()
	bundle, err := snapshot.Bundle(ctx, pkg, name)
	if err != nil || !isEmpty(bundle.Content) {
		return bundle, err
	}
	bundle.Content, err = c.elsewhere(ctx, catalog, bundle)
	return bundle, err
}

// Content returns the manifests that a plan refers to, exactly as they were
// when the plan was made: failure.NotFound if no catalog has them any more,
// failure.Waiting if the catalog that may have them does not answer.
func (c *Cache) Content(ctx context.Context, ref install.ContentRef) (registry.Content, error) {
	catalog := types.NamespacedName{Namespace: ref.CatalogNamespace, Name: ref.CatalogName}
	var last error
	for _, digest := range c.known(catalog) {
		content, err := c.contentIn(ctx, catalog, digest, ref)
		if err == nil && install.ContentDigest(content) == ref.Digest {
			return content, nil
		}
		if err != nil && failure.KindOf(err) != failure.NotFound {
			last = err
		}
	}
	content, err := c.ask(ctx, catalog, ref.Package, ref.Bundle)
	if err == nil && install.ContentDigest(content) == ref.Digest {
		return content, nil
	}
	if last == nil && err != nil && failure.KindOf(err) == failure.Waiting {
		last = err
	}
	if last != nil {
		return registry.Content{}, last
	}
	return registry.Content{}, failure.New(failure.NotFound, "catalog %q no longer has the content of %q that this plan was made from", catalog, ref.Bundle).
		WithHint("delete the install plan; a new one is made from what the catalog has now")
}

// contentIn looks into one snapshot, and into the image that it names.
func (c *Cache) contentIn(ctx context.Context, catalog types.NamespacedName, digest string, ref install.ContentRef) (registry.Content, error) {
	c.mu.Lock()
	snapshot, err := c.use(ctx, digest)
	c.mu.Unlock()
	if err != nil {
		return registry.Content{}, err
	}
	defer snapshot.Close()
	bundle, err := snapshot.Bundle(ctx, ref.Package, ref.Bundle)
	if err != nil || !isEmpty(bundle.Content) {
		return bundle.Content, err
	}
	return c.elsewhere(ctx, catalog, bundle)
}

// elsewhere finds the manifests of a bundle that a snapshot has without them.
func (c *Cache) elsewhere(ctx context.Context, catalog types.NamespacedName, bundle registry.Bundle) (registry.Content, error) {
	content, err := c.ask(ctx, catalog, bundle.Package, bundle.Name)
	if err == nil && !isEmpty(content) {
		return content, nil
	}
	if err != nil && bundle.Image == "" {
		return registry.Content{}, err
	}
	if bundle.Image == "" {
		return registry.Content{}, failure.New(failure.Invalid, "catalog %q offers %q without any manifest", catalog, bundle.Name).
			WithHint("tell the publisher of the catalog, or choose another version")
	}
	if c.options.Fetch == nil {
		return registry.Content{}, failure.New(failure.Invalid, "the manifests of %q are only in the image %q", bundle.Name, bundle.Image).
			WithHint("serve the catalog from bundles whose manifests are inline (catalog build from bundle directories)")
	}
	return c.options.Fetch(ctx, catalog, bundle.Image)
}

// ask reads the manifests of a bundle from the catalog itself.
func (c *Cache) ask(ctx context.Context, catalog types.NamespacedName, pkg, name string) (registry.Content, error) {
	c.mu.Lock()
	live := c.live[catalog]
	c.mu.Unlock()
	if live == nil {
		return registry.Content{}, failure.New(failure.Waiting, "catalog %q does not answer", catalog).
			WithHint("its content is needed once more; check that its server runs")
	}
	bundle, err := live.Bundle(ctx, pkg, name)
	return bundle.Content, err
}

func isEmpty(content registry.Content) bool {
	return len(content.CSV) == 0 && len(content.Objects) == 0
}

func (c *Cache) known(catalog types.NamespacedName) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records[catalog].digests()
}

// Prune removes old content: needed are the references of all plans that are
// not finished. What a catalog had just before stays, because a plan may be in
// the making that was decided from it.
func (c *Cache) Prune(needed []install.ContentRef) error {
	wanted := map[types.NamespacedName]bool{}
	for _, ref := range needed {
		wanted[types.NamespacedName{Namespace: ref.CatalogNamespace, Name: ref.CatalogName}] = true
	}
	c.mu.Lock()
	var errs []error
	for catalog, rec := range c.records {
		switch {
		case wanted[catalog]:
		case rec.Digest == "":
			delete(c.records, catalog)
			errs = append(errs, removeRecord(c.options.Dir, catalog))
		case len(rec.Previous) > 1:
			rec.Previous = rec.Previous[:1]
			errs = append(errs, c.record(catalog, rec))
		}
	}
	stale := c.closeUnused()
	errs = append(errs, c.sweep())
	c.mu.Unlock()
	closeAll(stale)
	return errors.Join(errs...)
}
