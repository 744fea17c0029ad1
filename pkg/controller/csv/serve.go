package csv

import (
	"context"
	"fmt"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/phase"
	"chandler.dev/olm/pkg/controller/csv/serving"
	"chandler.dev/olm/pkg/install/kube"
)

// writers bounds how many objects of one version are applied at the same time.
const writers = 4

// longestRest bounds how long a version with certificates is not looked at, so that
// a clock that was set does not let one expire.
const longestRest = 12 * time.Hour

// served is what the API server calls of one ClusterServiceVersion.
type served struct {
	cluster   *kube.Cluster // with the rights that the OperatorGroup installs with
	endpoints []serving.Endpoint
	usable    map[string]serving.Certificate // by Deployment
	problem   map[string]serving.Problem     // by Deployment
	selector  *metav1.LabelSelector          // of the namespaces whose objects webhooks see
}

// caHashes names the CAs by Deployment, for the Deployments' annotations.
func (s served) caHashes() map[string]string {
	hashes := map[string]string{}
	for deployment, c := range s.usable {
		hashes[deployment] = c.Hash()
	}
	return hashes
}

// rest is how long the certificates need no attention; zero if there are none.
func (s served) rest(now time.Time) time.Duration {
	var rest time.Duration
	for _, c := range s.usable {
		until := max(min(c.RotateAt().Sub(now), longestRest), time.Second)
		if rest == 0 || until < rest {
			rest = until
		}
	}
	return rest
}

// readServing reads the certificates of csv. Secrets come from the API server: those
// with certificates are few, and no others are to be in memory.
func (r *Reconciler) readServing(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, group *operatorsv1.OperatorGroup) (served, error) {
	endpoints, err := serving.Endpoints(csv)
	if err != nil || len(endpoints) == 0 {
		return served{}, err
	}
	s := served{endpoints: endpoints, usable: map[string]serving.Certificate{}, problem: map[string]serving.Problem{}}
	if group != nil {
		if s.selector, err = group.NamespaceLabelSelector(); err != nil {
			return served{}, err
		}
	}
	for _, e := range endpoints {
		secret := &corev1.Secret{}
		err := r.live.Get(ctx, client.ObjectKey{Namespace: csv.Namespace, Name: e.Secret()}, secret)
		if apierrors.IsNotFound(err) {
			secret, err = nil, nil
		}
		if err != nil {
			return served{}, err
		}
		c, problem := serving.Read(secret, e.Hosts(csv.Namespace), r.clock.Now())
		if problem != serving.Fine {
			s.problem[e.Deployment] = problem
		}
		if problem == serving.Fine || problem == serving.Expiring {
			s.usable[e.Deployment] = c
		}
	}
	return s, nil
}

// observeServing judges what the API server calls.
func (r *Reconciler) observeServing(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, w *world) error {
	if err := serving.ValidateWebhooks(csv); err != nil {
		w.Webhooks = phase.Verdict{Reason: v1alpha1.CSVReasonInvalidWebhookDescription, Message: err.Error()}
	}
	for _, e := range w.served.endpoints {
		switch problem := w.served.problem[e.Deployment]; problem {
		case serving.Fine:
		case serving.Expiring:
			w.Serving.Rotate = true
		default:
			w.Serving.Broken = fmt.Sprintf("certificate in secret %q %s", e.Secret(), problem)
		}
	}
	if len(w.served.endpoints) == 0 || w.Serving.Broken != "" {
		return r.observeAdoption(ctx, csv, w)
	}
	if err := r.observeAdoption(ctx, csv, w); err != nil {
		return err
	}
	var err error
	if w.Serving.Off, err = r.whatIsOff(ctx, csv, w.served); err != nil || w.Serving.Off != "" {
		return err
	}
	w.Serving.Unavailable, err = r.whatDoesNotAnswer(ctx, csv)
	return err
}

// observeAdoption finds owned APIServices that belong to somebody else.
func (r *Reconciler) observeAdoption(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, w *world) error {
	for _, desc := range csv.GetOwnedAPIServiceDescriptions() {
		api := &apiregistrationv1.APIService{}
		err := r.client.Get(ctx, client.ObjectKey{Name: desc.GetName()}, api)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if !serving.Adoptable(csv, api, r.retiring(ctx)) {
			w.Serving.Broken, w.Serving.Unadoptable = desc.GetName()+" is unadoptable", true
			w.Ownership = phase.Verdict{Reason: v1alpha1.CSVReasonOwnerConflict, Message: "unable to adopt APIService"}
		}
	}
	return nil
}

// retiring tells of a ClusterServiceVersion whether it is on its way out.
func (r *Reconciler) retiring(ctx context.Context) func(namespace, name string) bool {
	return func(namespace, name string) bool {
		other := &v1alpha1.ClusterServiceVersion{}
		err := r.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, other)
		return apierrors.IsNotFound(err) || err == nil && retires(other.Status.Phase)
	}
}

// whatDoesNotAnswer says which owned API is registered but not available.
func (r *Reconciler) whatDoesNotAnswer(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (string, error) {
	for _, desc := range csv.GetOwnedAPIServiceDescriptions() {
		api := &apiregistrationv1.APIService{}
		if err := r.client.Get(ctx, client.ObjectKey{Name: desc.GetName()}, api); err != nil {
			return "", err
		}
		if !available(api) {
			return "apiServices not installed", nil
		}
	}
	return "", nil
}

// switchOn lets the API server call the pods, and takes back what the
// ClusterServiceVersion no longer describes.
func (r *Reconciler) switchOn(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s served) error {
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
		if name := have.NameFor(configuration); name != "" {
			configuration.SetName(name)
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
		if err := client.IgnoreNotFound(r.client.Delete(ctx, stale)); err != nil {
			return err
		}
	}
	return r.convert(ctx, csv, s)
}

// convert leads the conversion of CRDs to the pods.
func (r *Reconciler) convert(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s served) error {
	for i := range csv.Spec.WebhookDefinitions {
		d := &csv.Spec.WebhookDefinitions[i]
		if d.Type != v1alpha1.ConversionWebhook {
			continue
		}
		for _, name := range d.ConversionCRDs {
			if err := r.setConversion(ctx, s.cluster, name, serving.Conversion(csv, d, s.usable[d.DeploymentName].CA)); err != nil {
				return err
			}
		}
	}
	return nil
}

// setConversion writes the conversion stanza of a CRD and nothing else of it.
func (r *Reconciler) setConversion(ctx context.Context, cluster *kube.Cluster, name string, wanted *apiextensionsv1.CustomResourceConversion) error {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := r.client.Get(ctx, client.ObjectKey{Name: name}, crd); err != nil {
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
func (s served) ensureAll(ctx context.Context, objects []client.Object) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(writers)
	for _, obj := range objects {
		tasks.Go(func() error {
			_, err := s.cluster.Ensure(ctx, obj)
			return err
		})
	}
	return tasks.Wait()
}

// certify gives every endpoint a certificate that can be used, and what pods need to
// serve with it.
func (r *Reconciler) certify(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s *served) error {
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
				_, err = s.cluster.Ensure(ctx, obj)
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
func (r *Reconciler) issue(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, s *served, e serving.Endpoint) error {
	previous, rotates := s.usable[e.Deployment]
	issued, err := serving.Issue(e.Hosts(csv.Namespace), r.clock.Now(), previous)
	if err != nil {
		return err
	}
	s.usable[e.Deployment] = issued
	if rotates {
		if err := r.switchOn(ctx, csv, *s); err != nil {
			return err
		}
	}
	if _, err := s.cluster.Ensure(ctx, serving.Secret(csv, e, issued)); err != nil {
		return err
	}
	updated, rotate := metav1.NewTime(r.clock.Now()), metav1.NewTime(issued.RotateAt())
	csv.Status.CertsLastUpdated, csv.Status.CertsRotateAt = &updated, &rotate
	return nil
}

// existsService tells whether obj is a Service that exists. One that leads to the pods of
// the old version does so until those of the new one are ready; switchOn turns it.
func (r *Reconciler) existsService(ctx context.Context, obj client.Object) (bool, error) {
	if _, ok := obj.(*corev1.Service); !ok {
		return false, nil
	}
	err := r.client.Get(ctx, client.ObjectKeyFromObject(obj), &corev1.Service{})
	return err == nil, client.IgnoreNotFound(err)
}
