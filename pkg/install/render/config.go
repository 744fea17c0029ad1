package render

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// proxyVariables are the names that turn the cluster's proxy off when a
// Subscription sets any of them.
var proxyVariables = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}

// configure applies a Subscription's spec.config and the cluster's proxy to
// the Deployment and all its containers. Init containers are left alone. The
// config's selector has no effect, as in v0.
func configure(d *appsv1.Deployment, o DeploymentOptions) {
	pod := &d.Spec.Template.Spec
	var env []corev1.EnvVar
	if o.Config != nil {
		env = o.Config.Env
	}
	if !setsProxy(env) {
		env = append(slices.Clone(env), nonEmpty(o.Proxy)...)
	}
	for i := range pod.Containers {
		pod.Containers[i].Env = mergeEnv(pod.Containers[i].Env, env)
	}
	if o.Config == nil {
		return
	}
	c := o.Config
	for i := range pod.Containers {
		container := &pod.Containers[i]
		container.EnvFrom = appendMissing(container.EnvFrom, c.EnvFrom)
		container.VolumeMounts = replaceByName(container.VolumeMounts, c.VolumeMounts, func(m corev1.VolumeMount) string { return m.Name })
		if c.Resources != nil {
			container.Resources = *c.Resources.DeepCopy()
		}
	}
	pod.Volumes = replaceByName(pod.Volumes, c.Volumes, func(v corev1.Volume) string { return v.Name })
	pod.Tolerations = appendMissing(pod.Tolerations, c.Tolerations)
	if c.NodeSelector != nil {
		pod.NodeSelector = maps.Clone(c.NodeSelector)
	}
	pod.Affinity = overrideAffinity(pod.Affinity, c.Affinity)
	d.Annotations = addMissingKeys(d.Annotations, c.Annotations)
	d.Spec.Template.Annotations = addMissingKeys(d.Spec.Template.Annotations, c.Annotations)
}

func setsProxy(env []corev1.EnvVar) bool {
	return slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return slices.Contains(proxyVariables, e.Name) })
}

func nonEmpty(env []corev1.EnvVar) []corev1.EnvVar {
	return slices.DeleteFunc(slices.Clone(env), func(e corev1.EnvVar) bool { return e.Value == "" })
}

// mergeEnv gives variables of override precedence; new ones go to the end.
func mergeEnv(env, override []corev1.EnvVar) []corev1.EnvVar {
	return replaceByName(env, override, func(e corev1.EnvVar) string { return e.Name })
}

// replaceByName replaces every item that has the name of an overriding one in
// place and appends the overriding items that replace nothing.
func replaceByName[T any](items, override []T, name func(T) string) []T {
	if len(override) == 0 {
		return items
	}
	out := slices.Clone(items)
	for _, o := range override {
		found := false
		for i := range out {
			if name(out[i]) == name(o) {
				out[i], found = o, true
			}
		}
		if !found {
			out = append(out, o)
		}
	}
	return out
}

func appendMissing[T any](items, more []T) []T {
	out := items
	for _, m := range more {
		if !slices.ContainsFunc(out, func(item T) bool { return equality.Semantic.DeepEqual(item, m) }) {
			out = append(slices.Clip(out), m)
		}
	}
	return out
}

func addMissingKeys(to, from map[string]string) map[string]string {
	if len(from) == 0 {
		return to
	}
	out := maps.Clone(from)
	maps.Copy(out, to)
	return out
}

// overrideAffinity replaces the parts of affinity that override sets. An empty
// override removes all; an empty part removes that part, except that an empty
// pod anti-affinity removes all, which v0 does and manifests rely on.
func overrideAffinity(affinity, override *corev1.Affinity) *corev1.Affinity {
	if override == nil {
		return affinity
	}
	if isZero(override) || isEmptyPart(override.PodAntiAffinity) {
		return nil
	}
	out := &corev1.Affinity{}
	if affinity != nil {
		out = affinity.DeepCopy()
	}
	out.NodeAffinity = overridePart(out.NodeAffinity, override.NodeAffinity)
	out.PodAffinity = overridePart(out.PodAffinity, override.PodAffinity)
	out.PodAntiAffinity = overridePart(out.PodAntiAffinity, override.PodAntiAffinity)
	if isZero(out) {
		return nil
	}
	return out
}

func overridePart[T any](part, override *T) *T {
	switch {
	case override == nil:
		return part
	case isZero(override):
		return nil
	default:
		return override
	}
}

func isEmptyPart[T any](part *T) bool { return part != nil && isZero(part) }

func isZero[T any](v *T) bool {
	var zero T
	return equality.Semantic.DeepEqual(*v, zero)
}
