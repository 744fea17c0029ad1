// Package operator shows, in an object of kind Operator, what belongs to each
// operator: everything with its component label, which is put on what the
// lifecycle makes for a Subscription and which anybody may put on more. It
// changes no component but for that label.
package operator

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/install/kube"
	"chandler.dev/olm/pkg/install/render"
)

// settle lets the many changes of an installation become one look.
const settle = 1500 * time.Millisecond

// Reconciler keeps the status of Operators and the labels of components.
type Reconciler struct {
	cache  client.Reader // also of the kinds that client reads from the API server
	client client.Client
}

// New returns a Reconciler that reads from cache and writes through cl.
func New(cache client.Reader, cl client.Client) *Reconciler {
	return &Reconciler{cache: cache, client: cl}
}

// SetupWithManager registers the controllers: one for Operators, woken by
// every object that has or had a component label, and two that put the label on
// what belongs to a Subscription and to a ClusterServiceVersion.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	operators := ctrl.NewControllerManagedBy(mgr).Named("operator").For(&operatorsv1.Operator{})
	owned := ctrl.NewControllerManagedBy(mgr).Named("component").For(&operatorsv1alpha1.ClusterServiceVersion{})
	for _, k := range kinds() {
		if err := index(mgr.GetFieldIndexer(), k); err != nil {
			return err
		}
		operators = operators.Watches(k.object(), later(operatorsOf))
		if k.gvk != csvKind {
			owned = owned.Watches(k.object(), later(ownersOf))
		}
	}
	if err := operators.Complete(r); err != nil {
		return err
	}
	if err := owned.Complete(reconcile.Func(r.ReconcileVersion)); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("component-subscription").
		For(&operatorsv1alpha1.Subscription{}).Complete(reconcile.Func(r.ReconcileSubscription))
}

// Objects are found by the operators that they are components of, and by the
// versions that own them.
const (
	operatorIndex = "component.operator"
	ownerIndex    = "component.owner"
)

func index(indexer client.FieldIndexer, k kind) error {
	return errors.Join(
		indexer.IndexField(context.Background(), k.object(), operatorIndex, func(obj client.Object) []string { return render.Components(obj.GetLabels()) }),
		indexer.IndexField(context.Background(), k.object(), ownerIndex, func(obj client.Object) (keys []string) {
			for _, request := range ownersOf(obj) {
				keys = append(keys, request.String())
			}
			return keys
		}),
	)
}

// later enqueues what requests returns for an object, a moment after a change.
func later(requests func(client.Object) []reconcile.Request) handler.EventHandler {
	add := func(q workqueue.TypedRateLimitingInterface[reconcile.Request], objects ...client.Object) {
		for _, obj := range objects {
			for _, request := range requests(obj) {
				q.AddAfter(request, settle)
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			add(q, e.Object)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			add(q, e.ObjectOld, e.ObjectNew)
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			add(q, e.Object)
		},
	}
}

func operatorsOf(obj client.Object) (requests []reconcile.Request) {
	for _, name := range render.Components(obj.GetLabels()) {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Name: name}})
	}
	return requests
}

// Reconcile writes the components of one Operator into its status. An Operator
// with components always exists; one without is left to whoever deletes it.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	refs, err := r.components(ctx, req.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	operator := &operatorsv1.Operator{}
	err = r.cache.Get(ctx, req.NamespacedName, operator)
	switch {
	case err == nil:
	case !apierrors.IsNotFound(err):
		return ctrl.Result{}, err
	case len(refs) == 0:
		return ctrl.Result{}, nil
	default:
		operator = &operatorsv1.Operator{ObjectMeta: metav1.ObjectMeta{Name: req.Name}}
		if err := r.client.Create(ctx, operator, client.FieldOwner(kube.FieldManager)); err != nil {
			return ctrl.Result{}, client.IgnoreAlreadyExists(err)
		}
	}
	before := operator.DeepCopy()
	operator.Status.Components = &operatorsv1.Components{
		LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: render.ComponentPrefix + req.Name, Operator: metav1.LabelSelectorOpExists},
		}},
		Refs: refs,
	}
	if equality.Semantic.DeepEqual(before.Status, operator.Status) {
		return ctrl.Result{}, nil
	}
	err = r.client.Status().Patch(ctx, operator, client.MergeFrom(before), client.FieldOwner(kube.FieldManager))
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// components returns references to all objects with the label of an operator,
// sorted by kind, API version, namespace and name.
func (r *Reconciler) components(ctx context.Context, name string) ([]operatorsv1.RichReference, error) {
	var refs []operatorsv1.RichReference
	for _, k := range kinds() {
		list := k.list()
		if err := r.cache.List(ctx, list, client.MatchingFields{operatorIndex: name}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, err
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			obj, ok := item.(client.Object)
			if !ok || isCopy(obj) {
				return nil
			}
			ref, err := refOf(k, obj)
			refs = append(refs, ref)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(refs, func(a, b operatorsv1.RichReference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.APIVersion, b.APIVersion), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return refs, nil
}

func isCopy(obj client.Object) bool {
	csv, ok := obj.(*operatorsv1alpha1.ClusterServiceVersion)
	return ok && csv.IsCopied()
}

// refOf refers to a component with its conditions, if it has any.
func refOf(k kind, obj client.Object) (operatorsv1.RichReference, error) {
	ref := operatorsv1.RichReference{ObjectReference: &corev1.ObjectReference{
		Kind: k.gvk.Kind, APIVersion: k.gvk.GroupVersion().String(), Namespace: obj.GetNamespace(), Name: obj.GetName(),
	}}
	switch o := obj.(type) {
	case *metav1.PartialObjectMetadata:
		return ref, nil
	case *operatorsv1alpha1.ClusterServiceVersion:
		// Its conditions are a history; the last one is where it stands.
		ref.Conditions = []operatorsv1.Condition{{
			Type: operatorsv1.ConditionType(o.Status.Phase), Status: corev1.ConditionTrue,
			Reason: string(o.Status.Reason), Message: o.Status.Message,
			LastUpdateTime: o.Status.LastUpdateTime, LastTransitionTime: o.Status.LastTransitionTime,
		}}
		return ref, nil
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return ref, err
	}
	conditions, _, _ := unstructured.NestedSlice(fields, "status", "conditions") // other types have none
	for _, c := range conditions {
		if fields, ok := c.(map[string]any); ok {
			condition := operatorsv1.Condition{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &condition); err != nil {
				return ref, err
			}
			ref.Conditions = append(ref.Conditions, condition)
		}
	}
	return ref, nil
}
