package snapshot

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/registry"
)

// Bundle returns a bundle of a snapshot with its manifests, wherever they are:
// in the snapshot, at the catalog, or in the image of the bundle.
func (c *Cache) Bundle(ctx context.Context, snapshot *Snapshot, pkg, name string) (registry.Bundle, error) {
	bundle, err := snapshot.Bundle(ctx, pkg, name)
	if err != nil || !isEmpty(bundle.Content) {
		return bundle, err
	}
	bundle.Content, err = c.elsewhere(ctx, snapshot, bundle)
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
	switch {
	case last != nil:
		return registry.Content{}, last
	case !c.has(catalog): // this process lost what it had read, or the catalog is gone
		return registry.Content{}, failure.New(failure.Waiting, "catalog %q, which the content of %q comes from, has to be read again", catalog, ref.Bundle).
			WithHint("check that the CatalogSource is there and its server runs; if it is gone for good, delete the install plan")
	}
	return registry.Content{}, failure.New(failure.NotFound, "catalog %q no longer has the content of %q that this plan was made from", catalog, ref.Bundle).
		WithHint("delete the install plan; a new one is made from what the catalog has now")
}

// contentIn looks into one snapshot, and into the image that it names.
func (c *Cache) contentIn(ctx context.Context, catalog types.NamespacedName, digest string, ref install.ContentRef) (registry.Content, error) {
	c.mu.Lock()
	snapshot, err := c.use(ctx, catalog, digest)
	c.mu.Unlock()
	if err != nil {
		return registry.Content{}, err
	}
	defer snapshot.Close()
	bundle, err := c.Bundle(ctx, snapshot, ref.Package, ref.Bundle)
	return bundle.Content, err
}

// elsewhere finds the manifests of a bundle that a snapshot has without them:
// at the catalog, which may hand out more than it lists, or in the image.
func (c *Cache) elsewhere(ctx context.Context, snapshot *Snapshot, bundle registry.Bundle) (registry.Content, error) {
	fetches := c.options.Fetch != nil && bundle.Image != ""
	if fetches {
		if content, ok := c.storedImage(bundle.Image); ok {
			return content, nil
		}
	}
	content, err := c.ask(ctx, snapshot, bundle)
	switch {
	case err == nil && !isEmpty(content):
		return content, nil
	case fetches:
		return c.fromImage(snapshot.Catalog, bundle.Image)
	case err != nil && (bundle.Image == "" || failure.KindOf(err) == failure.Waiting):
		return registry.Content{}, err
	case bundle.Image == "":
		return registry.Content{}, failure.New(failure.Invalid, "catalog %q offers %q without any manifest", snapshot.Catalog, bundle.Name).
			WithHint("tell the publisher of the catalog, or choose another version")
	}
	return registry.Content{}, failure.New(failure.Invalid, "the manifests of %q are only in the image %q", bundle.Name, bundle.Image).
		WithHint("serve the catalog from bundles whose manifests are inline (catalog build from bundle directories)")
}

// ask reads the manifests of a bundle from the catalog itself.
func (c *Cache) ask(ctx context.Context, snapshot *Snapshot, bundle registry.Bundle) (registry.Content, error) {
	c.mu.Lock()
	live := c.live[snapshot.Catalog]
	c.mu.Unlock()
	if live == nil {
		return registry.Content{}, failure.New(failure.Waiting, "catalog %q does not answer", snapshot.Catalog).
			WithHint("its content is needed once more; check that its server runs")
	}
	pkg, err := snapshot.Package(ctx, bundle.Package)
	if err != nil {
		return registry.Content{}, err
	}
	for _, channel := range pkg.Channels {
		if _, ok := channel.Entry(bundle.Name); ok {
			return live.Content(ctx, bundle.Package, channel.Name, bundle.Name)
		}
	}
	return registry.Content{}, failure.New(failure.NotFound, "no channel of package %q has %q", bundle.Package, bundle.Name)
}

func isEmpty(content registry.Content) bool {
	return len(content.CSV) == 0 && len(content.Objects) == 0
}

// has reports whether there is a last good content of a catalog.
func (c *Cache) has(catalog types.NamespacedName) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records[catalog].Digest != ""
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
