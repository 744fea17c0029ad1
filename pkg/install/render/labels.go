package render

import (
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels and annotations on objects that the lifecycle makes, with the names
// that v0 and its clients use.
const (
	LabelManaged        = "olm.managed" // "true" on everything that the lifecycle made
	LabelOwner          = "olm.owner"
	LabelOwnerNamespace = "olm.owner.namespace"
	LabelOwnerKind      = "olm.owner.kind"
	LabelPermissions    = "olm.permissions.hash"
	LabelDeploymentHash = "olm.deployment-spec-hash"
	LabelCopiedFrom     = "olm.copiedFrom"

	AnnotationOperatorGroup     = "olm.operatorGroup"
	AnnotationOperatorNamespace = "olm.operatorNamespace"
	AnnotationTargetNamespaces  = "olm.targetNamespaces"
	AnnotationProperties        = "operatorframework.io/properties"
	AnnotationGeneratedBy       = "olm.generated-by"
	AnnotationCAHash            = "olmcahash"

	// AlongsidePrefix begins the annotations made by AlongsideAnnotation.
	AlongsidePrefix = "operatorframework.io/installed-alongside-"
)

// Owner names the object whose deletion takes the labelled ones with it.
type Owner struct {
	Kind      string // v1alpha1.ClusterServiceVersionKind or "OperatorGroup"
	Namespace string
	Name      string

	labels map[string]string // its own
}

// OwnerOf returns the owner that a ClusterServiceVersion is.
func OwnerOf(csv *v1alpha1.ClusterServiceVersion) Owner {
	return Owner{Kind: v1alpha1.ClusterServiceVersionKind, Namespace: csv.Namespace, Name: csv.Name, labels: csv.Labels}
}

// Labels returns the labels by which an object is found from its owner, where
// an owner reference cannot express it.
func (o Owner) Labels() map[string]string {
	return map[string]string{
		LabelOwner:          o.Name,
		LabelOwnerNamespace: o.Namespace,
		LabelOwnerKind:      o.Kind,
	}
}

// ManagedLabels returns Labels, the mark of everything that the lifecycle made,
// and the operators that the owner is a component of.
func (o Owner) ManagedLabels() map[string]string {
	labels := o.Labels()
	labels[LabelManaged] = "true"
	return Inherit(labels, o.labels)
}

// OwnerReference returns a reference to csv that neither blocks its deletion
// nor makes it the controller of the object.
func OwnerReference(csv *v1alpha1.ClusterServiceVersion) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion:         v1alpha1.ClusterServiceVersionAPIVersion,
		Kind:               v1alpha1.ClusterServiceVersionKind,
		Name:               csv.Name,
		UID:                csv.UID,
		Controller:         new(false),
		BlockOwnerDeletion: new(false),
	}
}
