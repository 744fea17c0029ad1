package kube

import (
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Matches reports whether applying desired to live would change nothing: live
// has every value of desired, the lifecycle owns them all, and it owns nothing
// that desired no longer has. Fields of others do not count. If the lifecycle
// never applied to live, having the values is enough.
func Matches(live, desired *unstructured.Unstructured) bool {
	owned, ok := ownFields(live)
	want, have := payload(desired), payload(live)
	if !ok {
		return contains(have, want)
	}
	return matchOwned(have, want, owned)
}

// payload is the part of an object that managed fields speak of.
func payload(u *unstructured.Unstructured) map[string]any {
	out := make(map[string]any, len(u.Object))
	for k, v := range u.Object {
		switch k {
		case "apiVersion", "kind", "status", "metadata":
		default:
			out[k] = v
		}
	}
	source, _ := u.Object["metadata"].(map[string]any)
	metadata := map[string]any{}
	for _, k := range []string{"labels", "annotations", "ownerReferences", "finalizers"} {
		if v, ok := source[k]; ok {
			metadata[k] = v
		}
	}
	if len(metadata) > 0 {
		out["metadata"] = metadata
	}
	return out
}

// ownFields returns the fields of live that the lifecycle applied.
func ownFields(live *unstructured.Unstructured) (*fieldpath.Set, bool) {
	for _, entry := range live.GetManagedFields() {
		if entry.Manager != FieldManager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		set := &fieldpath.Set{}
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return nil, false
		}
		return set.RecursiveDifference(statusField), true
	}
	return nil, false
}

// statusField is never compared: a status has one writer and it is not this package.
var statusField = fieldpath.NewSet(fieldpath.Path{{FieldName: new("status")}})

// matchOwned compares have and want along the fields in owned.
func matchOwned(have, want any, owned *fieldpath.Set) bool {
	switch w := want.(type) {
	case map[string]any:
		h, _ := have.(map[string]any)
		return matchMap(h, w, owned)
	case []any:
		h, _ := have.([]any)
		return matchList(h, w, owned)
	default:
		return equalValue(have, want)
	}
}

func matchMap(have, want map[string]any, owned *fieldpath.Set) bool {
	for name := range names(owned) {
		if _, ok := want[name]; !ok {
			return false
		}
	}
	for name, w := range want {
		element := fieldpath.PathElement{FieldName: &name}
		children, nested := owned.Children.Get(element)
		switch {
		case nested:
			if !matchOwned(have[name], w, children) {
				return false
			}
		case owned.Members.Has(element):
			if !contains(have[name], w) {
				return false
			}
		case !isEmpty(w):
			return false
		}
	}
	return true
}

// names returns the fields of a map that are owned in whole or in part.
func names(owned *fieldpath.Set) map[string]bool {
	out := map[string]bool{}
	add := func(e fieldpath.PathElement) {
		if e.FieldName != nil {
			out[*e.FieldName] = true
		}
	}
	owned.Members.Iterate(add)
	owned.Children.Iterate(add)
	return out
}

// matchList compares a list whose items have keys or are a set.
func matchList(have, want []any, owned *fieldpath.Set) bool {
	elements := items(owned)
	if len(elements) != len(want) {
		return false
	}
	for _, w := range want {
		element, ok := find(elements, w)
		if !ok {
			return false
		}
		h, ok := at(have, element)
		if !ok {
			return false
		}
		if children, nested := owned.Children.Get(element); nested && !matchOwned(h, w, children) {
			return false
		}
	}
	return true
}

func items(owned *fieldpath.Set) []fieldpath.PathElement {
	seen := map[string]fieldpath.PathElement{}
	add := func(e fieldpath.PathElement) {
		if e.Key != nil || e.Value != nil {
			seen[e.String()] = e
		}
	}
	owned.Members.Iterate(add)
	owned.Children.Iterate(add)
	out := make([]fieldpath.PathElement, 0, len(seen))
	for _, e := range seen {
		out = append(out, e)
	}
	return out
}

func find(elements []fieldpath.PathElement, item any) (fieldpath.PathElement, bool) {
	for _, e := range elements {
		if fits(e, item) {
			return e, true
		}
	}
	return fieldpath.PathElement{}, false
}

func at(list []any, element fieldpath.PathElement) (any, bool) {
	for _, item := range list {
		if fits(element, item) {
			return item, true
		}
	}
	return nil, false
}

// fits reports whether item is the one that element names. A key field that
// item does not have was added by the API server as a default.
func fits(element fieldpath.PathElement, item any) bool {
	if element.Value != nil {
		return equalValue((*element.Value).Unstructured(), item)
	}
	m, ok := item.(map[string]any)
	if !ok || element.Key == nil {
		return false
	}
	matched := false
	for _, field := range *element.Key {
		v, has := m[field.Name]
		if has && !equalValue(field.Value.Unstructured(), v) {
			return false
		}
		matched = matched || has
	}
	return matched
}

// contains reports whether have has every value of want. Maps may have more,
// lists may not.
func contains(have, want any) bool {
	if isEmpty(want) {
		return isEmpty(have) || reflect.TypeOf(want) == reflect.TypeFor[map[string]any]()
	}
	switch w := want.(type) {
	case map[string]any:
		h, _ := have.(map[string]any)
		for k, v := range w {
			if !contains(h[k], v) {
				return false
			}
		}
		return true
	case []any:
		h, _ := have.([]any)
		if len(h) != len(w) {
			return false
		}
		for i := range w {
			if !contains(h[i], w[i]) {
				return false
			}
		}
		return true
	default:
		return equalValue(have, want)
	}
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	case bool:
		return !v
	case int64:
		return v == 0
	case float64:
		return v == 0
	default:
		return false
	}
}

// equalValue compares scalars; numbers by their text, because JSON does not
// tell 1 from 1.0.
func equalValue(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	switch a.(type) {
	case int64, float64, int:
		switch b.(type) {
		case int64, float64, int:
			return fmt.Sprint(a) == fmt.Sprint(b)
		}
	}
	return isEmpty(a) && isEmpty(b)
}
