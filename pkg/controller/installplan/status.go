package installplan

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
)

// Reasons of the condition Installed that v0 does not have.
const (
	// ReasonRefused says that nothing was written because it could not work.
	ReasonRefused v1alpha1.InstallPlanConditionReason = "BundleRefused"
	// ReasonContentChanged says that what was decided on can no longer be had.
	ReasonContentChanged v1alpha1.InstallPlanConditionReason = "BundleContentChanged"
)

// ConditionConverted tells of CustomResourceDefinitions of v1beta1 in the
// bundles of a plan, which become v1; ReasonNothingLost is its reason. Those
// that cannot are a refusal.
const (
	ConditionConverted v1alpha1.InstallPlanConditionType   = "Converted"
	ReasonNothingLost  v1alpha1.InstallPlanConditionReason = "NothingLost"
)

// verdict is an error that has a reason of its own in the condition Installed.
type verdict struct {
	reason v1alpha1.InstallPlanConditionReason
	err    *failure.Error
}

func (v *verdict) Error() string { return v.err.Error() }

func (v *verdict) Unwrap() error { return v.err }

// reasonOf returns the reason that err has in the condition Installed.
func reasonOf(err error) v1alpha1.InstallPlanConditionReason {
	if v, ok := errors.AsType[*verdict](err); ok {
		return v.reason
	}
	return v1alpha1.InstallPlanReasonComponentFailed
}

// How long until a plan is tried again that somebody else has to make possible.
const (
	waitingRetry = 2 * time.Second
	curableRetry = 5 * time.Second
	blockedRetry = 15 * time.Second
	// What a complete plan installed and nobody can put back now.
	unhealedRetry = 5 * time.Minute
)

// conclude turns what a pass ended with into the status of the plan and says
// when the next pass is due. A refusal ends the plan at once; an error that
// somebody else may cure ends it after the retry window; missing rights, a busy
// API server and conflicts never end it.
func (r *Reconciler) conclude(ctx context.Context, s *scope, err error) (ctrl.Result, error) {
	status := &s.plan.Status
	inGroup := reasonOf(err) == v1alpha1.InstallPlanReasonInstallCheckFailed
	if !inGroup && status.GetCondition(v1alpha1.InstallPlanInstalled).Reason == v1alpha1.InstallPlanReasonInstallCheckFailed {
		r.setInstalled(status, corev1.ConditionFalse, "Unknown", "")
	}
	switch {
	case err == nil && s.done:
		status.Phase, status.Message = v1alpha1.InstallPlanPhaseComplete, ""
		r.setInstalled(status, corev1.ConditionTrue, "", "")
		r.causes.Forget(ctx, client.ObjectKeyFromObject(s.plan))
		ctrl.LoggerFrom(ctx).Info("installed", "operators", s.plan.Spec.ClusterServiceVersionNames)
		return ctrl.Result{}, nil
	case err == nil:
		return ctrl.Result{}, nil
	case apierrors.IsConflict(err):
		return step.Result(ctx, step.Stop(), err)
	case reasonOf(err) == ReasonRights:
		return r.hold(ctx, s, err)
	case inGroup:
		r.setInstalled(status, corev1.ConditionFalse, v1alpha1.InstallPlanReasonInstallCheckFailed, textOf(err))
		return ctrl.Result{}, nil
	}
	if reason := reasonOf(err); r.isEnd(s, err) {

		status.Phase, status.Message = v1alpha1.InstallPlanPhaseFailed, textOf(err)
		r.setInstalled(status, corev1.ConditionFalse, reason, sentence(err))
		ctrl.LoggerFrom(ctx).Info("failed", "reason", reason, "message", err.Error())
		return ctrl.Result{}, nil
	}
	r.start(status)
	status.Message = "retrying execution due to error: " + textOf(err)
	ctrl.LoggerFrom(ctx).V(1).Info("retrying", "error", err.Error())
	switch failure.KindOf(err) {
	case failure.Waiting:
		return ctrl.Result{RequeueAfter: waitingRetry}, nil
	case failure.Blocked:
		return ctrl.Result{RequeueAfter: blockedRetry}, r.awaitRights(s)
	case failure.Internal:
		return ctrl.Result{}, err
	default:
		return ctrl.Result{RequeueAfter: curableRetry}, nil
	}
}

// awaitRights lets a plan that lacks rights be tried again when some are granted.
func (r *Reconciler) awaitRights(s *scope) error {
	if s.scoped == r.o.Cluster {
		return nil
	}
	return r.causes.Await(client.ObjectKeyFromObject(s.plan), rightsKinds()...)
}

// isEnd tells whether an error is the end of the plan.
func (r *Reconciler) isEnd(s *scope, err error) bool {
	if reasonOf(err) == ReasonRefused {
		return true
	}
	switch failure.KindOf(err) {
	case failure.Waiting, failure.Blocked, failure.Internal:
		return false
	default:
		start := s.plan.Status.StartTime
		return start != nil && r.o.Clock.Since(start.Time) >= r.o.RetryWindow
	}
}

// start notes when the plan was first tried.
func (r *Reconciler) start(status *v1alpha1.InstallPlanStatus) {
	if status.StartTime == nil {
		now := metav1.NewTime(r.o.Clock.Now())
		status.StartTime = &now
	}
}

func (r *Reconciler) setInstalled(status *v1alpha1.InstallPlanStatus, value corev1.ConditionStatus, reason v1alpha1.InstallPlanConditionReason, message string) {
	r.setCondition(status, v1alpha1.InstallPlanCondition{Type: v1alpha1.InstallPlanInstalled, Status: value, Reason: reason, Message: message})
}

func (r *Reconciler) setCondition(status *v1alpha1.InstallPlanStatus, c v1alpha1.InstallPlanCondition) {
	old := status.GetCondition(c.Type)
	if old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
		return
	}
	now := metav1.NewTime(r.o.Clock.Now())
	c.LastUpdateTime, c.LastTransitionTime = &now, &now
	status.SetCondition(c)
}

// tellConverted says what becomes of the CustomResourceDefinitions of v1beta1
// in the plan, if it has any.
func (r *Reconciler) tellConverted(s *scope) {
	var names []string
	for _, it := range s.items {
		if it.manifest.IsBetaCRD() {
			names = append(names, it.manifest.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	r.setCondition(&s.plan.Status, v1alpha1.InstallPlanCondition{
		Type: ConditionConverted, Status: corev1.ConditionTrue, Reason: ReasonNothingLost,
		Message: "CustomResourceDefinitions of apiextensions.k8s.io/v1beta1 become v1, which loses nothing: " + strings.Join(names, ", "),
	})
}

// textOf is the whole text of an error that somebody classified; clients of v0
// look for the words of the API server in it.
func textOf(err error) string {
	if e, ok := errors.AsType[*failure.Error](err); ok {
		return e.Error()
	}
	return sentence(err)
}

// sentence is what a person may read of an error, with the cure.
func sentence(err error) string {
	e, ok := errors.AsType[*failure.Error](err)
	switch {
	case !ok:
		return "internal error, see the log of the controller"
	case e.Hint == "":
		return e.Message
	}
	return e.Message + "; " + e.Hint
}
