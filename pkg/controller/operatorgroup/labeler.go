package operatorgroup

import (
	"context"
	"maps"
	"slices"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// labeler keeps on every namespace the labels of the groups that target it. Webhooks
// of operators select namespaces by them. It starts from the namespace, so that labels
// of groups that disappeared while nobody watched go away as well.
type labeler struct {
	client client.Client
}

func newLabeler(c client.Client) *labeler { return &labeler{client: c} }

func (l *labeler) setupWithManager(mgr ctrl.Manager) error {
	namespace := namespaceMetadata()
	return ctrl.NewControllerManagedBy(mgr).Named("operatorgroup-labels").
		WatchesMetadata(namespace, &handler.EnqueueRequestForObject{}).
		// A group that changes its targets concerns those that it had and those that it has.
		Watches(&operatorsv1.OperatorGroup{}, handler.EnqueueRequestsFromMapFunc(l.targetsOf)).
		Complete(l)
}

// Reconcile compares the labels of one namespace with the targets of all groups.
func (l *labeler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	namespace := namespaceMetadata()
	if err := l.client.Get(ctx, client.ObjectKey{Name: req.Name}, namespace); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	groups := &operatorsv1.OperatorGroupList{}
	if err := l.client.List(ctx, groups, client.UnsafeDisableDeepCopy); err != nil {
		return ctrl.Result{}, err
	}
	wanted := withGroupLabels(namespace.Labels, namespace.Name, groups.Items)
	if !namespace.DeletionTimestamp.IsZero() || maps.Equal(wanted, namespace.Labels) {
		return ctrl.Result{}, nil
	}
	before := namespace.DeepCopy()
	namespace.Labels = wanted
	return ctrl.Result{}, client.IgnoreNotFound(l.client.Patch(ctx, namespace, client.MergeFrom(before)))
}

// withGroupLabels returns labels with those of exactly the groups that target the namespace.
func withGroupLabels(labels map[string]string, namespace string, groups []operatorsv1.OperatorGroup) map[string]string {
	wanted := map[string]string{}
	for key, value := range labels {
		if !operatorsv1.IsOperatorGroupLabel(key) {
			wanted[key] = value
		}
	}
	for i := range groups {
		if !slices.Contains(groups[i].Status.Namespaces, namespace) {
			continue
		}
		if key, value, err := groups[i].OGLabelKeyAndValue(); err == nil {
			wanted[key] = value
		}
	}
	return wanted
}

func (l *labeler) targetsOf(_ context.Context, obj client.Object) []reconcile.Request {
	group, ok := obj.(*operatorsv1.OperatorGroup)
	if !ok {
		return nil
	}
	var requests []reconcile.Request
	for _, name := range group.Status.Namespaces {
		if name != metav1.NamespaceAll {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Name: name}})
		}
	}
	return requests
}

func namespaceMetadata() *metav1.PartialObjectMetadata {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return namespace
}
