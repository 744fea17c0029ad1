// Package providedapi is about the APIs that operators bring to a cluster: which
// ones a ClusterServiceVersion provides, which ones an OperatorGroup has claimed in
// its annotation olm.providedAPIs, and who wins when two groups want the same. It
// holds values only; the controllers csv and operatorgroup read and write objects.
package providedapi

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"chandler.dev/olm/pkg/failure"
)

// Annotation holds the claimed APIs of an OperatorGroup.
const Annotation = "olm.providedAPIs"

// Set is a set of API kinds.
type Set = sets.Set[schema.GroupVersionKind]

// Of returns the APIs that csv owns. A CRD name without a group is Invalid.
func Of(csv *v1alpha1.ClusterServiceVersion) (Set, error) {
	provided := Set{}
	for _, crd := range csv.Spec.CustomResourceDefinitions.Owned {
		_, group, ok := strings.Cut(crd.Name, ".")
		if !ok {
			return nil, failure.New(failure.Invalid, "owned custom resource definition %q has no group in its name", crd.Name).
				WithHint("name it <plural>.<group> in spec.customresourcedefinitions of the ClusterServiceVersion")
		}
		provided.Insert(schema.GroupVersionKind{Group: group, Version: crd.Version, Kind: crd.Kind})
	}
	for _, api := range csv.Spec.APIServiceDefinitions.Owned {
		provided.Insert(schema.GroupVersionKind{Group: api.Group, Version: api.Version, Kind: api.Kind})
	}
	return provided, nil
}

// Parse reads the annotation of an OperatorGroup: Kind.version.group, separated by
// commas. What cannot be read is left out.
func Parse(annotation string) Set {
	claimed := Set{}
	for item := range strings.SplitSeq(strings.ReplaceAll(annotation, " ", ""), ",") {
		if gvk, _ := schema.ParseKindArg(item); gvk != nil {
			claimed.Insert(*gvk)
		}
	}
	return claimed
}

// Format writes s as the annotation of an OperatorGroup, sorted.
func Format(s Set) string {
	names := make([]string, 0, s.Len())
	for gvk := range s {
		names = append(names, Name(gvk))
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// Sorted returns the elements of s in the order of Format.
func Sorted(s Set) []schema.GroupVersionKind {
	list := s.UnsortedList()
	slices.SortFunc(list, func(a, b schema.GroupVersionKind) int { return cmp.Compare(Name(a), Name(b)) })
	return list
}

// Name is the text Kind.version.group.
func Name(gvk schema.GroupVersionKind) string {
	return strings.Join([]string{gvk.Kind, gvk.Version, gvk.Group}, ".")
}

// Hash identifies an API in label keys: FNV-1a 64 of its name, hexadecimal without padding.
func Hash(gvk schema.GroupVersionKind) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(Name(gvk))) // a hash never fails to write
	return fmt.Sprintf("%x", h.Sum64())
}

// AggregationLabel is the label key by which the ClusterRole of an OperatorGroup
// collects the rules for one API; suffix is admin, edit or view.
func AggregationLabel(gvk schema.GroupVersionKind, suffix string) string {
	return "olm.opgroup.permissions/aggregate-to-" + Hash(gvk) + "-" + suffix
}
