package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
)

// CRD reads a CustomResourceDefinition. It returns nil if there is none.
func (c *Cluster) CRD(ctx context.Context, name string) (*apiextensionsv1.CustomResourceDefinition, error) {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	err := c.client.Get(ctx, client.ObjectKey{Name: name}, crd)
	if isAbsent(err) {
		return nil, nil //nolint:nilnil // an absent object is an answer
	}
	if err != nil {
		return nil, Classify(err, fmt.Sprintf("read CustomResourceDefinition %q", name))
	}
	return crd, nil
}

// CreateCRD creates crd. A plan that was faster is an error of kind
// failure.Conflict.
func (c *Cluster) CreateCRD(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) error {
	return Classify(c.client.Create(ctx, crd, client.FieldOwner(FieldManager)), fmt.Sprintf("create CustomResourceDefinition %q", crd.Name))
}

// TryCRD asks the API server whether it would create crd. Nothing is written.
func (c *Cluster) TryCRD(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) error {
	return Classify(c.client.Create(ctx, crd.DeepCopy(), client.FieldOwner(FieldManager), client.DryRunAll), fmt.Sprintf("create CustomResourceDefinition %q", crd.Name))
}

// UpdateCRD replaces a CustomResourceDefinition that was read before; its
// resourceVersion keeps two writers apart.
func (c *Cluster) UpdateCRD(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) error {
	return Classify(c.client.Update(ctx, crd, client.FieldOwner(FieldManager)), fmt.Sprintf("update CustomResourceDefinition %q", crd.Name))
}

// AnnotateCRD sets labels and annotations and nothing else, so that plans
// which share a CustomResourceDefinition do not meet.
func (c *Cluster) AnnotateCRD(ctx context.Context, name string, labels, annotations map[string]string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels, "annotations": annotations}})
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	crd.Name = name
	err = c.client.Patch(ctx, crd, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(FieldManager))
	return Classify(err, fmt.Sprintf("annotate CustomResourceDefinition %q", name))
}

// LockCRD keeps other plans of this process from changing a
// CustomResourceDefinition until unlock is called.
func (c *Cluster) LockCRD(name string) (unlock func()) { return c.locks.lock(name) }

// listPage is how many custom resources are held in memory at once.
const listPage = 100

// EachResource calls f for every object of a kind, in all namespaces, until f
// returns an error.
func (c *Cluster) EachResource(ctx context.Context, gvk schema.GroupVersionKind, f func(*unstructured.Unstructured) error) error {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	for {
		err := c.client.List(ctx, list, client.Limit(listPage), client.Continue(list.GetContinue()))
		if isAbsent(err) {
			return failure.New(failure.Waiting, "the cluster does not serve %s %s yet", gvk.GroupVersion(), gvk.Kind)
		}
		if err != nil {
			return Classify(err, "list "+gvk.Kind)
		}
		for i := range list.Items {
			if err := f(&list.Items[i]); err != nil {
				return err
			}
		}
		if list.GetContinue() == "" {
			return nil
		}
	}
}

// ShowsColumn reports whether the API server already works with a
// CustomResourceDefinition that has a printer column. What it shows and what it
// stores come from one reading of the definition; discovery is told separately
// and may be ahead, while objects are still stored as before.
func (c *Cluster) ShowsColumn(ctx context.Context, gvk schema.GroupVersionKind, plural, column string) (bool, error) {
	raw, ok := c.discovery.(interface{ RESTClient() rest.Interface })
	if !ok {
		return true, nil
	}
	table := &metav1.Table{}
	body, err := raw.RESTClient().Get().AbsPath("/apis", gvk.Group, gvk.Version, plural).
		Param("limit", "1").SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(ctx)
	if isAbsent(err) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(body, table)
	}
	if err != nil {
		return false, Classify(err, "list "+gvk.Kind)
	}
	return slices.ContainsFunc(table.ColumnDefinitions, func(d metav1.TableColumnDefinition) bool { return d.Name == column }), nil
}

// StoreAgain writes every object of a kind as it is, so that it is stored in
// the version that its CustomResourceDefinition now names. An object that
// somebody else changes or deletes meanwhile needs no more than that.
func (c *Cluster) StoreAgain(ctx context.Context, gvk schema.GroupVersionKind) error {
	return c.EachResource(ctx, gvk, func(u *unstructured.Unstructured) error {
		err := c.client.Update(ctx, u, client.FieldOwner(FieldManager))
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return nil
		}
		return Classify(err, fmt.Sprintf("store %s %q again", u.GetKind(), u.GetName()))
	})
}

// ForgetVersions removes versions from status.storedVersions.
func (c *Cluster) ForgetVersions(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition, versions []string) error {
	crd.Status.StoredVersions = slices.DeleteFunc(slices.Clone(crd.Status.StoredVersions), func(v string) bool { return slices.Contains(versions, v) })
	err := c.client.Status().Update(ctx, crd, client.FieldOwner(FieldManager))
	return Classify(err, fmt.Sprintf("record the stored versions of CustomResourceDefinition %q", crd.Name))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
