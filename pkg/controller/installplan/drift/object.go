// Package drift notices what others do to the objects of complete plans, so
// that plans can put back what is theirs. It watches the metadata of what the
// lifecycle made, of the kinds that plans bring and no others; what an object
// should be is not its business.
package drift

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"chandler.dev/olm/pkg/install/kube"
)

// ours are the field managers of the lifecycle: that of this project and those
// of v0.
var ours = sets.New(kube.FieldManager).Union(kube.FormerManagers())

// lastApplied is a copy of the whole object that some tools keep in it.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// strip leaves of an object's metadata what tells a change by others from one
// by the lifecycle: of its field managers only our own and those that own more
// than metadata and status, and of these no fields.
func strip(obj any) (any, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return obj, nil //nolint:nilerr // not an object, but a mark of a deleted one
	}
	var kept []metav1.ManagedFieldsEntry
	for _, e := range m.GetManagedFields() {
		if ours.Has(e.Manager) || ownsContent(e) {
			kept = append(kept, metav1.ManagedFieldsEntry{Manager: e.Manager, Operation: e.Operation, Time: e.Time})
		}
	}
	m.SetManagedFields(kept)
	if annotations := m.GetAnnotations(); annotations[lastApplied] != "" {
		annotations = maps.Clone(annotations)
		delete(annotations, lastApplied)
		m.SetAnnotations(annotations)
	}
	return obj, nil
}

// ownsContent reports whether a field manager has set something that is neither
// metadata nor status.
func ownsContent(e metav1.ManagedFieldsEntry) bool {
	if e.Subresource != "" || e.FieldsV1 == nil {
		return false
	}
	set := &fieldpath.Set{}
	if set.FromJSON(e.FieldsV1.GetRawReader()) != nil {
		return false
	}
	owns := false
	check := func(e fieldpath.PathElement) {
		owns = owns || e.FieldName != nil && *e.FieldName != "metadata" && *e.FieldName != "status"
	}
	set.Members.Iterate(check)
	set.Children.Iterate(check)
	return owns
}

// Others names those, besides the lifecycle, that have set more of an object
// than its metadata and status.
func Others(obj metav1.Object) []string {
	var names []string
	for _, e := range obj.GetManagedFields() {
		if !ours.Has(e.Manager) && (e.FieldsV1 == nil || ownsContent(e)) && !slices.Contains(names, e.Manager) {
			names = append(names, e.Manager)
		}
	}
	slices.Sort(names)
	return names
}

// changed reports whether somebody else than the lifecycle changed what a plan
// may have said about an object. Both are as strip leaves them.
func changed(before, after metav1.Object) bool {
	if before.GetResourceVersion() == after.GetResourceVersion() || wroteAgain(before, after) {
		return false
	}
	if after.GetDeletionTimestamp() != nil {
		return false // what remains to be seen is that it is gone
	}
	// Kinds with a status have a generation, which says whether the rest changed.
	if after.GetGeneration() == 0 || before.GetGeneration() != after.GetGeneration() {
		return true
	}
	return !maps.Equal(before.GetLabels(), after.GetLabels()) || !maps.Equal(before.GetAnnotations(), after.GetAnnotations()) ||
		!equality.Semantic.DeepEqual(before.GetOwnerReferences(), after.GetOwnerReferences())
}

// wroteAgain reports whether the lifecycle wrote last. The API server notes
// when each manager changed something, to the second; a change by others in the
// same second is looked at for nothing or found at the next one.
func wroteAgain(before, after metav1.Object) bool {
	return lastWrite(after).After(lastWrite(before).Time)
}

func lastWrite(obj metav1.Object) metav1.Time {
	var last metav1.Time
	for _, e := range obj.GetManagedFields() {
		if ours.Has(e.Manager) && e.Time != nil && e.Time.After(last.Time) {
			last = *e.Time
		}
	}
	return last
}
