package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	fieldManager = "database-operator"

	// annotationApplied holds a digest of what was applied last. It tells that
	// a field was dropped, which a comparison of the remaining ones cannot.
	annotationApplied = "database.example.com/applied"
)

// apply makes an object what it shall be by server-side apply, and writes
// nothing if it is that already. live is an empty object of the same kind.
func (r *Reconciler) apply(ctx context.Context, desired runtime.ApplyConfiguration, live client.Object) error {
	want, err := signed(desired)
	if err != nil {
		return err
	}
	err = r.client.Get(ctx, client.ObjectKeyFromObject(want), live)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err == nil {
		have, err := tree(live)
		if err != nil {
			return err
		}
		// A typed client leaves the kind of what it returns empty.
		have["kind"], have["apiVersion"] = want.GetKind(), want.GetAPIVersion()
		if covers(have, want.Object) {
			return nil
		}
	}
	err = r.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(want), client.FieldOwner(fieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply %s %q: %w", want.GetKind(), want.GetName(), err)
	}
	return nil
}

// signed returns a desired object with its digest in an annotation.
func signed(desired runtime.ApplyConfiguration) (*unstructured.Unstructured, error) {
	fields, err := tree(desired)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	object := &unstructured.Unstructured{Object: fields}
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationApplied] = hex.EncodeToString(sum[:8])
	object.SetAnnotations(annotations)
	return object, nil
}

// tree is an object as JSON, decoded.
func tree(object any) (fields map[string]any, err error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	return fields, json.Unmarshal(text, &fields)
}

// covers says whether have has every field of want with the same value. What
// the API server fills in by itself is extra and does not count; lists must
// have the same length.
func covers(have, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range w {
			if !covers(h[key], value) {
				return false
			}
		}
		return true
	case []any:
		h, ok := have.([]any)
		if !ok || len(h) != len(w) {
			return false
		}
		for i := range w {
			if !covers(h[i], w[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(have, want)
}
