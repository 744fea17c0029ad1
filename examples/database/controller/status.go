package controller

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"chandler.dev/olm/examples/database/api/v1alpha1"
)

// wanted reads what the author of a database asks for.
func wanted(db *v1alpha1.ProductionReadyDatabase, release Release, o Observation) Wanted {
	w := Wanted{
		Voters:   max(db.Spec.ClusterSize, 1),
		Readers:  db.Spec.ReadReplicas,
		Deleting: !db.DeletionTimestamp.IsZero(),
	}
	if v := db.Spec.Version; v != "" && v != release.Engine && v != o.Voters.Engine {
		w.Refusal = fmt.Sprintf("this release of the operator runs etcd %s, not %s: ask for that version or leave it empty", release.Engine, v)
	}
	return w
}

// statusOf describes what was observed and what is being done about it. The
// times of conditions that did not change are kept.
func statusOf(db *v1alpha1.ProductionReadyDatabase, release Release, o Observation, action Action) v1alpha1.ProductionReadyDatabaseStatus {
	status := *db.Status.DeepCopy()
	status.ObservedGeneration = db.Generation
	status.OperatorVersion = release.Version
	status.Members = o.Voters.Replicas
	status.ReadyMembers = o.Voters.Ready
	status.ReadyReadReplicas = o.Readers.Ready
	status.Selector = labels.SelectorFromSet(roleLabels(db, Voter)).String()
	status.Endpoint = fmt.Sprintf("http://%s.%s.svc:%d", db.Name, db.Namespace, clientPort)
	if o.Voters.Exists && o.Voters.Settled {
		status.Version = o.Voters.Engine
	}
	status.Phase = phaseOf(db, o, action)
	set := func(kind string, holds metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: kind, Status: holds, Reason: reason, Message: message, ObservedGeneration: db.Generation,
		})
	}
	set(v1alpha1.ConditionReady, truth[action.Verb == Rest], string(status.Phase), action.Reason)
	set(v1alpha1.ConditionAvailable, truth[available(o.Voters)], "MembersReady",
		fmt.Sprintf("%d of %d members are ready", o.Voters.Ready, o.Voters.Replicas))
	set(v1alpha1.ConditionProgressing, truth[action.Verb != Rest && action.Verb != Refuse], string(status.Phase), action.Reason)
	return status
}

func phaseOf(db *v1alpha1.ProductionReadyDatabase, o Observation, action Action) v1alpha1.Phase {
	settled := o.Voters.Settled && (o.Readers.Settled || o.Readers.Replicas == 0)
	sized := o.Voters.Replicas == max(db.Spec.ClusterSize, 1) && o.Readers.Replicas == db.Spec.ReadReplicas
	switch {
	case action.Verb == Remove || action.Verb == LetGo:
		return v1alpha1.PhaseDeleting
	case action.Verb == Refuse:
		return v1alpha1.PhaseRefused
	case action.Verb == Rest:
		return v1alpha1.PhaseRunning
	case db.Status.Version == "" && o.Voters.Replicas <= 1 && !o.Voters.Settled:
		return v1alpha1.PhaseCreating
	case !sized || (db.Status.Phase == v1alpha1.PhaseScaling && !settled):
		return v1alpha1.PhaseScaling
	}
	return v1alpha1.PhaseUpdating
}

func available(voters Group) bool {
	return voters.Replicas > 0 && voters.Ready >= majority(voters.Replicas)
}

var truth = map[bool]metav1.ConditionStatus{true: metav1.ConditionTrue, false: metav1.ConditionFalse}
