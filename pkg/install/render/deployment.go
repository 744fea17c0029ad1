package render

import (
	"fmt"
	"maps"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// EnvOperatorCondition tells an operator which OperatorCondition is its own.
const EnvOperatorCondition = "OPERATOR_CONDITION_NAME"

// DeploymentOptions are what besides the ClusterServiceVersion decides how its
// Deployments look.
type DeploymentOptions struct {
	// Config is spec.config of the Subscription that installed the
	// ClusterServiceVersion; nil if there is none.
	Config *v1alpha1.SubscriptionConfig
	// Proxy holds the cluster's proxy variables; they are used unless Config
	// sets one of them.
	Proxy []corev1.EnvVar
	// CAHashes names, by Deployment, the CA of the certificate that its pods
	// serve with. A Deployment that is named gets the certificate mounted.
	CAHashes map[string]string
}

// Deployments returns the Deployments of csv in the order of its manifest,
// complete with labels, owner, injected configuration and hash.
func Deployments(csv *v1alpha1.ClusterServiceVersion, o DeploymentOptions) ([]appsv1.Deployment, error) {
	specs := csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs
	out := make([]appsv1.Deployment, 0, len(specs))
	for i := range specs {
		d, err := deployment(csv, &specs[i], o)
		if err != nil {
			return nil, fmt.Errorf("deployment %q: %w", specs[i].Name, err)
		}
		out = append(out, d)
	}
	return out, nil
}

func deployment(csv *v1alpha1.ClusterServiceVersion, spec *v1alpha1.StrategyDeploymentSpec, o DeploymentOptions) (appsv1.Deployment, error) {
	d := appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{
			Name: spec.Name, Namespace: csv.Namespace,
			Labels:          map[string]string{},
			OwnerReferences: []metav1.OwnerReference{OwnerReference(csv)},
		},
		Spec: *spec.Spec.DeepCopy(),
	}
	maps.Copy(d.Labels, spec.Label)
	maps.Copy(d.Labels, OwnerOf(csv).ManagedLabels())

	template := &d.Spec.Template
	annotations := map[string]string{}
	maps.Copy(annotations, template.Annotations)
	maps.Copy(annotations, csv.Annotations)
	template.Annotations = annotations
	if hash, ok := o.CAHashes[spec.Name]; ok {
		mountCertificate(template, spec.Name, hash)
	}
	configure(&d, o)
	for i := range template.Spec.Containers {
		c := &template.Spec.Containers[i]
		c.Env = mergeEnv(c.Env, []corev1.EnvVar{{Name: EnvOperatorCondition, Value: csv.Name}})
	}
	d.Spec.RevisionHistoryLimit = ptr.To[int32](1)

	hash, err := Hash(d.Spec)
	if err != nil {
		return appsv1.Deployment{}, err
	}
	d.Labels[LabelDeploymentHash] = hash
	return d, nil
}
