package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"chandler.dev/olm/examples/database/api/v1alpha1"
)

// observe reads the StatefulSets of a database and asks its members.
func (r *Reconciler) observe(ctx context.Context, db *v1alpha1.ProductionReadyDatabase) (Observation, error) {
	var o Observation
	var err error
	if o.Voters, err = r.group(ctx, db, Voter); err != nil {
		return o, err
	}
	if o.Readers, err = r.group(ctx, db, Reader); err != nil {
		return o, err
	}
	o.Attendance, o.Members = r.ask(ctx, db, o)
	return o, nil
}

func (r *Reconciler) group(ctx context.Context, db *v1alpha1.ProductionReadyDatabase, role Role) (Group, error) {
	var set appsv1.StatefulSet
	key := client.ObjectKey{Namespace: db.Namespace, Name: setName(db, role)}
	err := r.client.Get(ctx, key, &set)
	if apierrors.IsNotFound(err) {
		return Group{}, nil
	}
	if err != nil {
		return Group{}, err
	}
	if !metav1.IsControlledBy(&set, db) {
		return Group{}, fmt.Errorf("StatefulSet %q belongs to something else: rename the database or delete it", set.Name)
	}
	return groupOf(&set), nil
}

// groupOf reads a group out of its StatefulSet.
func groupOf(set *appsv1.StatefulSet) Group {
	g := Group{Exists: true, Ready: set.Status.ReadyReplicas, Engine: set.Spec.Template.Annotations[annotationEngine]}
	if set.Spec.Replicas != nil {
		g.Replicas = *set.Spec.Replicas
	}
	if containers := set.Spec.Template.Spec.Containers; len(containers) > 0 {
		g.Image = containers[0].Image
	}
	s := set.Status
	g.Settled = s.ObservedGeneration == set.Generation &&
		s.Replicas == g.Replicas && s.ReadyReplicas == g.Replicas && s.UpdatedReplicas == g.Replicas
	return g
}

// ask lists the members of the etcd cluster. That nobody answers is an
// observation and no error: pods may still be starting.
func (r *Reconciler) ask(ctx context.Context, db *v1alpha1.ProductionReadyDatabase, o Observation) (Attendance, []Member) {
	if r.members == nil {
		return Unasked, nil
	}
	if !db.DeletionTimestamp.IsZero() || o.Voters.Ready == 0 {
		return Silent, nil
	}
	members, err := r.members.List(ctx, addresses(db, o.Voters.Replicas))
	if err != nil {
		logf.FromContext(ctx).V(1).Info("no member answers", "reason", err.Error())
		return Silent, nil
	}
	return Answered, members
}
