package controller

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"

	"chandler.dev/olm/examples/database/api/v1alpha1"
)

const (
	dataVolume       = "data"
	dataPath         = "/var/lib/database"
	nonRoot    int64 = 65532
)

// statefulSet runs the pods of one role. Pods start and stop in order, and are
// replaced one at a time, each after the one before is ready.
func statefulSet(db *v1alpha1.ProductionReadyDatabase, run Release, role Role, replicas int32) *appsac.StatefulSetApplyConfiguration {
	l := roleLabels(db, role)
	spec := appsac.StatefulSetSpec().
		WithReplicas(replicas).
		WithServiceName(membersService(db)).
		WithSelector(selector(l)).
		WithPodManagementPolicy(appsv1.OrderedReadyPodManagement).
		WithTemplate(coreac.PodTemplateSpec().
			WithLabels(l).
			WithAnnotations(podAnnotations(db, run)).
			WithSpec(podSpec(db, run, role)))
	if claim := claim(db); claim != nil {
		// A member that was removed starts empty if it comes back, and data without their database are of no use.
		spec.WithVolumeClaimTemplates(claim).WithPersistentVolumeClaimRetentionPolicy(
			appsac.StatefulSetPersistentVolumeClaimRetentionPolicy().
				WithWhenScaled(appsv1.DeletePersistentVolumeClaimRetentionPolicyType).
				WithWhenDeleted(appsv1.DeletePersistentVolumeClaimRetentionPolicyType))
	}
	return appsac.StatefulSet(setName(db, role), db.Namespace).
		WithLabels(l).WithOwnerReferences(owner(db)).WithSpec(spec)
}

// podAnnotations change whenever a running member has to be restarted to take
// over its settings.
func podAnnotations(db *v1alpha1.ProductionReadyDatabase, run Release) map[string]string {
	annotations := map[string]string{annotationEngine: run.Engine}
	if q := quota(db); q != 0 {
		annotations["database.example.com/quota"] = strconv.FormatInt(q, 10)
	}
	return annotations
}

func podSpec(db *v1alpha1.ProductionReadyDatabase, run Release, role Role) *coreac.PodSpecApplyConfiguration {
	pod := coreac.PodSpec().
		WithAutomountServiceAccountToken(false).
		WithTerminationGracePeriodSeconds(30).
		WithSecurityContext(coreac.PodSecurityContext().
			WithRunAsNonRoot(true).WithRunAsUser(nonRoot).WithFSGroup(nonRoot).
			WithSeccompProfile(coreac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithTopologySpreadConstraints(coreac.TopologySpreadConstraint().
			WithTopologyKey(corev1.LabelHostname).WithMaxSkew(1).
			WithWhenUnsatisfiable(corev1.ScheduleAnyway).
			WithLabelSelector(selector(roleLabels(db, role)))).
		WithContainers(container(db, run, role))
	if claim(db) == nil {
		space := coreac.EmptyDirVolumeSource()
		if db.Spec.Storage != nil {
			space.WithSizeLimit(db.Spec.Storage.Size)
		}
		pod.WithVolumes(coreac.Volume().WithName(dataVolume).WithEmptyDir(space))
	}
	return pod
}

func container(db *v1alpha1.ProductionReadyDatabase, run Release, role Role) *coreac.ContainerApplyConfiguration {
	probe := func(path string, period int32) *coreac.ProbeApplyConfiguration {
		return coreac.Probe().WithPeriodSeconds(period).WithTimeoutSeconds(3).
			WithHTTPGet(coreac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString("probes")))
	}
	return coreac.Container().
		WithName("member").
		WithImage(run.Image).
		WithArgs("member", "--role="+string(role), "--service="+membersService(db)+"."+db.Namespace+".svc",
			"--cluster="+string(db.UID), "--data-dir="+dataPath+"/etcd").
		WithEnv(
			fromField("POD_NAME", "metadata.name"), fromField("POD_IP", "status.podIP"),
			fromConfig(db, "INITIAL_CLUSTER_STATE", keyState), fromConfig(db, "QUOTA_BACKEND_BYTES", keyQuota)).
		WithPorts(containerPort("client", clientPort), containerPort("peer", peerPort), containerPort("probes", probePort)).
		WithReadinessProbe(probe("/readyz", 2)).
		WithLivenessProbe(probe("/livez", 10).WithInitialDelaySeconds(10).WithFailureThreshold(6)).
		WithResources(coreac.ResourceRequirements().WithRequests(corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
		})).
		WithSecurityContext(coreac.SecurityContext().
			WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).
			WithCapabilities(coreac.Capabilities().WithDrop("ALL"))).
		WithVolumeMounts(coreac.VolumeMount().WithName(dataVolume).WithMountPath(dataPath))
}

func fromField(name, path string) *coreac.EnvVarApplyConfiguration {
	return coreac.EnvVar().WithName(name).WithValueFrom(coreac.EnvVarSource().
		WithFieldRef(coreac.ObjectFieldSelector().WithFieldPath(path)))
}

func fromConfig(db *v1alpha1.ProductionReadyDatabase, name, key string) *coreac.EnvVarApplyConfiguration {
	return coreac.EnvVar().WithName(name).WithValueFrom(coreac.EnvVarSource().
		WithConfigMapKeyRef(coreac.ConfigMapKeySelector().WithName(configName(db)).WithKey(key)))
}

func containerPort(name string, number int32) *coreac.ContainerPortApplyConfiguration {
	return coreac.ContainerPort().WithName(name).WithContainerPort(number).WithProtocol(corev1.ProtocolTCP)
}

// claim asks for a persistent volume, nil if the data may go with the pod.
func claim(db *v1alpha1.ProductionReadyDatabase) *coreac.PersistentVolumeClaimApplyConfiguration {
	storage := db.Spec.Storage
	if storage == nil || storage.ClassName == "" {
		return nil
	}
	c := coreac.PersistentVolumeClaim(dataVolume, "").WithLabels(instanceLabels(db))
	c.Namespace = nil // a template has none
	return c.WithSpec(coreac.PersistentVolumeClaimSpec().
		WithAccessModes(corev1.ReadWriteOnce).
		WithStorageClassName(storage.ClassName).
		WithResources(coreac.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: storage.Size})))
}
