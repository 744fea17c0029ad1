package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"chandler.dev/olm/pkg/install"
)

// As returns cfg with the rights of a ServiceAccount only.
func As(cfg *rest.Config, account types.NamespacedName) *rest.Config {
	scoped := rest.CopyConfig(cfg)
	scoped.Impersonate = rest.ImpersonationConfig{
		UserName: fmt.Sprintf("system:serviceaccount:%s:%s", account.Namespace, account.Name),
		Extra:    map[string][]string{install.ExtraLifecycle: {"true"}},
	}
	return scoped
}
