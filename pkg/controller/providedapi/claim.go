package providedapi

import (
	"slices"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Claim is what has to happen so that a ClusterServiceVersion may provide its APIs.
type Claim string

const (
	Held     Claim = "Held"     // its OperatorGroup lists all of them and no other group does
	Add      Claim = "Add"      // nobody lists them: its OperatorGroup must
	Remove   Claim = "Remove"   // its OperatorGroup lists them, but so does another: give them up
	Conflict Claim = "Conflict" // an intersecting OperatorGroup has them
)

// Decide compares what a ClusterServiceVersion provides with the annotation of its own
// OperatorGroup and the union of those of all other groups that intersect it.
func Decide(provided, own, others Set) Claim {
	contested := provided.Intersection(others).Len() > 0
	switch {
	case own.IsSuperset(provided) && !contested:
		return Held
	case own.IsSuperset(provided):
		return Remove
	case contested:
		return Conflict
	default:
		return Add
	}
}

// Others is the union of the claims of all groups that intersect og, og itself left out.
func Others(og *operatorsv1.OperatorGroup, groups []operatorsv1.OperatorGroup) Set {
	union := Set{}
	for i := range groups {
		other := &groups[i]
		if other.Namespace == og.Namespace && other.Name == og.Name || !Intersect(og, other) {
			continue
		}
		union = union.Union(Parse(other.Annotations[Annotation]))
	}
	return union
}

// Intersect tells whether two groups serve a common namespace. A group serves its
// targets and its own namespace; a global group serves all.
func Intersect(a, b *operatorsv1.OperatorGroup) bool {
	if len(a.Status.Namespaces) == 0 || len(b.Status.Namespaces) == 0 {
		return false
	}
	if global(a) || global(b) {
		return true
	}
	surface := append(slices.Clone(a.Status.Namespaces), a.Namespace)
	return slices.ContainsFunc(append(slices.Clone(b.Status.Namespaces), b.Namespace), func(ns string) bool {
		return slices.Contains(surface, ns)
	})
}

func global(og *operatorsv1.OperatorGroup) bool {
	return slices.Contains(og.Status.Namespaces, metav1.NamespaceAll)
}
