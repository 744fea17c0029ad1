package subscription

import (
	"fmt"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// catalogHealth returns what a status says about the catalogs that its
// Subscription can see; times of what did not change stay.
func catalogHealth(before []v1alpha1.SubscriptionCatalogHealth, catalogs []catalog, now metav1.Time) []v1alpha1.SubscriptionCatalogHealth {
	var health []v1alpha1.SubscriptionCatalogHealth
	for _, c := range catalogs {
		if !c.settled {
			continue // it will be known in a moment
		}
		next := v1alpha1.SubscriptionCatalogHealth{
			CatalogSourceRef: &corev1.ObjectReference{
				APIVersion: v1alpha1.CatalogSourceCRDAPIVersion, Kind: v1alpha1.CatalogSourceKind,
				Namespace: c.ref.Namespace, Name: c.ref.Name, UID: c.uid,
			},
			Healthy: c.healthy, LastUpdated: &now,
		}
		for _, b := range before {
			if b.CatalogSourceRef != nil && b.CatalogSourceRef.Namespace == c.ref.Namespace && b.CatalogSourceRef.Name == c.ref.Name &&
				b.CatalogSourceRef.UID == c.uid && b.Healthy == c.healthy && b.LastUpdated != nil {
				next.LastUpdated = b.LastUpdated
			}
		}
		health = append(health, next)
	}
	return health
}

// catalogCondition says whether the catalog that a Subscription names is as it
// should be. Other catalogs do not count: nothing of this Subscription comes
// from them unless a dependency does, and then the resolver says so.
func catalogCondition(v *view, sub *v1alpha1.Subscription) v1alpha1.SubscriptionCondition {
	unhealthy := v1alpha1.SubscriptionCondition{
		Type: v1alpha1.SubscriptionCatalogSourcesUnhealthy, Status: corev1.ConditionTrue, Reason: v1alpha1.UnhealthyCatalogSourceFound,
	}
	ref := catalogOf(sub)
	c := v.catalog(ref)
	switch {
	case len(v.catalogs) == 0 && ref.Name == "":
		unhealthy.Reason = v1alpha1.NoCatalogSourcesFound
		unhealthy.Message = "dependency resolution requires at least one catalogsource"
	case c == nil && ref.Name != "":
		unhealthy.Message = fmt.Sprintf("targeted catalogsource %s/%s missing", ref.Namespace, ref.Name)
	case c != nil && c.settled && c.refused:
		unhealthy.Message = fmt.Sprintf("targeted catalogsource %s/%s unhealthy", ref.Namespace, ref.Name)
	case c != nil && c.settled && !c.healthy:
		unhealthy.Message = fmt.Sprintf("targeted catalogsource %s/%s unhealthy: %s", ref.Namespace, ref.Name, c.problem)
	default:
		return v1alpha1.SubscriptionCondition{
			Type: v1alpha1.SubscriptionCatalogSourcesUnhealthy, Status: corev1.ConditionFalse,
			Reason: v1alpha1.AllCatalogSourcesHealthy, Message: "all available catalogsources are healthy",
		}
	}
	return unhealthy
}
