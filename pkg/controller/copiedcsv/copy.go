package copiedcsv

import (
	"fmt"
	"maps"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"chandler.dev/olm/pkg/install/render"
)

const (
	// annotationSource names, on a copy, the state of the original that it was made from,
	// so that an up-to-date copy is known by its metadata.
	annotationSource = "chandler.dev/copied-state"

	lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
)

// copiable tells whether csv is in a state that copies tell about: it runs, or it does
// not and a person has to see that. Phases that pass are not worth a write a namespace.
func copiable(csv *v1alpha1.ClusterServiceVersion) bool {
	switch csv.Status.Phase {
	case v1alpha1.CSVPhaseSucceeded, v1alpha1.CSVPhaseFailed:
		return !csv.IsUncopiable() && !csv.IsCopied() && csv.DeletionTimestamp.IsZero()
	default:
		return false
	}
}

// keepsCopies tells whether copies made earlier stay as they are: the original is on its
// way to a state that copies tell about.
func keepsCopies(csv *v1alpha1.ClusterServiceVersion) bool {
	return !copiable(csv) && csv.DeletionTimestamp.IsZero() && csv.Status.Reason != v1alpha1.CSVReasonInterOperatorGroupOwnerConflict
}

// stateOf names the state of an original by what changes when it does.
func stateOf(csv *v1alpha1.ClusterServiceVersion) (string, error) {
	hash, err := render.Hash([]any{annotationsOf(csv), labelsOf(csv)})
	if err != nil {
		return "", err
	}
	updated := int64(0)
	if csv.Status.LastUpdateTime != nil {
		updated = csv.Status.LastUpdateTime.Unix()
	}
	return fmt.Sprintf("%s/%d/%d/%s", csv.UID, csv.Generation, updated, hash), nil
}

// copyOf returns the copy of csv, which must be complete, for a namespace.
func copyOf(csv *v1alpha1.ClusterServiceVersion, namespace, state string) *v1alpha1.ClusterServiceVersion {
	copied := &v1alpha1.ClusterServiceVersion{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.ClusterServiceVersionAPIVersion, Kind: v1alpha1.ClusterServiceVersionKind},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: csv.Name, Annotations: annotationsOf(csv), Labels: labelsOf(csv),
		},
		Spec: *csv.Spec.DeepCopy(), Status: *csv.Status.DeepCopy(),
	}
	copied.Annotations[annotationSource] = state
	copied.Labels[v1alpha1.CopiedLabelKey] = csv.Namespace
	copied.Status.Reason = v1alpha1.CSVReasonCopied
	copied.Status.Message = fmt.Sprintf("The operator is running in %s but is managing this namespace", csv.Namespace)
	return copied
}

func annotationsOf(csv *v1alpha1.ClusterServiceVersion) map[string]string {
	annotations := map[string]string{}
	maps.Copy(annotations, csv.Annotations)
	delete(annotations, render.AnnotationTargetNamespaces)
	delete(annotations, lastApplied)
	return annotations
}

func labelsOf(csv *v1alpha1.ClusterServiceVersion) map[string]string {
	labels := map[string]string{render.LabelManaged: "true"}
	for key, value := range csv.Labels {
		if !strings.HasPrefix(key, render.ComponentPrefix) {
			labels[key] = value
		}
	}
	return labels
}

// plan is what has to happen so that copies are where they must be.
type plan struct {
	write  []string // namespaces without a copy, or with an outdated one
	remove []metav1.PartialObjectMetadata
}

// compare compares the copies that exist with the namespaces that must have one in the
// given state. An empty state leaves copies alone that may exist.
func compare(existing []metav1.PartialObjectMetadata, wanted []string, state string) plan {
	var p plan
	missing := sets.New(wanted...)
	for i := range existing {
		copied := &existing[i]
		switch {
		case !missing.Has(copied.Namespace):
			p.remove = append(p.remove, *copied)
		case state == "" || copied.Annotations[annotationSource] == state:
			missing.Delete(copied.Namespace)
		}
	}
	if state != "" {
		p.write = sets.List(missing)
	}
	return p
}

// conform makes have, a copy that exists, be as wanted, and tells whether metadata or
// spec, and whether the status, differed. Labels and annotations of others stay.
func conform(have, wanted *v1alpha1.ClusterServiceVersion) (object, status bool) {
	object = add(&have.Annotations, wanted.Annotations)
	object = add(&have.Labels, wanted.Labels) || object
	if _, ok := have.Annotations[render.AnnotationTargetNamespaces]; ok {
		delete(have.Annotations, render.AnnotationTargetNamespaces)
		object = true
	}
	if !equality.Semantic.DeepEqual(have.Spec, wanted.Spec) {
		have.Spec, object = wanted.Spec, true
	}
	if !equality.Semantic.DeepEqual(have.Status, wanted.Status) {
		have.Status, status = wanted.Status, true
	}
	return object, status
}

func add(to *map[string]string, from map[string]string) bool {
	changed := false
	for key, value := range from {
		if got, ok := (*to)[key]; ok && got == value {
			continue
		}
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[key], changed = value, true
	}
	return changed
}
