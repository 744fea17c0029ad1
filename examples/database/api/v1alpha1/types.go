package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Phase says in one word what happens to a database.
type Phase string

const (
	PhaseCreating Phase = "Creating" // the first member is being started
	PhaseScaling  Phase = "Scaling"  // members or read replicas are being added or removed
	PhaseUpdating Phase = "Updating" // pods are being replaced or restarted, their number is right
	PhaseRunning  Phase = "Running"  // everything that was asked for is there and ready
	PhaseRefused  Phase = "Refused"  // the spec asks for what this release cannot do
	PhaseDeleting Phase = "Deleting" // members are being stopped
)

// Condition types of a database.
const (
	ConditionReady       = "Ready"       // everything that was asked for runs
	ConditionAvailable   = "Available"   // a majority of the members answers, so writes succeed
	ConditionProgressing = "Progressing" // something is being changed
)

// ProductionReadyDatabaseSpec is the database that is wanted.
// +kubebuilder:validation:XValidation:rule="(has(self.storage) && has(self.storage.className)) == (has(oldSelf.storage) && has(oldSelf.storage.className)) && (!has(self.storage) || !has(self.storage.className) || self.storage == oldSelf.storage)",message="storage on a storage class is chosen when the database is created and stays"
type ProductionReadyDatabaseSpec struct {
	// clusterSize is the number of voting members. An odd number is wise: four
	// members survive the loss of no more members than three do.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=7
	// +kubebuilder:default=3
	// +optional
	ClusterSize int32 `json:"clusterSize,omitempty"`

	// readReplicas is the number of members that hold all data and answer
	// serializable reads but do not vote.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=5
	// +kubebuilder:default=0
	// +optional
	ReadReplicas int32 `json:"readReplicas,omitempty"`

	// version is the version of etcd that the members run, such as "3.6.8".
	// Empty means the version that the operator's release brings.
	// +kubebuilder:validation:Pattern=`^(\d+\.\d+\.\d+)?$`
	// +optional
	Version string `json:"version,omitempty"`

	// storage says where the members keep their data. Without it, or without a
	// className in it, the data of a member live as long as its pod: a member
	// that comes back copies them from the others, and a single one is empty.
	// +optional
	Storage *Storage `json:"storage,omitempty"`
}

// Storage says where the members keep their data.
type Storage struct {
	// size is the room that each member has. etcd refuses writes at four fifths
	// of it.
	Size resource.Quantity `json:"size"`

	// className names the StorageClass that persistent volumes are taken from.
	// Without it the room is on the node and goes with the pod.
	// +kubebuilder:validation:MinLength=1
	// +optional
	ClassName string `json:"className,omitempty"`
}

// ProductionReadyDatabaseStatus is the database that was observed.
type ProductionReadyDatabaseStatus struct {
	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// phase says in one word what happens to the database.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// members is the number of voting members that were started.
	// +optional
	Members int32 `json:"members"`

	// readyMembers is the number of voting members that are ready.
	// +optional
	ReadyMembers int32 `json:"readyMembers"`

	// readyReadReplicas is the number of read replicas that are ready.
	// +optional
	ReadyReadReplicas int32 `json:"readyReadReplicas"`

	// version is the version of etcd that all members run. It is empty until
	// the first time that they all do.
	// +optional
	Version string `json:"version,omitempty"`

	// operatorVersion is the release of the operator that wrote this status.
	// +optional
	OperatorVersion string `json:"operatorVersion,omitempty"`

	// endpoint is where clients of the database connect, inside the cluster.
	// +optional
	Endpoint string `json:"endpoint,omitempty"`

	// selector selects the pods of the voting members.
	// +optional
	Selector string `json:"selector,omitempty"`

	// conditions are Ready, Available and Progressing.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ProductionReadyDatabase is a replicated key-value store made of etcd members.
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="the name is longer than 40 characters, pods are named after it"
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.clusterSize,statuspath=.status.members,selectorpath=.status.selector
// +kubebuilder:resource:shortName=prdb,categories=all
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Size",type=integer,JSONPath=`.spec.clusterSize`
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.readyMembers`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ProductionReadyDatabase struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ProductionReadyDatabaseSpec   `json:"spec,omitempty"`
	Status ProductionReadyDatabaseStatus `json:"status,omitempty"`
}

// ProductionReadyDatabaseList is a list of databases.
// +kubebuilder:object:root=true
type ProductionReadyDatabaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ProductionReadyDatabase `json:"items"`
}
