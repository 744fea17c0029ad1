package subscription

import (
	"fmt"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
)

// noticesOf returns what the catalog of a Subscription says about the bundle
// that is installed for it. A catalog that does not have that bundle says
// nothing new.
func noticesOf(sub *v1alpha1.Subscription, installed string, offers []resolver.Catalog) []notice {
	for _, c := range offers {
		if c.Ref != catalogOf(sub) {
			continue
		}
		for _, offer := range c.Packages {
			i := slices.IndexFunc(offer.Bundles, func(b registry.Bundle) bool { return b.Name == installed })
			if offer.Package.Name == sub.Spec.Package && i >= 0 {
				return deprecationsIn(offer.Package, sub.Spec.Channel, offer.Bundles[i])
			}
		}
	}
	return formerNotices(sub)
}

func deprecationsIn(pkg registry.Package, channel string, bundle registry.Bundle) (notices []notice) {
	if pkg.Deprecation != "" {
		notices = append(notices, notice{v1alpha1.SubscriptionPackageDeprecated, fmt.Sprintf("olm.package/%s: %s", pkg.Name, pkg.Deprecation)})
	}
	if ch, ok := pkg.Channel(channel); ok && ch.Deprecation != "" {
		notices = append(notices, notice{v1alpha1.SubscriptionChannelDeprecated, fmt.Sprintf("olm.channel/%s: %s", ch.Name, ch.Deprecation)})
	}
	if bundle.Deprecation != "" {
		notices = append(notices, notice{v1alpha1.SubscriptionBundleDeprecated, fmt.Sprintf("olm.bundle/%s: %s", bundle.Name, bundle.Deprecation)})
	}
	return notices
}

// formerNotices returns what the status says already.
func formerNotices(sub *v1alpha1.Subscription) (notices []notice) {
	for _, c := range sub.Status.Conditions {
		switch c.Type {
		case v1alpha1.SubscriptionPackageDeprecated, v1alpha1.SubscriptionChannelDeprecated, v1alpha1.SubscriptionBundleDeprecated:
			if c.Status == corev1.ConditionTrue {
				notices = append(notices, notice{c.Type, c.Message})
			}
		default:
		}
	}
	return notices
}
