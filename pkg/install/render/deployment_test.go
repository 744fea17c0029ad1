package render_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"chandler.dev/olm/pkg/install/render"
)

func deploymentOperator(edit func(*v1alpha1.StrategyDeploymentSpec)) *v1alpha1.ClusterServiceVersion {
	spec := v1alpha1.StrategyDeploymentSpec{
		Name: "manager", Label: map[string]string{"tier": "control"},
		Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"own": "kept", "shared": "template"}},
			Spec: corev1.PodSpec{
				InitContainers: []corev1.Container{{Name: "init"}},
				Containers: []corev1.Container{
					{Name: "manager", Env: []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}},
					{Name: "proxy"},
				},
			},
		}},
	}
	if edit != nil {
		edit(&spec)
	}
	csv := operator(nil, nil)
	csv.Annotations = map[string]string{"olm.targetNamespaces": "", "shared": "csv"}
	csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs = []v1alpha1.StrategyDeploymentSpec{spec}
	return csv
}

func TestDeployments(t *testing.T) {
	csv := deploymentOperator(nil)
	got, err := render.Deployments(csv, render.DeploymentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d := got[0]
	hash, err := render.Hash(d.Spec)
	if err != nil {
		t.Fatal(err)
	}
	wantLabels := map[string]string{
		"tier": "control", "olm.managed": "true", "olm.owner": "my-operator.v1.0.0", "olm.owner.namespace": "my-ns",
		"olm.owner.kind": "ClusterServiceVersion", "olm.deployment-spec-hash": hash,
	}
	if diff := cmp.Diff(wantLabels, d.Labels); diff != "" {
		t.Errorf("labels (-want +got)\n%s", diff)
	}
	wantAnnotations := map[string]string{"own": "kept", "shared": "csv", "olm.targetNamespaces": ""}
	if diff := cmp.Diff(wantAnnotations, d.Spec.Template.Annotations); diff != "" {
		t.Errorf("pod annotations (-want +got)\n%s", diff)
	}
	if *d.Spec.RevisionHistoryLimit != 1 {
		t.Errorf("revisionHistoryLimit = %d, want 1", *d.Spec.RevisionHistoryLimit)
	}
	condition := corev1.EnvVar{Name: "OPERATOR_CONDITION_NAME", Value: "my-operator.v1.0.0"}
	wantEnv := []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}, condition}
	if diff := cmp.Diff(wantEnv, d.Spec.Template.Spec.Containers[0].Env); diff != "" {
		t.Errorf("env (-want +got)\n%s", diff)
	}
	if len(d.Spec.Template.Spec.InitContainers[0].Env) != 0 {
		t.Error("init containers got variables")
	}
	if len(csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0].Spec.Template.Spec.Containers[0].Env) != 2 {
		t.Error("Deployments() changed the ClusterServiceVersion that it was given")
	}
}

func TestDeploymentsConfigured(t *testing.T) {
	big := corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}}
	oldNode := &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{}}
	newNode := &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 1}}}
	podAffinity := &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: "zone"}}}
	antiAffinity := &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: "host"}}}
	allAffinity := func(s *v1alpha1.StrategyDeploymentSpec) {
		s.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: oldNode, PodAffinity: podAffinity, PodAntiAffinity: antiAffinity}
	}
	condition := corev1.EnvVar{Name: "OPERATOR_CONDITION_NAME", Value: "my-operator.v1.0.0"}
	proxy := []corev1.EnvVar{{Name: "HTTP_PROXY", Value: "http://p"}, {Name: "NO_PROXY"}}

	tests := map[string]struct {
		edit   func(*v1alpha1.StrategyDeploymentSpec)
		config v1alpha1.SubscriptionConfig
		proxy  []corev1.EnvVar
		view   func(appsv1.Deployment) any
		want   any
	}{
		"variables override in place, new ones follow, empty ones count": {
			config: v1alpha1.SubscriptionConfig{Env: []corev1.EnvVar{{Name: "C", Value: "3"}, {Name: "A"}}},
			view:   func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Containers[0].Env },
			want:   []corev1.EnvVar{{Name: "A"}, {Name: "B", Value: "2"}, {Name: "C", Value: "3"}, condition},
		},
		"every container gets the variables": {
			config: v1alpha1.SubscriptionConfig{Env: []corev1.EnvVar{{Name: "C", Value: "3"}}},
			view:   func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Containers[1].Env },
			want:   []corev1.EnvVar{{Name: "C", Value: "3"}, condition},
		},
		"the cluster's proxy is used": {
			proxy: proxy,
			view:  func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Containers[1].Env },
			want:  []corev1.EnvVar{{Name: "HTTP_PROXY", Value: "http://p"}, condition},
		},
		"one proxy variable turns the cluster's proxy off": {
			proxy: proxy, config: v1alpha1.SubscriptionConfig{Env: []corev1.EnvVar{{Name: "NO_PROXY", Value: "x"}}},
			view: func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Containers[1].Env },
			want: []corev1.EnvVar{{Name: "NO_PROXY", Value: "x"}, condition},
		},
		"envFrom is appended once": {
			edit: func(s *v1alpha1.StrategyDeploymentSpec) {
				s.Spec.Template.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{Prefix: "a"}}
			},
			config: v1alpha1.SubscriptionConfig{EnvFrom: []corev1.EnvFromSource{{Prefix: "a"}, {Prefix: "b"}}},
			view:   func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Containers[0].EnvFrom },
			want:   []corev1.EnvFromSource{{Prefix: "a"}, {Prefix: "b"}},
		},
		"volumes of the same name are replaced": {
			edit: func(s *v1alpha1.StrategyDeploymentSpec) {
				s.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "v"}, {Name: "w"}}
			},
			config: v1alpha1.SubscriptionConfig{Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}},
			view:   func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Volumes },
			want:   []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}, {Name: "w"}},
		},
		"mounts go to all containers": {
			config: v1alpha1.SubscriptionConfig{VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}},
			view:   func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Containers[1].VolumeMounts },
			want:   []corev1.VolumeMount{{Name: "v", MountPath: "/v"}},
		},
		"resources are replaced": {
			config: v1alpha1.SubscriptionConfig{Resources: &big},
			view:   func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Containers[1].Resources },
			want:   big,
		},
		"a node selector replaces the manifest's": {
			edit: func(s *v1alpha1.StrategyDeploymentSpec) {
				s.Spec.Template.Spec.NodeSelector = map[string]string{"a": "b"}
			},
			config: v1alpha1.SubscriptionConfig{NodeSelector: map[string]string{"foo": "bar"}},
			view:   func(d appsv1.Deployment) any { return d.Spec.Template.Spec.NodeSelector },
			want:   map[string]string{"foo": "bar"},
		},
		"an empty node selector clears": {
			edit: func(s *v1alpha1.StrategyDeploymentSpec) {
				s.Spec.Template.Spec.NodeSelector = map[string]string{"a": "b"}
			},
			config: v1alpha1.SubscriptionConfig{NodeSelector: map[string]string{}},
			view:   func(d appsv1.Deployment) any { return d.Spec.Template.Spec.NodeSelector },
			want:   map[string]string{},
		},
		"no affinity leaves the manifest's": {
			edit: allAffinity,
			view: func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Affinity },
			want: &corev1.Affinity{NodeAffinity: oldNode, PodAffinity: podAffinity, PodAntiAffinity: antiAffinity},
		},
		"an empty affinity removes all": {
			edit: allAffinity, config: v1alpha1.SubscriptionConfig{Affinity: &corev1.Affinity{}},
			view: func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Affinity },
			want: (*corev1.Affinity)(nil),
		},
		"parts of the affinity are replaced, removed and kept": {
			edit: allAffinity, config: v1alpha1.SubscriptionConfig{Affinity: &corev1.Affinity{NodeAffinity: newNode, PodAffinity: &corev1.PodAffinity{}}},
			view: func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Affinity },
			want: &corev1.Affinity{NodeAffinity: newNode, PodAntiAffinity: antiAffinity},
		},
		"an empty anti-affinity removes all": {
			edit: allAffinity, config: v1alpha1.SubscriptionConfig{Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{}}},
			view: func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Affinity },
			want: (*corev1.Affinity)(nil),
		},
		"the manifest's pod annotations win": {
			config: v1alpha1.SubscriptionConfig{Annotations: map[string]string{"own": "lost", "new": "x"}},
			view:   func(d appsv1.Deployment) any { return d.Spec.Template.Annotations },
			want:   map[string]string{"own": "kept", "shared": "csv", "olm.targetNamespaces": "", "new": "x"},
		},
		"annotations reach the Deployment": {
			config: v1alpha1.SubscriptionConfig{Annotations: map[string]string{"new": "x"}},
			view:   func(d appsv1.Deployment) any { return d.Annotations },
			want:   map[string]string{"new": "x"},
		},
		"the selector has no effect": {
			config: v1alpha1.SubscriptionConfig{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}},
			view:   func(d appsv1.Deployment) any { return d.Spec.Selector },
			want:   (*metav1.LabelSelector)(nil),
		},
		"tolerations are appended once": {
			edit: func(s *v1alpha1.StrategyDeploymentSpec) {
				s.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: "a"}}
			},
			config: v1alpha1.SubscriptionConfig{Tolerations: []corev1.Toleration{{Key: "a"}, {Key: "b"}}},
			view:   func(d appsv1.Deployment) any { return d.Spec.Template.Spec.Tolerations },
			want:   []corev1.Toleration{{Key: "a"}, {Key: "b"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := render.Deployments(deploymentOperator(tt.edit), render.DeploymentOptions{Config: &tt.config, Proxy: tt.proxy})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, tt.view(got[0])); diff != "" {
				t.Errorf("Deployments() (-want +got)\n%s", diff)
			}
		})
	}
}

func TestDeploymentsWithCertificate(t *testing.T) {
	csv := deploymentOperator(func(s *v1alpha1.StrategyDeploymentSpec) {
		s.Spec.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{
			{Name: "webhook-cert", MountPath: "/own"},
			{Name: "other", MountPath: "/apiserver.local.config/certificates"},
		}
	})
	got, err := render.Deployments(csv, render.DeploymentOptions{CAHashes: map[string]string{"manager": "abc"}})
	if err != nil {
		t.Fatal(err)
	}
	template := got[0].Spec.Template
	if template.Annotations["olmcahash"] != "abc" || template.Spec.ServiceAccountName != "default" {
		t.Errorf("template = %v, service account %q", template.Annotations, template.Spec.ServiceAccountName)
	}
	wantMounts := []corev1.VolumeMount{
		{Name: "webhook-cert", MountPath: "/own"},
		{Name: "apiservice-cert", MountPath: "/apiserver.local.config/certificates"},
	}
	if diff := cmp.Diff(wantMounts, template.Spec.Containers[0].VolumeMounts); diff != "" {
		t.Errorf("mounts (-want +got)\n%s", diff)
	}
	if secret := template.Spec.Volumes[1].Secret; secret == nil || secret.SecretName != "manager-service-cert" {
		t.Errorf("webhook volume = %+v", template.Spec.Volumes[1])
	}
}
