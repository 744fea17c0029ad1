package controller

import (
	"cmp"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyac "k8s.io/client-go/applyconfigurations/policy/v1"

	"chandler.dev/olm/examples/database/api/v1alpha1"
)

const (
	clientPort int32 = 2379
	peerPort   int32 = 2380
	probePort  int32 = 8080

	annotationEngine = "database.example.com/engine" // version of etcd that a pod runs
	labelRole        = "database.example.com/role"   // Voter or Reader
)

// Keys of the ConfigMap that a member reads as environment at its start.
const (
	keyState = "initial-cluster-state"
	keyQuota = "quota-backend-bytes"
)

func setName(db *v1alpha1.ProductionReadyDatabase, role Role) string {
	if role == Reader {
		return db.Name + "-read"
	}
	return db.Name
}

func membersService(db *v1alpha1.ProductionReadyDatabase) string { return db.Name + "-members" }

func configName(db *v1alpha1.ProductionReadyDatabase) string { return db.Name + "-members" }

// addresses are where the voting members answer, lowest ordinal first.
func addresses(db *v1alpha1.ProductionReadyDatabase, replicas int32) (urls []string) {
	for i := range replicas {
		urls = append(urls, fmt.Sprintf("http://%s-%d.%s.%s.svc:%d", db.Name, i, membersService(db), db.Namespace, clientPort))
	}
	return urls
}

func instanceLabels(db *v1alpha1.ProductionReadyDatabase) map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":       "database",
		"app.kubernetes.io/instance":   db.Name,
		"app.kubernetes.io/managed-by": "database-operator",
	}
}

func roleLabels(db *v1alpha1.ProductionReadyDatabase, role Role) map[string]string {
	l := instanceLabels(db)
	l[labelRole] = string(role)
	return l
}

func owner(db *v1alpha1.ProductionReadyDatabase) *metaac.OwnerReferenceApplyConfiguration {
	return metaac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("ProductionReadyDatabase").
		WithName(db.Name).WithUID(db.UID).WithController(true).WithBlockOwnerDeletion(true)
}

// configMap holds what may differ between two starts of the same pod. The
// state is "existing" as soon as a second pod may hold data: the first member
// then never founds another cluster when it comes back without its own.
func configMap(db *v1alpha1.ProductionReadyDatabase, pods int32) *coreac.ConfigMapApplyConfiguration {
	state := "new"
	if pods > 1 {
		state = "existing"
	}
	return coreac.ConfigMap(configName(db), db.Namespace).
		WithLabels(instanceLabels(db)).WithOwnerReferences(owner(db)).
		WithData(map[string]string{keyState: state, keyQuota: strconv.FormatInt(quota(db), 10)})
}

// quota is the size at which etcd refuses writes, 0 for its own default.
func quota(db *v1alpha1.ProductionReadyDatabase) int64 {
	if db.Spec.Storage == nil {
		return 0
	}
	return db.Spec.Storage.Size.Value() / 5 * 4
}

// services are the one that names each member, the one for clients that write
// and the one for clients that read from replicas.
func services(db *v1alpha1.ProductionReadyDatabase) []*coreac.ServiceApplyConfiguration {
	service := func(name string, selector map[string]string) *coreac.ServiceApplyConfiguration {
		return coreac.Service(name, db.Namespace).
			WithLabels(instanceLabels(db)).WithOwnerReferences(owner(db)).
			WithSpec(coreac.ServiceSpec().WithSelector(selector).WithPorts(port("client", clientPort)))
	}
	each := service(membersService(db), instanceLabels(db))
	// Members must find each other before they are ready: being ready needs a majority.
	each.Spec.WithClusterIP(corev1.ClusterIPNone).WithPublishNotReadyAddresses(true).WithPorts(port("peer", peerPort))
	all := []*coreac.ServiceApplyConfiguration{each, service(db.Name, roleLabels(db, Voter))}
	if db.Spec.ReadReplicas > 0 {
		all = append(all, service(setName(db, Reader), roleLabels(db, Reader)))
	}
	return all
}

func port(name string, number int32) *coreac.ServicePortApplyConfiguration {
	return coreac.ServicePort().WithName(name).WithPort(number).
		WithProtocol(corev1.ProtocolTCP).WithTargetPort(intstr.FromString(name))
}

// budget lets a node be drained as long as it costs one member at a time.
func budget(db *v1alpha1.ProductionReadyDatabase) *policyac.PodDisruptionBudgetApplyConfiguration {
	return policyac.PodDisruptionBudget(db.Name, db.Namespace).
		WithLabels(instanceLabels(db)).WithOwnerReferences(owner(db)).
		WithSpec(policyac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithSelector(selector(roleLabels(db, Voter))))
}

// runtimeOf chooses what members run. Pods whose version of etcd is the one
// that is wanted keep their image, so that a new release of the operator alone
// restarts no member.
func runtimeOf(db *v1alpha1.ProductionReadyDatabase, release Release, running Group) Release {
	release.Engine = cmp.Or(db.Spec.Version, release.Engine)
	if running.Exists && running.Engine == release.Engine {
		release.Image = running.Image
	}
	return release
}

func selector(l map[string]string) *metaac.LabelSelectorApplyConfiguration {
	return metaac.LabelSelector().WithMatchLabels(l)
}
