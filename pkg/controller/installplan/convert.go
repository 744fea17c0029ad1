package installplan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/render"
	"chandler.dev/olm/pkg/registry"
)

// Input is a decision of the resolver that is to become an InstallPlan.
type Input struct {
	Namespace     string
	Subscriptions []Subscription // for whom the plan is; they own it
	Approval      v1alpha1.Approval
	Generation    int // of the plan; not part of its name
	// Attempt distinguishes a plan from earlier ones that made the same
	// decision for the same Subscriptions and are over. Zero for the first.
	Attempt    int
	Selections []Selected
}

// Subscription is an owner of a plan.
type Subscription struct {
	Name string
	UID  types.UID
}

// Selected is a bundle that a plan installs.
type Selected struct {
	Catalog  types.NamespacedName // of the CatalogSource
	Package  string
	Channel  string
	Bundle   registry.Bundle // with Content and Properties
	Replaces string          // name of the ClusterServiceVersion that it upgrades; may be empty
	// GenerateSubscription adds a Subscription for a bundle that nobody
	// subscribed to but another one depends on.
	GenerateSubscription bool
}

// Build returns the InstallPlan for a decision, with its full initial status.
// Its name is computed from the decision, so that deciding the same again, by
// another worker or after a crash, names the same plan: create it, and if it
// exists with an empty status (see NeedsStatus) write the status of Build.
// The executor leaves a plan without steps alone until then. Errors are
// failure.Invalid and name the bundle that cannot be installed.
func Build(in Input) (*v1alpha1.InstallPlan, error) {
	plan := &v1alpha1.InstallPlan{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.InstallPlanAPIVersion, Kind: v1alpha1.InstallPlanKind},
		Spec: v1alpha1.InstallPlanSpec{
			ClusterServiceVersionNames: []string{},
			Approval:                   in.Approval,
			Approved:                   in.Approval != v1alpha1.ApprovalManual,
			Generation:                 in.Generation,
		},
		Status: v1alpha1.InstallPlanStatus{Phase: v1alpha1.InstallPlanPhaseInstalling, CatalogSources: []string{}},
	}
	if !plan.Spec.Approved {
		plan.Status.Phase = v1alpha1.InstallPlanPhaseRequiresApproval
	}
	name := nameKey{Namespace: in.Namespace, Attempt: in.Attempt}
	selections := slices.SortedFunc(slices.Values(in.Selections), func(a, b Selected) int {
		return cmp.Compare(a.Bundle.Name, b.Bundle.Name)
	})
	plan.Labels = map[string]string{}
	for _, s := range selections {
		plan.Labels[render.ComponentPrefix+render.ComponentName(s.Bundle.Package, in.Namespace)] = ""
		if err := addSelection(plan, &name, in.Namespace, s); err != nil {
			return nil, err
		}
	}
	plan.Status.Plan = v1alpha1.OrderSteps(plan.Status.Plan)
	slices.Sort(plan.Status.CatalogSources)
	plan.OwnerReferences = owners(in.Subscriptions)
	for _, owner := range plan.OwnerReferences {
		name.Owners = append(name.Owners, owner.UID)
	}
	key, err := json.Marshal(name)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	sum := sha256.Sum256(key)
	plan.Name = "install-" + hex.EncodeToString(sum[:6])
	plan.Namespace = in.Namespace
	return plan, nil
}

// NeedsStatus reports whether a plan was created but its status was not
// written yet.
func NeedsStatus(plan *v1alpha1.InstallPlan) bool {
	return plan.Status.Phase == v1alpha1.InstallPlanPhaseNone && len(plan.Status.Plan) == 0
}

// RefersToContent reports whether a plan holds references to content in place of
// manifests, as those of this project do.
func RefersToContent(plan *v1alpha1.InstallPlan) bool {
	return slices.ContainsFunc(plan.Status.Plan, func(step *v1alpha1.Step) bool {
		return strings.Contains(step.Resource.Manifest, install.ContentRefKind)
	})
}

// nameKey is the decision that gives a plan its name.
type nameKey struct {
	Namespace string                  `json:"namespace"`
	Attempt   int                     `json:"attempt,omitempty"`
	Owners    []types.UID             `json:"owners"`
	Contents  []install.ContentRef    `json:"contents"`
	Lookups   []v1alpha1.BundleLookup `json:"lookups"`
	Generated []string                `json:"generated,omitempty"`
}

func addSelection(plan *v1alpha1.InstallPlan, name *nameKey, namespace string, s Selected) error {
	properties, err := render.PropertiesAnnotation(s.Bundle.Properties)
	if err != nil {
		return fmt.Errorf("bundle %q: %w", s.Bundle.Name, err)
	}
	ref := install.ContentRef{
		Kind:        install.ContentRefKind,
		CatalogName: s.Catalog.Name, CatalogNamespace: s.Catalog.Namespace,
		Package: s.Package, Bundle: s.Bundle.Name,
		Digest: install.ContentDigest(s.Bundle.Content),
	}
	lookup := v1alpha1.BundleLookup{
		Path: s.Bundle.Image, Identifier: s.Bundle.Name, Replaces: s.Replaces, Properties: properties,
		CatalogSourceRef: &corev1.ObjectReference{Namespace: s.Catalog.Namespace, Name: s.Catalog.Name},
	}
	manifests, err := render.Manifests(releaseOf(namespace, lookup, s.Bundle.Content))
	if err != nil {
		return fmt.Errorf("bundle %q: %w", s.Bundle.Name, err)
	}
	if manifests[0].Name != s.Bundle.Name {
		return failure.New(failure.Invalid, "bundle %q holds a ClusterServiceVersion named %q", s.Bundle.Name, manifests[0].Name).
			WithHint("give the bundle the name of its ClusterServiceVersion in the catalog")
	}
	reference, err := json.Marshal(ref)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	for _, m := range manifests {
		plan.Status.Plan = append(plan.Status.Plan, stepFor(m, s, string(reference)))
	}
	if s.GenerateSubscription {
		step, err := subscriptionStep(namespace, s)
		if err != nil {
			return err
		}
		plan.Status.Plan = append(plan.Status.Plan, step)
		name.Generated = append(name.Generated, step.Resource.Name)
	}
	plan.Spec.ClusterServiceVersionNames = append(plan.Spec.ClusterServiceVersionNames, s.Bundle.Name)
	plan.Status.BundleLookups = append(plan.Status.BundleLookups, lookup)
	plan.EnsureCatalogSource(s.Catalog.Name)
	name.Contents = append(name.Contents, ref)
	name.Lookups = append(name.Lookups, lookup)
	return nil
}

// releaseOf is the one place that says how a lookup and its content become
// manifests, so that the executor renders what was planned.
func releaseOf(namespace string, lookup v1alpha1.BundleLookup, content registry.Content) render.Release {
	return render.Release{Namespace: namespace, Replaces: lookup.Replaces, Properties: lookup.Properties, Content: content}
}

func stepFor(m render.Manifest, s Selected, manifest string) *v1alpha1.Step {
	return &v1alpha1.Step{
		Resolving: s.Bundle.Name,
		Status:    v1alpha1.StepStatusUnknown,
		Resource: v1alpha1.StepResource{
			CatalogSource: s.Catalog.Name, CatalogSourceNamespace: s.Catalog.Namespace,
			Group: m.Group, Version: m.Version, Kind: m.Kind, Name: m.Name,
			Manifest: manifest,
		},
	}
}

// GeneratedSubscriptionName returns the name of the Subscription that a plan
// adds for a dependency.
func GeneratedSubscriptionName(s Selected) string {
	return s.Package + "-" + s.Channel + "-" + s.Catalog.Name + "-" + s.Catalog.Namespace
}

func subscriptionStep(namespace string, s Selected) (*v1alpha1.Step, error) {
	gv := v1alpha1.SchemeGroupVersion
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": gv.String(), "kind": render.KindSubscription,
		"metadata": map[string]any{"name": GeneratedSubscriptionName(s), "namespace": namespace},
		"spec": v1alpha1.SubscriptionSpec{
			Package: s.Package, Channel: s.Channel,
			CatalogSource: s.Catalog.Name, CatalogSourceNamespace: s.Catalog.Namespace,
			StartingCSV: s.Bundle.Name, InstallPlanApproval: v1alpha1.ApprovalAutomatic,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	m := render.Manifest{Group: gv.Group, Version: gv.Version, Kind: render.KindSubscription, Name: GeneratedSubscriptionName(s)}
	return stepFor(m, s, string(manifest)), nil
}

func owners(subscriptions []Subscription) []metav1.OwnerReference {
	refs := make([]metav1.OwnerReference, 0, len(subscriptions))
	for _, s := range subscriptions {
		refs = append(refs, metav1.OwnerReference{
			APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: render.KindSubscription, Name: s.Name, UID: s.UID,
			Controller: new(false), BlockOwnerDeletion: new(false),
		})
	}
	slices.SortFunc(refs, func(a, b metav1.OwnerReference) int { return cmp.Compare(a.UID, b.UID) })
	return refs
}
