package subscription

import (
	"slices"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/types"

	"chandler.dev/olm/pkg/controller/snapshot"
	"chandler.dev/olm/pkg/resolver"
)

// view is everything that the decisions about one namespace depend on.
type view struct {
	namespace     string
	kubeVersion   string
	subscriptions []*v1alpha1.Subscription          // sorted by name; those that go are left out
	csvs          []*v1alpha1.ClusterServiceVersion // sorted by name; copies are left out
	plans         []*v1alpha1.InstallPlan           // sorted by generation, creation and name
	groups        []*operatorsv1.OperatorGroup
	catalogs      []catalog // visible from the namespace, sorted by namespace and name
}

// catalog is a CatalogSource as it is seen from a namespace.
type catalog struct {
	ref      resolver.CatalogRef
	uid      types.UID
	priority int
	settled  bool               // its controller has looked at it
	healthy  bool               // its content is that of its server
	problem  string             // why it is not healthy, a sentence
	refused  bool               // it is not healthy because its spec is wrong
	snapshot *snapshot.Snapshot // its last good content; nil if it was never read
}

func (v *view) csv(name string) *v1alpha1.ClusterServiceVersion {
	i := slices.IndexFunc(v.csvs, func(c *v1alpha1.ClusterServiceVersion) bool { return c.Name == name })
	if name == "" || i < 0 {
		return nil
	}
	return v.csvs[i]
}

func (v *view) plan(name string) *v1alpha1.InstallPlan {
	i := slices.IndexFunc(v.plans, func(p *v1alpha1.InstallPlan) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return v.plans[i]
}

func (v *view) subscription(name string) *v1alpha1.Subscription {
	i := slices.IndexFunc(v.subscriptions, func(s *v1alpha1.Subscription) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return v.subscriptions[i]
}

func (v *view) catalog(ref resolver.CatalogRef) *catalog {
	i := slices.IndexFunc(v.catalogs, func(c catalog) bool { return c.ref == ref })
	if i < 0 {
		return nil
	}
	return &v.catalogs[i]
}

// failForward reports whether upgrades may continue past one that failed.
func (v *view) failForward() bool {
	return len(v.groups) == 1 && v.groups[0].Spec.UpgradeStrategy == operatorsv1.UpgradeStrategyUnsafeFailForward
}

// excludeGlobal is set to "true" on an OperatorGroup whose namespace only uses
// its own catalogs.
const excludeGlobal = "olm.operatorframework.io/exclude-global-namespace-resolution"

func (v *view) excludesGlobal() bool {
	return len(v.groups) == 1 && v.groups[0].Annotations[excludeGlobal] == "true"
}

// catalogNamespaces are the namespaces whose catalogs are visible.
func (v *view) catalogNamespaces(global string) []string {
	if global == v.namespace || v.excludesGlobal() {
		return []string{v.namespace}
	}
	return []string{v.namespace, global}
}
