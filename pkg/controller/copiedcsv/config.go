package copiedcsv

import (
	"context"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// countAfter is how long copies are given to follow before they are counted.
const countAfter = 5 * time.Second

// Reasons of the condition on the OLMConfig.
const (
	reasonCopiesEnabled  = "CopiedCSVsEnabled"
	reasonCopiesDisabled = "CopiedCSVsDisabled"
)

func (r *Reconciler) setupConfig(mgr ctrl.Manager) error {
	// Many versions change together; they are looked at once, a moment later.
	later := handler.TypedFuncs[*v1alpha1.ClusterServiceVersion, reconcile.Request]{
		CreateFunc: func(_ context.Context, _ event.TypedCreateEvent[*v1alpha1.ClusterServiceVersion], q queue) {
			q.AddAfter(configRequest(), countAfter)
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*v1alpha1.ClusterServiceVersion], q queue) {
			if copiable(e.ObjectOld) != copiable(e.ObjectNew) {
				q.AddAfter(configRequest(), countAfter)
			}
		},
		DeleteFunc: func(_ context.Context, _ event.TypedDeleteEvent[*v1alpha1.ClusterServiceVersion], q queue) {
			q.AddAfter(configRequest(), countAfter)
		},
	}
	return ctrl.NewControllerManagedBy(mgr).Named("copiedcsv-config").
		For(&operatorsv1.OLMConfig{}).
		WatchesRawSource(source.Kind(mgr.GetCache(), &v1alpha1.ClusterServiceVersion{}, later)).
		Complete(reconcile.Func(r.ReconcileConfig))
}

func configRequest() reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKey{Name: configName}}
}

// ReconcileConfig says in the condition DisabledCopiedCSVs of the OLMConfig
// whether copies are as they should be, and looks again while they are not.
func (r *Reconciler) ReconcileConfig(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	cfg := &operatorsv1.OLMConfig{}
	if req.Name != configName {
		return ctrl.Result{}, nil
	}
	if err := r.o.Client.Get(ctx, req.NamespacedName, cfg); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	existing, err := r.namespaces(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	disabled, err := r.disabled(ctx, len(existing))
	if err != nil {
		return ctrl.Result{}, err
	}
	expected, err := r.asExpected(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	before := cfg.DeepCopy()
	if meta.SetStatusCondition(&cfg.Status.Conditions, conditionFor(disabled, expected, cfg.Generation)) {
		if err := r.o.Client.Status().Patch(ctx, cfg, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, err
		}
	}
	if !expected {
		return ctrl.Result{RequeueAfter: countAfter}, nil
	}
	return ctrl.Result{}, nil
}

// asExpected reports whether every global version has exactly the copies that
// it is to have.
func (r *Reconciler) asExpected(ctx context.Context) (bool, error) {
	list := &v1alpha1.ClusterServiceVersionList{}
	if err := r.o.Client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return false, err
	}
	for i := range list.Items {
		csv := &list.Items[i]
		if !copiable(csv) {
			continue
		}
		reach, err := r.reachOf(ctx, csv)
		if err != nil {
			return false, err
		}
		if !reach.global {
			continue
		}
		copies, err := r.copiesOf(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(csv)})
		if err != nil {
			return false, err
		}
		if len(copies) != len(reach.namespaces) {
			return false, nil
		}
	}
	return true, nil
}

// conditionFor is the condition in the words of OLM v0 (spec chapter 8.3).
func conditionFor(disabled, expected bool, generation int64) metav1.Condition {
	c := metav1.Condition{Type: operatorsv1.DisabledCopiedCSVsConditionType, ObservedGeneration: generation, Status: metav1.ConditionFalse, Reason: reasonCopiesEnabled}
	switch {
	case !disabled && expected:
		c.Message = "Copied CSVs are enabled and present across the cluster"
	case !disabled:
		c.Message = "Copied CSVs are enabled and at least one copied CSVs is missing"
	case expected:
		c.Status, c.Reason = metav1.ConditionTrue, reasonCopiesDisabled
		c.Message = "Copied CSVs are disabled and no unexpected copied CSVs were found for operators installed in AllNamespace mode"
	default:
		c.Reason = reasonCopiesDisabled
		c.Message = "Copied CSVs are disabled and at least one unexpected copied CSV was found for an operator installed in AllNamespace mode"
	}
	return c
}
