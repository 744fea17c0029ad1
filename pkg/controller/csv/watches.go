package csv

import (
	"context"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/providedapi"
	"chandler.dev/olm/pkg/install/render"
)

// SetupWithManager registers the controller and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	b := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.ClusterServiceVersion{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		// A version waits for the one that it replaces to give way, and the other way round.
		Watches(&v1alpha1.ClusterServiceVersion{}, handler.EnqueueRequestsFromMapFunc(r.relativesOf)).
		// A group that appears, disappears or selects other namespaces concerns its members;
		// APIs that it claims or gives up concern members of other groups.
		Watches(&operatorsv1.OperatorGroup{}, handler.EnqueueRequestsFromMapFunc(r.membersOf)).
		// An operator that says it is upgradeable opens the gate of its successor.
		Watches(&operatorsv2.OperatorCondition{}, handler.EnqueueRequestsFromMapFunc(r.gatedBy)).
		// spec.config of a Subscription is part of the Deployments.
		Watches(&v1alpha1.Subscription{}, handler.EnqueueRequestsFromMapFunc(installedBy)).
		// A requirement appears, becomes established, or disappears.
		Watches(&apiextensionsv1.CustomResourceDefinition{}, handler.EnqueueRequestsFromMapFunc(r.usersOfCRD)).
		Watches(&apiregistrationv1.APIService{}, handler.EnqueueRequestsFromMapFunc(r.usersOfAPIService))
	// What runs for a version, and the rights of its pods.
	for _, owned := range []client.Object{
		&appsv1.Deployment{}, &corev1.ServiceAccount{},
		&rbacv1.Role{}, &rbacv1.RoleBinding{}, &rbacv1.ClusterRoleBinding{},
		&corev1.Service{}, &admissionv1.ValidatingWebhookConfiguration{}, &admissionv1.MutatingWebhookConfiguration{},
	} {
		b = b.Watches(owned, handler.EnqueueRequestsFromMapFunc(ownersOf))
	}
	// Of ClusterRoles, those that give rights to an API are found by the API.
	b = b.Watches(&rbacv1.ClusterRole{}, handler.EnqueueRequestsFromMapFunc(r.usersOfRole))
	// A certificate that somebody deletes or changes is made again; its content stays out of memory.
	b = b.WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(ownersOf))
	return b.Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// ownersOf returns the ClusterServiceVersions that obj belongs to, by labels and by
// owner references.
func ownersOf(_ context.Context, obj client.Object) []reconcile.Request {
	var requests []reconcile.Request
	if labels := obj.GetLabels(); labels[render.LabelOwnerKind] == v1alpha1.ClusterServiceVersionKind {
		requests = append(requests, request(labels[render.LabelOwnerNamespace], labels[render.LabelOwner]))
	}
	for _, owner := range obj.GetOwnerReferences() {
		if owner.Kind == v1alpha1.ClusterServiceVersionKind && obj.GetNamespace() != "" {
			requests = append(requests, request(obj.GetNamespace(), owner.Name))
		}
	}
	return requests
}

// usersOfRole returns the owners of a ClusterRole, and if it gives rights to an API,
// those who provide that.
func (r *Reconciler) usersOfRole(ctx context.Context, obj client.Object) []reconcile.Request {
	requests := ownersOf(ctx, obj)
	for _, owner := range obj.GetOwnerReferences() {
		provider := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: owner.Name}}
		switch owner.Kind {
		case "CustomResourceDefinition":
			requests = append(requests, r.usersOfCRD(ctx, provider)...)
		case "APIService":
			requests = append(requests, r.usersOfAPIService(ctx, provider)...)
		}
	}
	return requests
}

func installedBy(_ context.Context, obj client.Object) []reconcile.Request {
	sub, ok := obj.(*v1alpha1.Subscription)
	if !ok {
		return nil
	}
	var requests []reconcile.Request
	for _, name := range []string{sub.Status.InstalledCSV, sub.Status.CurrentCSV} {
		if name != "" {
			requests = append(requests, request(sub.Namespace, name))
		}
	}
	return requests
}

// relativesOf returns the neighbours of obj in its chain of replacements and those that
// lost an API to it.
func (r *Reconciler) relativesOf(ctx context.Context, obj client.Object) []reconcile.Request {
	csv, ok := obj.(*v1alpha1.ClusterServiceVersion)
	if !ok {
		return nil
	}
	return r.selectCSVs(ctx, csv.Namespace, func(other *v1alpha1.ClusterServiceVersion) bool {
		return other.Name != csv.Name && (other.Name == csv.Spec.Replaces || other.Spec.Replaces == csv.Name ||
			other.Status.Phase == v1alpha1.CSVPhaseReplacing || other.Status.Reason == v1alpha1.CSVReasonOwnerConflict)
	})
}

func (r *Reconciler) membersOf(ctx context.Context, obj client.Object) []reconcile.Request {
	claimed := providedapi.Parse(obj.GetAnnotations()[providedapi.Annotation])
	return r.selectCSVs(ctx, "", func(csv *v1alpha1.ClusterServiceVersion) bool {
		if csv.Namespace == obj.GetNamespace() {
			return true
		}
		switch csv.Status.Reason {
		case v1alpha1.CSVReasonInterOperatorGroupOwnerConflict, v1alpha1.CSVReasonCannotModifyStaticOperatorGroupProvidedAPIs:
			return true
		default:
			provided, err := providedapi.Of(csv)
			return err == nil && claimed.HasAny(provided.UnsortedList()...)
		}
	})
}

func (r *Reconciler) gatedBy(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.selectCSVs(ctx, obj.GetNamespace(), func(csv *v1alpha1.ClusterServiceVersion) bool {
		return csv.Name == obj.GetName() || csv.Spec.Replaces == obj.GetName()
	})
}

func (r *Reconciler) usersOfCRD(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.selectCSVs(ctx, "", func(csv *v1alpha1.ClusterServiceVersion) bool {
		for _, desc := range csv.Spec.CustomResourceDefinitions.Required {
			if desc.Name == obj.GetName() {
				return true
			}
		}
		return csv.OwnsCRD(obj.GetName())
	})
}

func (r *Reconciler) usersOfAPIService(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.selectCSVs(ctx, "", func(csv *v1alpha1.ClusterServiceVersion) bool {
		for _, desc := range csv.Spec.APIServiceDefinitions.Required {
			if desc.GetName() == obj.GetName() {
				return true
			}
		}
		return csv.OwnsAPIService(obj.GetName())
	})
}

// selectCSVs returns the ClusterServiceVersions of a namespace, or of all if it is
// empty, that match.
func (r *Reconciler) selectCSVs(ctx context.Context, namespace string, match func(*v1alpha1.ClusterServiceVersion) bool) []reconcile.Request {
	list := &v1alpha1.ClusterServiceVersionList{}
	if err := r.client.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list ClusterServiceVersions")
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		if csv := &list.Items[i]; !csv.IsCopied() && match(csv) {
			requests = append(requests, request(csv.Namespace, csv.Name))
		}
	}
	return requests
}

func request(namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKey{Namespace: namespace, Name: name}}
}
