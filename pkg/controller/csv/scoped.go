package csv

import (
	"sync"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/kube"
)

// scopes gives each OperatorGroup the cluster with the rights that it installs with.
type scopes struct {
	full *kube.Cluster
	as   func(types.NamespacedName) (*kube.Cluster, error)
	mu   sync.Mutex
	made map[types.NamespacedName]*kube.Cluster // one for each ServiceAccount that a group names
}

// impersonate returns a function that gives the cluster with the rights of a ServiceAccount.
func impersonate(mgr ctrl.Manager) func(types.NamespacedName) (*kube.Cluster, error) {
	return func(account types.NamespacedName) (*kube.Cluster, error) {
		return kube.Connect(kube.As(mgr.GetConfig(), account), mgr.GetScheme(), mgr.GetRESTMapper())
	}
}

// of returns the cluster for group. A group that names a ServiceAccount that does not
// exist installs nothing: the failure is Blocked.
func (s *scopes) of(group *operatorsv1.OperatorGroup) (*kube.Cluster, error) {
	if group == nil || group.Spec.ServiceAccountName == "" {
		return s.full, nil
	}
	ref := group.Status.ServiceAccountRef
	if ref == nil || ref.Name != group.Spec.ServiceAccountName {
		return nil, failure.New(failure.Blocked, "please make sure the service account exists. sa=%s operatorgroup=%s/%s",
			group.Spec.ServiceAccountName, group.Namespace, group.Name)
	}
	key := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
	s.mu.Lock()
	defer s.mu.Unlock()
	if made := s.made[key]; made != nil {
		return made, nil
	}
	cluster, err := s.as(key)
	if err != nil {
		return nil, err
	}
	if s.made == nil {
		s.made = map[types.NamespacedName]*kube.Cluster{}
	}
	s.made[key] = cluster
	return cluster, nil
}
