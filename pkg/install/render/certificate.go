package render

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Where the pods of an operator that serves an API or a webhook find their
// certificate.
const (
	apiServiceCertVolume = "apiservice-cert"
	apiServiceCertPath   = "/apiserver.local.config/certificates"
	webhookCertVolume    = "webhook-cert"
	webhookCertPath      = "/tmp/k8s-webhook-server/serving-certs"
)

// ServingServiceName returns the name of the Service through which the API
// server reaches the webhooks and APIs of a Deployment.
func ServingServiceName(deployment string) string { return deployment + "-service" }

// ServingCertName returns the name of the Secret that holds the certificate of
// a Deployment, and of the Role and RoleBinding that let its pods read it.
func ServingCertName(deployment string) string { return ServingServiceName(deployment) + "-cert" }

// AuthDelegatorName returns the name of the ClusterRoleBinding that lets an
// extension API server delegate authentication.
func AuthDelegatorName(deployment string) string {
	return ServingServiceName(deployment) + "-system:auth-delegator"
}

// AuthReaderName returns the name of the RoleBinding in kube-system that lets
// an extension API server read how requests are authenticated.
func AuthReaderName(deployment string) string { return ServingServiceName(deployment) + "-auth-reader" }

// mountCertificate gives every container the certificate of the Deployment
// and marks the template with the hash of its CA, so that pods are replaced
// when it changes.
func mountCertificate(template *corev1.PodTemplateSpec, deployment, caHash string) {
	pod := &template.Spec
	if pod.ServiceAccountName == "" {
		pod.ServiceAccountName = defaultServiceAccount
	}
	secret := ServingCertName(deployment)
	pod.Volumes = replaceByName(pod.Volumes, []corev1.Volume{
		certVolume(apiServiceCertVolume, secret, "apiserver.crt", "apiserver.key"),
		certVolume(webhookCertVolume, secret, corev1.TLSCertKey, corev1.TLSPrivateKeyKey),
	}, func(v corev1.Volume) string { return v.Name })
	for i := range pod.Containers {
		c := &pod.Containers[i]
		c.VolumeMounts = addMount(c.VolumeMounts, corev1.VolumeMount{Name: apiServiceCertVolume, MountPath: apiServiceCertPath})
		c.VolumeMounts = addMount(c.VolumeMounts, corev1.VolumeMount{Name: webhookCertVolume, MountPath: webhookCertPath})
	}
	template.Annotations[AnnotationCAHash] = caHash
}

func certVolume(name, secret, certPath, keyPath string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: secret,
		Items:      []corev1.KeyToPath{{Key: corev1.TLSCertKey, Path: certPath}, {Key: corev1.TLSPrivateKeyKey, Path: keyPath}},
	}}}
}

// addMount keeps a mount of the same name and replaces one of the same path.
func addMount(mounts []corev1.VolumeMount, m corev1.VolumeMount) []corev1.VolumeMount {
	if slices.ContainsFunc(mounts, func(o corev1.VolumeMount) bool { return o.Name == m.Name }) {
		return mounts
	}
	out := slices.DeleteFunc(slices.Clone(mounts), func(o corev1.VolumeMount) bool { return o.MountPath == m.MountPath })
	return append(out, m)
}
