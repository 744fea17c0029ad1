package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"chandler.dev/olm/examples/database/api/v1alpha1"
)

// act does one action. Each part may be repeated at any time.
func (r *Reconciler) act(ctx context.Context, db *v1alpha1.ProductionReadyDatabase, o Observation, a Action) error {
	switch a.Verb {
	case Refuse:
		return nil
	case Remove:
		return r.remove(ctx, db, a.Role)
	case LetGo:
		return r.patchFinalizer(ctx, db, controllerutil.RemoveFinalizer)
	case Hold, Rest, Resize:
	}
	if err := r.applyAll(ctx, db, o, a); err != nil {
		return err
	}
	if a.Verb == Resize {
		logf.FromContext(ctx).Info("resized", "role", a.Role, "members", a.Voters, "readReplicas", a.Readers)
		r.events.Eventf(db, nil, corev1.EventTypeNormal, "Resized", "Resize", "%s", a.Reason)
	}
	return nil
}

// evict removes the member that an action names from etcd. If etcd refuses,
// which it does while it has not been whole for some seconds, the action turns
// into waiting.
func (r *Reconciler) evict(ctx context.Context, db *v1alpha1.ProductionReadyDatabase, o Observation, a Action) Action {
	if a.Evict == 0 {
		return a
	}
	err := r.members.Remove(ctx, addresses(db, o.Voters.Replicas), a.Evict)
	if err == nil {
		return a
	}
	logf.FromContext(ctx).Info("etcd keeps a member", "member", fmt.Sprintf("%x", a.Evict), "reason", err.Error())
	return Action{
		Verb: Hold, Voters: o.Voters.Replicas, Readers: o.Readers.Replicas,
		Reason: "etcd does not let a member go until all others were connected for some seconds",
	}
}

// applyAll makes the objects of a database what they shall be: settings before
// the pods that read them.
func (r *Reconciler) applyAll(ctx context.Context, db *v1alpha1.ProductionReadyDatabase, o Observation, a Action) error {
	if err := r.apply(ctx, configMap(db, a.Voters+a.Readers), &corev1.ConfigMap{}); err != nil {
		return err
	}
	for _, service := range services(db) {
		if err := r.apply(ctx, service, &corev1.Service{}); err != nil {
			return err
		}
	}
	if err := r.apply(ctx, budget(db), &policyv1.PodDisruptionBudget{}); err != nil {
		return err
	}
	run := runtimeOf(db, r.release, o.Voters)
	if err := r.apply(ctx, statefulSet(db, run, Voter, a.Voters), &appsv1.StatefulSet{}); err != nil {
		return err
	}
	if a.Readers == 0 && !o.Readers.Exists {
		return nil
	}
	return r.apply(ctx, statefulSet(db, run, Reader, a.Readers), &appsv1.StatefulSet{})
}

// remove deletes a StatefulSet and keeps it visible until its pods are gone.
func (r *Reconciler) remove(ctx context.Context, db *v1alpha1.ProductionReadyDatabase, role Role) error {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: db.Namespace, Name: setName(db, role)}}
	err := r.client.Get(ctx, client.ObjectKeyFromObject(set), set)
	if err != nil || !set.DeletionTimestamp.IsZero() {
		return client.IgnoreNotFound(err)
	}
	return client.IgnoreNotFound(r.client.Delete(ctx, set,
		client.PropagationPolicy(metav1.DeletePropagationForeground), client.Preconditions{UID: &set.UID}))
}
