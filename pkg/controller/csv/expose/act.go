package expose

import (
	"context"
	"fmt"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/serving"
	"chandler.dev/olm/pkg/install/kube"
)

// writers bounds how many objects of one version are applied at the same time.
const writers = 4

// SwitchOn lets the API server call the pods, and takes back what the
// ClusterServiceVersion no longer describes.
func (r *Exposer) SwitchOn(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s State) error {
	have, err := r.webhooksOf(ctx, csv)
	if err != nil {
		return err
	}
	var wanted []client.Object
	for _, e := range s.endpoints {
		wanted = append(wanted, serving.Support(csv, e)...)
	}
	for i := range csv.Spec.WebhookDefinitions {
		d := &csv.Spec.WebhookDefinitions[i]
		if d.Type == v1alpha1.ConversionWebhook {
			continue
		}
		configuration, err := serving.Webhook(csv, d, s.selector, s.usable[d.DeploymentName].CA)
		if err != nil {
			return err
		}
		if found := have.For(configuration); found != nil {
			configuration.SetName(found.GetName())
		}
		wanted = append(wanted, configuration)
	}
	for _, desc := range csv.GetOwnedAPIServiceDescriptions() {
		wanted = append(wanted, serving.APIService(csv, desc, s.usable[desc.DeploymentName].CA))
	}
	if err := s.ensureAll(ctx, wanted); err != nil {
		return err
	}
	for _, stale := range have.Undescribed(csv) {
		if err := client.IgnoreNotFound(r.Client.Delete(ctx, stale)); err != nil {
			return err
		}
	}
	return r.convert(ctx, csv, s)
}

// convert leads the conversion of CRDs to the pods.
func (r *Exposer) convert(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s State) error {
	for i := range csv.Spec.WebhookDefinitions {
		d := &csv.Spec.WebhookDefinitions[i]
		if d.Type != v1alpha1.ConversionWebhook {
			continue
		}
		for _, name := range d.ConversionCRDs {
			if err := r.setConversion(ctx, s.Cluster, name, serving.Conversion(csv, d, s.usable[d.DeploymentName].CA)); err != nil {
				return err
			}
		}
	}
	return nil
}

// setConversion writes the conversion stanza of a CRD and nothing else of it.
func (r *Exposer) setConversion(ctx context.Context, cluster *kube.Cluster, name string, wanted *apiextensionsv1.CustomResourceConversion) error {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := r.Client.Get(ctx, client.ObjectKey{Name: name}, crd); err != nil {
		return kube.Classify(err, fmt.Sprintf("read CustomResourceDefinition %q", name))
	}
	if serving.SameConversion(wanted, crd.Spec.Conversion) {
		return nil
	}
	before := crd.DeepCopy()
	crd.Spec.Conversion = wanted
	err := cluster.Client().Patch(ctx, crd, client.MergeFrom(before), client.FieldOwner(kube.FieldManager))
	return kube.Classify(err, fmt.Sprintf("switch the conversion of CustomResourceDefinition %q", name))
}

// ensureAll applies objects that do not need each other, several at a time.
func (s State) ensureAll(ctx context.Context, objects []client.Object) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(writers)
	for _, obj := range objects {
		tasks.Go(func() error {
			_, err := s.Cluster.Ensure(ctx, obj)
			return err
		})
	}
	return tasks.Wait()
}

// Certify gives every endpoint a certificate that can be used, and what pods need to
// serve with it.
func (r *Exposer) Certify(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s *State) error {
	if err := serving.ValidateConversions(csv); err != nil {
		return err
	}
	for _, e := range s.endpoints {
		if s.problem[e.Deployment] == serving.Fine {
			continue
		}
		if err := r.issue(ctx, csv, s, e); err != nil {
			return err
		}
	}
	for _, e := range s.endpoints {
		for _, obj := range serving.Support(csv, e) {
			exists, err := r.existsService(ctx, obj)
			if err == nil && !exists {
				_, err = s.Cluster.Ensure(ctx, obj)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// issue makes the certificate of an endpoint. What already calls the pods trusts its CA
// before a pod has it.
func (r *Exposer) issue(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s *State, e serving.Endpoint) error {
	previous, rotates := s.usable[e.Deployment]
	issued, err := serving.Issue(e.Hosts(csv.Namespace), r.Clock.Now(), previous)
	if err != nil {
		return err
	}
	s.usable[e.Deployment] = issued
	if rotates {
		if err := r.SwitchOn(ctx, csv, *s); err != nil {
			return err
		}
	}
	if _, err := s.Cluster.Ensure(ctx, serving.Secret(csv, e, issued)); err != nil {
		return err
	}
	updated, rotate := metav1.NewTime(r.Clock.Now()), metav1.NewTime(issued.RotateAt())
	csv.Status.CertsLastUpdated, csv.Status.CertsRotateAt = &updated, &rotate
	return nil
}

// existsService tells whether obj is a Service that exists. One that leads to the pods of
// the old version does so until those of the new one are ready; switchOn turns it.
func (r *Exposer) existsService(ctx context.Context, obj client.Object) (bool, error) {
	if _, ok := obj.(*corev1.Service); !ok {
		return false, nil
	}
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(obj), &corev1.Service{})
	return err == nil, client.IgnoreNotFound(err)
}

// Reset takes back the conversion of CRDs that no successor converts. (OLM
// leaves it behind when an upgrade drops the webhook.)
func (r *Exposer) Reset(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) error {
	converted := serving.ConversionCRDs(csv)
	if len(converted) == 0 {
		return nil
	}
	all := &v1alpha1.ClusterServiceVersionList{}
	if err := r.Client.List(ctx, all, client.InNamespace(csv.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	kept := sets.Set[string]{}
	for i := range all.Items {
		if all.Items[i].Spec.Replaces == csv.Name && all.Items[i].DeletionTimestamp.IsZero() {
			kept.Insert(serving.ConversionCRDs(&all.Items[i])...)
		}
	}
	for _, name := range converted {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		err := r.Client.Get(ctx, client.ObjectKey{Name: name}, crd)
		if apierrors.IsNotFound(err) || err == nil && (kept.Has(name) || !serving.ConvertsHere(csv, crd.Spec.Conversion)) {
			continue
		}
		if err == nil {
			err = r.setConversion(ctx, r.Full, name, &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.NoneConverter})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
