package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/admission"
	"chandler.dev/olm/pkg/controller/admission/authority"
	"chandler.dev/olm/pkg/controller/admission/policy"
	"chandler.dev/olm/pkg/failure"
)

// ensurePolicies installs what keeps persons within their rights, and waits until it is
// in force.
func ensurePolicies(ctx context.Context, cl client.Client, out io.Writer, o setupOptions) error {
	epoch, first, err := currentEpoch(ctx, cl)
	if meta.IsNoMatchError(err) {
		_, err = fmt.Fprintln(out, "admission policies left out: Kubernetes before 1.36 cannot record who asks for something; run `olm controller` with --rights=warn or --rights=off")
		return err
	}
	if err != nil {
		return fmt.Errorf("read admission policies: %w", friendly(err))
	}
	set := policy.Of(policy.Options{CatalogNamespace: o.catalogNamespace, Epoch: epoch})
	for _, obj := range policyObjects(set) {
		if err := ensure(ctx, cl, out, obj); err != nil {
			return err
		}
	}
	if err := inForce(ctx, cl, o.catalogNamespace, epoch); err != nil || !first {
		return err
	}
	return vouch(ctx, cl, out, o.catalogNamespace)
}

// currentEpoch returns the epoch of the policies, and a new one if they were not in force
// all the time: whatever is recorded then may not be true. first says that the cluster
// never had them.
func currentEpoch(ctx context.Context, cl client.Client) (epoch string, first bool, err error) {
	recorder := &admissionv1.MutatingAdmissionPolicy{}
	missing, parts := 0, []client.Object{
		recorder, &admissionv1.MutatingAdmissionPolicyBinding{}, &admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicyBinding{},
	}
	for _, obj := range parts {
		err := cl.Get(ctx, client.ObjectKey{Name: policy.Recorder}, obj)
		if client.IgnoreNotFound(err) != nil {
			return "", false, err
		}
		if err != nil {
			missing++
		}
	}
	if epoch = policy.EpochOf(recorder); missing > 0 || epoch == "" {
		epoch = rand.Text()
	}
	return epoch, missing == len(parts), nil
}

// vouch takes over the Subscriptions that were fulfilled before anybody recorded who
// asks, so that the operators of a cluster that OLM v0 looked after go on being upgraded.
// It leaves out those to catalogs of other namespaces, whose content anybody may decide.
func vouch(ctx context.Context, cl client.Client, out io.Writer, catalogNamespace string) error {
	var list operatorsv1alpha1.SubscriptionList
	if err := cl.List(ctx, &list); err != nil {
		return fmt.Errorf("list subscriptions: %w", friendly(err))
	}
	take := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"setup"}}}`, admission.AnnotationRequester))
	for i := range list.Items {
		sub := &list.Items[i]
		if sub.Status.InstalledCSV == "" || sub.Spec == nil || sub.Spec.CatalogSourceNamespace != catalogNamespace {
			continue
		}
		if err := cl.Patch(ctx, sub, take); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("vouch for subscription %s/%s: %w", sub.Namespace, sub.Name, friendly(err))
		}
		if _, err := fmt.Fprintf(out, "Subscription %s/%s vouched for\n", sub.Namespace, sub.Name); err != nil {
			return err
		}
	}
	return nil
}

func policyObjects(set policy.Set) (objects []client.Object) {
	for i := range set.Mutating {
		objects = append(objects, &set.Mutating[i], &set.MutatingBindings[i])
	}
	for i := range set.Validating {
		objects = append(objects, &set.Validating[i], &set.ValidatingBindings[i])
	}
	return objects
}

// inForce waits until the API server records who asks.
func inForce(ctx context.Context, cl client.Client, namespace, epoch string) error {
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		self, err := authority.Probe(ctx, cl, namespace)
		return err == nil && self.Epoch == epoch, nil
	})
	if err != nil {
		return &failure.Error{Kind: failure.Waiting, Message: "the admission policies are not in force yet", Hint: "run `olm setup` again", Err: err}
	}
	return nil
}
