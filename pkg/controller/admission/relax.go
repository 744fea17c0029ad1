package admission

import (
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Relaxed tells whether the annotation AnnotationRelax of a Namespace lets a package of
// a catalog be installed there by somebody who lacks the rights. It is a list, separated
// by commas, of <namespace>/<name>/<package> with patterns such as olm/operatorhubio/*.
func Relaxed(annotation string, catalog types.NamespacedName, pkg string) bool {
	return matches(annotation, catalog.Namespace+"/"+catalog.Name+"/"+pkg)
}

// Vouched tells whether the annotation AnnotationRelax of a CatalogSource lets a package
// of it be installed by somebody who lacks the rights. It is a list of packages with
// patterns, separated by commas. It counts on the catalogs of the catalog namespace only.
func Vouched(annotation, pkg string) bool {
	return matches(annotation, pkg)
}

func matches(patterns, name string) bool {
	for pattern := range strings.SplitSeq(patterns, ",") {
		if ok, err := path.Match(strings.TrimSpace(pattern), name); ok && err == nil {
			return true
		}
	}
	return false
}
