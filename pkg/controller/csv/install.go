package csv

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/phase"
	"chandler.dev/olm/pkg/install/kube"
	"chandler.dev/olm/pkg/install/render"
)

// install brings the Deployments, and the rights that their pods need, to what the
// ClusterServiceVersion asks for. What is already so is not written.
func (r *Reconciler) install(ctx context.Context, s *scope, w *world) error {
	if err := r.extendRights(ctx, s.csv, s.group.group); err != nil {
		return err
	}
	if err := r.exposer.Certify(ctx, s.csv, &w.served); err != nil {
		return err
	}
	w.options.CAHashes = w.served.CAHashes()
	var err error
	if w.wanted, err = render.Deployments(s.csv, w.options); err != nil {
		return err
	}
	for i := range w.wanted {
		wanted := &w.wanted[i]
		if have := byName(w.existing, wanted.Name); have != nil {
			current := phase.Inspect([]appsv1.Deployment{*wanted}, w.existing, s.csv.Annotations)
			if current.Health != phase.Outdated && !w.Drifted {
				continue
			}
		}
		if err := r.applyDeployment(ctx, w.served.Cluster, wanted); err != nil {
			return fmt.Errorf("deployment %q: %w", wanted.Name, err)
		}
	}
	return r.deleteOrphans(ctx, s.csv, w)
}

// applyDeployment writes wanted so that fields of others, such as replicas of an
// autoscaler, stay. Some manifests cannot be applied that way (a list with a repeated
// key, a strategy for which old defaults stand in the way); those replace the spec.
func (r *Reconciler) applyDeployment(ctx context.Context, cluster *kube.Cluster, wanted *appsv1.Deployment) error {
	result, err := cluster.Ensure(ctx, wanted)
	if err == nil {
		if result.Written {
			r.memory.noteVersion(wanted, result.Object.GetResourceVersion())
		}
		return nil
	}
	if cause, ok := errors.AsType[*apierrors.StatusError](err); !ok || !apierrors.IsInvalid(cause) && !apierrors.IsInternalError(cause) {
		return err
	}
	replaced, replaceErr := replaceDeployment(ctx, cluster.Client(), wanted)
	if replaceErr != nil {
		return kube.Classify(replaceErr, fmt.Sprintf("replace Deployment %q", wanted.Name))
	}
	r.memory.note(replaced)
	return nil
}

func replaceDeployment(ctx context.Context, c client.Client, wanted *appsv1.Deployment) (*appsv1.Deployment, error) {
	replaced := wanted.DeepCopy()
	live := &appsv1.Deployment{}
	err := c.Get(ctx, client.ObjectKeyFromObject(wanted), live)
	if apierrors.IsNotFound(err) {
		return replaced, c.Create(ctx, replaced, client.FieldOwner(kube.FieldManager))
	}
	if err != nil {
		return nil, err
	}
	replaced.ResourceVersion = live.ResourceVersion
	return replaced, c.Update(ctx, replaced, client.FieldOwner(kube.FieldManager))
}

// deleteOrphans deletes Deployments that the spec no longer names.
func (r *Reconciler) deleteOrphans(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, w *world) error {
	for i := range w.existing {
		d := &w.existing[i]
		if byName(w.wanted, d.Name) != nil || !ownedBy(d, csv) {
			continue
		}
		if err := client.IgnoreNotFound(r.client.Delete(ctx, d, client.PropagationPolicy(metav1.DeletePropagationForeground))); err != nil {
			return err
		}
	}
	return nil
}

// tearDown deletes all Deployments.
func (r *Reconciler) tearDown(ctx context.Context, deployments []appsv1.Deployment) error {
	for i := range deployments {
		if err := client.IgnoreNotFound(r.client.Delete(ctx, &deployments[i])); err != nil {
			return err
		}
	}
	return nil
}

func ownedBy(obj metav1.Object, csv *v1alpha1.ClusterServiceVersion) bool {
	return slices.ContainsFunc(obj.GetOwnerReferences(), func(o metav1.OwnerReference) bool { return o.UID == csv.UID })
}
