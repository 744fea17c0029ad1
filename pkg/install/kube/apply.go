package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Result is what Ensure left on the cluster.
type Result struct {
	Object  *unstructured.Unstructured // as the server last told
	Created bool
	Written bool // false: it was as it should be
}

// conflictRetries is how often a write starts again because another writer
// was faster, before the caller is told.
const conflictRetries = 4

// formerManagers are the field managers of v0. What they own becomes ours when
// we change an object that they made, so that fields can be removed from it.
var formerManagers = sets.New("catalog", "olm", "olm.install", "operator-lifecycle-manager")

// FormerManagers returns the field managers of v0.
func FormerManagers() sets.Set[string] { return formerManagers.Clone() }

// Ensure makes an object be as obj says: created if it is absent, changed by
// server-side apply if it differs, left alone otherwise. Fields that obj does
// not name belong to others and stay; owner references that an object has to
// other ClusterServiceVersions stay too, because operators may share it; a
// number of replicas that an autoscaler or a person set by the scale
// subresource stays theirs. Errors are classified, see Classify.
func (c *Cluster) Ensure(ctx context.Context, obj client.Object) (Result, error) {
	desired, err := c.unstructured(obj)
	if err != nil {
		return Result{}, err
	}
	live, err := c.Get(ctx, desired.GroupVersionKind(), client.ObjectKeyFromObject(desired))
	if err != nil {
		return Result{}, err
	}
	return c.ensure(ctx, live, desired)
}

// EnsureFrom is Ensure for an object that was just read; live is nil if it is absent.
func (c *Cluster) EnsureFrom(ctx context.Context, live *unstructured.Unstructured, obj client.Object) (Result, error) {
	desired, err := c.unstructured(obj)
	if err != nil {
		return Result{}, err
	}
	return c.ensure(ctx, live, desired)
}

func (c *Cluster) ensure(ctx context.Context, live, desired *unstructured.Unstructured) (Result, error) {
	for attempt := 1; ; attempt++ {
		result, err := c.apply(ctx, live, desired.DeepCopy())
		if !apierrors.IsConflict(err) || attempt == conflictRetries {
			return result, Classify(err, describeObject(desired))
		}
		if live, err = c.Get(ctx, desired.GroupVersionKind(), client.ObjectKeyFromObject(desired)); err != nil {
			return Result{}, err
		}
	}
}

// Create creates an object unless it exists, which it leaves alone.
func (c *Cluster) Create(ctx context.Context, obj client.Object) (created bool, err error) {
	err = c.client.Create(ctx, obj, client.FieldOwner(FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return false, nil
	}
	return err == nil, Classify(err, fmt.Sprintf("create %s %q", obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName()))
}

// Try asks the API server whether it would accept what Ensure would write.
// Nothing is written.
func (c *Cluster) Try(ctx context.Context, obj client.Object) error {
	desired, err := c.unstructured(obj)
	if err != nil {
		return err
	}
	err = c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), client.FieldOwner(FieldManager), client.ForceOwnership, client.DryRunAll)
	return Classify(err, describeObject(desired))
}

// IsAsDesired reports whether Ensure would write nothing, given the object as
// it is.
func (c *Cluster) IsAsDesired(live *unstructured.Unstructured, obj client.Object) (bool, error) {
	desired, err := c.unstructured(obj)
	if err != nil {
		return false, err
	}
	desired = desired.DeepCopy()
	reconcile(live, desired)
	return Matches(live, desired) || c.seen.has(live, desired), nil
}

func (c *Cluster) apply(ctx context.Context, live, desired *unstructured.Unstructured) (Result, error) {
	wanted := desired.DeepCopy()
	if live == nil {
		err := c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), client.FieldOwner(FieldManager), client.ForceOwnership)
		c.remember(desired, wanted)
		return Result{Object: desired, Created: true, Written: true}, err
	}
	reconcile(live, desired)
	if Matches(live, desired) || c.seen.has(live, desired) {
		return Result{Object: live}, nil
	}
	version, err := c.adopt(ctx, live)
	if err != nil {
		return Result{}, err
	}
	wanted = desired.DeepCopy()
	desired.SetResourceVersion(version)
	if err := c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), client.FieldOwner(FieldManager), client.ForceOwnership); err != nil {
		return Result{}, err
	}
	c.remember(desired, wanted)
	return Result{Object: desired, Written: desired.GetResourceVersion() != version}, nil
}

// remember notes a reply of the API server that does not look like what was applied.
func (c *Cluster) remember(reply, wanted *unstructured.Unstructured) {
	if reply.GetUID() != "" && !Matches(reply, wanted) {
		c.seen.put(reply, wanted)
	}
}

// adopt makes the fields that v0 wrote ours, and returns the version of the
// object after that.
func (c *Cluster) adopt(ctx context.Context, live *unstructured.Unstructured) (string, error) {
	if _, ours := ownFields(live); ours || !hasFormerManager(live) {
		return live.GetResourceVersion(), nil
	}
	patch, err := csaupgrade.UpgradeManagedFieldsPatch(live, formerManagers, FieldManager)
	if err != nil || len(patch) == 0 {
		return live.GetResourceVersion(), err
	}
	adopted := live.DeepCopy()
	if err := c.client.Patch(ctx, adopted, client.RawPatch(types.JSONPatchType, patch)); err != nil {
		return "", err
	}
	return adopted.GetResourceVersion(), nil
}

func hasFormerManager(live *unstructured.Unstructured) bool {
	return slices.ContainsFunc(live.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		return formerManagers.Has(e.Manager)
	})
}

// reconcile takes over into desired what it has to respect of live.
func reconcile(live, desired *unstructured.Unstructured) {
	keepOwners(live, desired)
	yieldScale(live, desired)
}

func keepOwners(live, desired *unstructured.Unstructured) {
	refs := desired.GetOwnerReferences()
	added := false
	for _, ref := range live.GetOwnerReferences() {
		known := slices.ContainsFunc(refs, func(r metav1.OwnerReference) bool { return r.UID == ref.UID })
		if ref.Kind == "ClusterServiceVersion" && !known {
			refs, added = append(refs, ref), true
		}
	}
	if added {
		desired.SetOwnerReferences(refs)
	}
}

// yieldScale drops from desired what was last set through the scale subresource.
func yieldScale(live, desired *unstructured.Unstructured) {
	for _, entry := range live.GetManagedFields() {
		if entry.Subresource != "scale" || entry.FieldsV1 == nil {
			continue
		}
		set := &fieldpath.Set{}
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			continue
		}
		set.Iterate(func(p fieldpath.Path) {
			path := make([]string, 0, len(p))
			for _, e := range p {
				if e.FieldName == nil {
					return
				}
				path = append(path, *e.FieldName)
			}
			unstructured.RemoveNestedField(desired.Object, path...)
		})
	}
}

// unstructured returns what of obj is applied: no status, and nothing that
// only the API server sets.
func (c *Cluster) unstructured(obj client.Object) (*unstructured.Unstructured, error) {
	gvk, err := apiutil.GVKForObject(obj, c.client.Scheme())
	if err != nil {
		return nil, fmt.Errorf("kind of %q: %w", obj.GetName(), err)
	}
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
		if err != nil {
			return nil, fmt.Errorf("convert %s %q: %w", gvk.Kind, obj.GetName(), err)
		}
		u = &unstructured.Unstructured{Object: content}
	}
	out := &unstructured.Unstructured{Object: maps.Clone(u.Object)}
	delete(out.Object, "status")
	metadata, _ := out.Object["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	for _, k := range []string{"creationTimestamp", "uid", "resourceVersion", "generation", "managedFields", "selfLink"} {
		delete(metadata, k)
	}
	out.Object["metadata"] = metadata
	out.SetGroupVersionKind(gvk)
	out.Object, _ = withoutNulls(out.Object).(map[string]any)
	return out, nil
}

// withoutNulls returns v without fields that are null, which manifests have
// and objects never do.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			if item != nil {
				out[k] = withoutNulls(item)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = withoutNulls(item)
		}
		return out
	default:
		return v
	}
}

func describeObject(u *unstructured.Unstructured) string {
	return fmt.Sprintf("apply %s %q", u.GetKind(), u.GetName())
}

// memory remembers objects that never look like what was applied, because the
// API server drops unknown fields or rewrites values: as long as they do not
// change, applying again would change nothing.
type memory struct {
	mu    sync.Mutex
	known map[types.UID]string
}

// memoryLimit bounds how many objects are remembered; forgetting one costs a request.
const memoryLimit = 2048

func (m *memory) put(live, desired *unstructured.Unstructured) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= memoryLimit {
		m.known = map[types.UID]string{}
	}
	m.known[live.GetUID()] = memoryKey(live, desired)
}

func (m *memory) has(live, desired *unstructured.Unstructured) bool {
	m.mu.Lock()
	known := m.known[live.GetUID()]
	m.mu.Unlock()
	return known != "" && known == memoryKey(live, desired)
}

func memoryKey(live, desired *unstructured.Unstructured) string {
	content, err := json.Marshal(desired.Object)
	if err != nil {
		return ""
	}
	return live.GetResourceVersion() + "/" + digest(content)
}
