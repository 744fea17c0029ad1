// Package v1alpha1 is the first version of the database.example.com API and
// the one that is stored. It holds types alone; what they mean is decided in
// package controller.
//
// +kubebuilder:object:generate=true
// +groupName=database.example.com
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

//go:generate go tool -modfile=../../../../tools/go.mod controller-gen object paths=../...

// GroupVersion is the API version that this package holds.
var GroupVersion = schema.GroupVersion{Group: "database.example.com", Version: "v1alpha1"}

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &ProductionReadyDatabase{}, &ProductionReadyDatabaseList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
