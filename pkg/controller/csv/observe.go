package csv

import (
	"context"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/chain"
	"chandler.dev/olm/pkg/controller/csv/expose"
	"chandler.dev/olm/pkg/controller/csv/phase"
	"chandler.dev/olm/pkg/controller/csv/requirement"
	"chandler.dev/olm/pkg/controller/providedapi"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/render"
)

// world is one observation and what the actions need of it.
type world struct {
	phase.Observation
	requirements []v1alpha1.RequirementStatus
	options      render.DeploymentOptions
	wanted       []appsv1.Deployment
	existing     []appsv1.Deployment // those that belong to the ClusterServiceVersion
	served       expose.State
	takers       []string // other ClusterServiceVersions that have wanted Deployments
}

// observe looks at everything that the state machine needs.
func (r *Reconciler) observe(ctx context.Context, s *scope) (*world, error) {
	csv := s.csv
	w := &world{Observation: phase.Observation{
		Phase: csv.Status.Phase, Reason: csv.Status.Reason, Message: csv.Status.Message,
		Membership: s.group.verdict, FailForward: s.group.failForward(),
		Strategy: checkStrategy(csv),
	}}
	if csv.Status.LastTransitionTime != nil {
		w.Elapsed = r.clock.Since(csv.Status.LastTransitionTime.Time)
	}
	var err error
	if w.served, err = r.exposer.Read(ctx, csv, s.group.group); err != nil {
		if failure.KindOf(err) != failure.Invalid {
			return nil, err
		}
		w.Strategy = invalidStrategy(err)
	}
	if w.served.Cluster, err = r.scopes.of(s.group.group); err != nil {
		w.served.Cluster = r.scopes.full // to look with; acting fails for the same reason
	}
	if err := r.observeDeployments(ctx, csv, w); err != nil {
		return nil, err
	}
	relatives, err := r.observeChain(ctx, csv, w)
	if err != nil {
		return nil, err
	}
	if phase.Retires(csv.Status.Phase) || w.Membership.Bad() {
		return w, nil // what it needs and serves no longer matters
	}
	result, err := r.requirements(ctx, csv, relatives.Ancestors)
	if err != nil {
		return nil, err
	}
	w.Unmet, w.requirements = !result.Met, result.Statuses
	return w, r.exposer.Observe(ctx, csv, w.served, &w.Observation)
}

// checkStrategy finds install strategies that cannot work.
func checkStrategy(csv *v1alpha1.ClusterServiceVersion) phase.Verdict {
	if csv.Spec.InstallStrategy.StrategyName != v1alpha1.InstallStrategyNameDeployment {
		return phase.Verdict{Reason: v1alpha1.CSVReasonInvalidStrategy, Message: "install strategy invalid: unrecognized install strategy"}
	}
	if err := requirement.ValidateRules(csv); err != nil {
		return invalidStrategy(err)
	}
	if _, err := providedapi.Of(csv); err != nil {
		return invalidStrategy(err)
	}
	return phase.Verdict{}
}

func invalidStrategy(err error) phase.Verdict {
	return phase.Verdict{Reason: v1alpha1.CSVReasonInvalidStrategy, Message: "install strategy invalid: " + err.Error()}
}

// observeChain looks at the other ClusterServiceVersions of the namespace.
func (r *Reconciler) observeChain(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, w *world) (chain.Chain, error) {
	all := &v1alpha1.ClusterServiceVersionList{}
	if err := r.client.List(ctx, all, client.InNamespace(csv.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return chain.Chain{}, err
	}
	c := chain.Of(csv, all.Items)
	w.Predecessor, w.Successor, w.Superseded = c.Predecessor, c.Successor, c.Superseded
	w.Ownership = c.CRDConflict(csv, all.Items)
	if !w.Ownership.Bad() {
		w.Ownership = c.DeploymentConflict(all.Items, w.takers)
	}
	if !c.Predecessor.Exists() {
		return c, nil
	}
	condition := &operatorsv2.OperatorCondition{}
	err := r.client.Get(ctx, client.ObjectKey{Namespace: csv.Namespace, Name: c.Predecessor.Name}, condition)
	if err == nil {
		w.Gate = chain.Gate(condition)
	}
	return c, client.IgnoreNotFound(err)
}

// observeDeployments computes the Deployments that csv wants and compares them with
// those that belong to it.
func (r *Reconciler) observeDeployments(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, w *world) error {
	config, err := r.subscriptionConfig(ctx, csv)
	if err != nil {
		return err
	}
	w.options = render.DeploymentOptions{Config: config, CAHashes: w.served.CAHashes()}
	w.wanted, err = render.Deployments(csv, w.options)
	if err != nil {
		return err
	}
	list := &appsv1.DeploymentList{}
	if err := r.client.List(ctx, list, client.InNamespace(csv.Namespace)); err != nil {
		return err
	}
	for i := range w.wanted {
		have := byName(list.Items, w.wanted[i].Name)
		if r.memory.behind(&w.wanted[i], have) {
			return errStale
		}
		if owner := otherOwner(have, csv); owner != "" {
			w.takers = append(w.takers, owner)
		}
	}
	w.Taken = len(w.takers) > 0
	w.existing = slices.DeleteFunc(list.Items, func(d appsv1.Deployment) bool { return !hasOwnerLabels(&d, csv) })
	w.Install = phase.Inspect(w.wanted, w.existing, csv.Annotations)
	if csv.Status.Phase == v1alpha1.CSVPhaseSucceeded {
		w.Drifted, err = drifted(w)
	}
	return err
}

// drifted tells whether an existing Deployment lacks something that it was given.
func drifted(w *world) (bool, error) {
	for i := range w.wanted {
		have := byName(w.existing, w.wanted[i].Name)
		if have == nil {
			continue
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(have)
		if err != nil {
			return false, err
		}
		live := &unstructured.Unstructured{Object: content}
		live.SetGroupVersionKind(w.wanted[i].GroupVersionKind())
		if same, err := w.served.Cluster.IsAsDesired(live, &w.wanted[i]); err != nil || !same {
			return err == nil, err
		}
	}
	return false, nil
}

func hasOwnerLabels(obj client.Object, csv *v1alpha1.ClusterServiceVersion) bool {
	have := obj.GetLabels()
	for key, value := range render.OwnerOf(csv).Labels() {
		if have[key] != value {
			return false
		}
	}
	return true
}

// otherOwner names the ClusterServiceVersion, not csv, that obj belongs to by its labels.
func otherOwner(obj client.Object, csv *v1alpha1.ClusterServiceVersion) string {
	if obj == nil || hasOwnerLabels(obj, csv) || obj.GetLabels()[render.LabelOwnerKind] != v1alpha1.ClusterServiceVersionKind {
		return ""
	}
	return obj.GetLabels()[render.LabelOwner]
}

func byName(deployments []appsv1.Deployment, name string) client.Object {
	i := slices.IndexFunc(deployments, func(d appsv1.Deployment) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return &deployments[i]
}

// subscriptionConfig returns spec.config of the Subscription that installs csv. One that
// is about to install it counts too, so that its first pods already have the config.
func (r *Reconciler) subscriptionConfig(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (*v1alpha1.SubscriptionConfig, error) {
	subscriptions := &v1alpha1.SubscriptionList{}
	if err := r.client.List(ctx, subscriptions, client.InNamespace(csv.Namespace)); err != nil {
		return nil, err
	}
	for i := range subscriptions.Items {
		if subscriptions.Items[i].Status.InstalledCSV == csv.Name {
			return subscriptions.Items[i].Spec.Config, nil
		}
	}
	for i := range subscriptions.Items {
		if subscriptions.Items[i].Status.CurrentCSV == csv.Name {
			return subscriptions.Items[i].Spec.Config, nil
		}
	}
	return nil, nil
}
