package main

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// applyConfiguration keeps only what an applier may own: no status, and no
// fields that the server fills.
func applyConfiguration(fields map[string]any) *unstructured.Unstructured {
	delete(fields, "status")
	u := &unstructured.Unstructured{Object: fields}
	unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")
	if spec, ok := fields["spec"].(map[string]any); ok && len(spec) == 0 {
		delete(fields, "spec")
	}
	return u
}
