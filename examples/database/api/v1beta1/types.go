// Package v1beta1 is the second version of the database.example.com API. It
// has the same schema as v1alpha1 by construction, which is why the API server
// can convert between them by changing the version alone.
//
// +kubebuilder:object:generate=true
// +groupName=database.example.com
package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"chandler.dev/olm/examples/database/api/v1alpha1"
)

// GroupVersion is the API version that this package holds.
var GroupVersion = schema.GroupVersion{Group: "database.example.com", Version: "v1beta1"}

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &ProductionReadyDatabase{}, &ProductionReadyDatabaseList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

// ProductionReadyDatabase is a replicated key-value store made of etcd members.
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="the name is longer than 40 characters, pods are named after it"
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.clusterSize,statuspath=.status.members,selectorpath=.status.selector
// +kubebuilder:resource:shortName=prdb,categories=all
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Size",type=integer,JSONPath=`.spec.clusterSize`
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.readyMembers`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ProductionReadyDatabase struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   v1alpha1.ProductionReadyDatabaseSpec   `json:"spec,omitempty"`
	Status v1alpha1.ProductionReadyDatabaseStatus `json:"status,omitempty"`
}

// ProductionReadyDatabaseList is a list of databases.
// +kubebuilder:object:root=true
type ProductionReadyDatabaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ProductionReadyDatabase `json:"items"`
}
