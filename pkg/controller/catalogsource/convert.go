package catalogsource

import (
	"fmt"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// GVK of the objects that this package reconciles.
var GVK = v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.CatalogSourceKind)

// NewObject returns an empty CatalogSource to read one into. The Go
// type is not used on the wire: its decoder crashes on an updateStrategy
// without registryPoll, which the API server accepts from any user.
func NewObject() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(GVK)
	return u
}

// NewList returns an empty list to read CatalogSources into.
func NewList() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(GVK.GroupVersion().WithKind(GVK.Kind + "List"))
	return list
}

// Decode returns the typed form of a CatalogSource.
func Decode(u *unstructured.Unstructured) (*v1alpha1.CatalogSource, error) {
	content := u.UnstructuredContent()
	strategy, found, err := unstructured.NestedMap(content, "spec", "updateStrategy")
	if err != nil {
		return nil, fmt.Errorf("decode catalog source: %w", err)
	}
	if found && strategy["registryPoll"] == nil {
		u = u.DeepCopy()
		content = u.UnstructuredContent()
		unstructured.RemoveNestedField(content, "spec", "updateStrategy")
	}
	cs := &v1alpha1.CatalogSource{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, cs); err != nil {
		return nil, fmt.Errorf("decode catalog source: %w", err)
	}
	return cs, nil
}
