package csv

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/requirement"
)

// requirements checks what csv needs, preferring the cache. What the cache leaves out,
// because this project did not make it, is read from the API server, and only if
// something would be missing otherwise.
func (r *Reconciler) requirements(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, ancestors sets.Set[string]) (requirement.Result, error) {
	facts := requirement.Facts{Ancestors: ancestors}
	var err error
	if csv.Spec.MinKubeVersion != "" {
		facts.ServerVersion = r.version.get()
	}
	if facts.CRDs, err = r.crds(ctx, csv); err != nil {
		return requirement.Result{}, err
	}
	if facts.APIServices, err = r.apiServices(ctx, csv); err != nil {
		return requirement.Result{}, err
	}
	if facts.Served, err = r.served(csv); err != nil {
		return requirement.Result{}, err
	}
	if facts.ServiceAccounts, err = r.serviceAccounts(ctx, csv); err != nil {
		return requirement.Result{}, err
	}
	if facts.Rights, err = r.rights(ctx, r.client, csv); err != nil {
		return requirement.Result{}, err
	}
	if allGranted(csv, facts) {
		return requirement.Check(csv, facts), nil
	}
	if facts.Rights, err = r.rights(ctx, r.live, csv); err != nil {
		return requirement.Result{}, err
	}
	return requirement.Check(csv, facts), nil
}

// allGranted tells whether asking the API server about rights cannot make a difference.
func allGranted(csv *v1alpha1.ClusterServiceVersion, facts requirement.Facts) bool {
	for name := range facts.ServiceAccounts {
		if !requirement.Granted(csv, name, facts.Rights[name]) {
			return false
		}
	}
	return true
}

func (r *Reconciler) crds(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (map[string]*apiextensionsv1.CustomResourceDefinition, error) {
	found := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, desc := range csv.GetAllCRDDescriptions() {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		switch err := r.client.Get(ctx, client.ObjectKey{Name: desc.Name}, crd); {
		case err == nil:
			found[desc.Name] = crd
		case !apierrors.IsNotFound(err):
			return nil, err
		}
	}
	return found, nil
}

func (r *Reconciler) apiServices(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (map[string]requirement.APIService, error) {
	found := map[string]requirement.APIService{}
	for _, desc := range csv.GetRequiredAPIServiceDescriptions() {
		api := &apiregistrationv1.APIService{}
		switch err := r.client.Get(ctx, client.ObjectKey{Name: desc.GetName()}, api); {
		case err == nil:
			found[desc.GetName()] = requirement.APIService{UID: api.UID, Available: slices.ContainsFunc(api.Status.Conditions, isAvailable)}
		case !apierrors.IsNotFound(err):
			return nil, err
		}
	}
	return found, nil
}

// served returns which of the kinds that csv needs discovery lists.
func (r *Reconciler) served(csv *v1alpha1.ClusterServiceVersion) (sets.Set[schema.GroupVersionKind], error) {
	var wanted []schema.GroupVersionKind
	for _, gvk := range csv.Spec.NativeAPIs {
		wanted = append(wanted, schema.GroupVersionKind(gvk))
	}
	for _, desc := range csv.GetRequiredAPIServiceDescriptions() {
		wanted = append(wanted, schema.GroupVersionKind{Group: desc.Group, Version: desc.Version, Kind: desc.Kind})
	}
	found := sets.Set[schema.GroupVersionKind]{}
	for _, gvk := range wanted {
		switch _, err := r.client.RESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version); {
		case err == nil:
			found.Insert(gvk)
		case !meta.IsNoMatchError(err):
			return nil, err
		}
	}
	return found, nil
}

func (r *Reconciler) serviceAccounts(ctx context.Context, csv *v1alpha1.ClusterServiceVersion) (map[string]*corev1.ServiceAccount, error) {
	found := map[string]*corev1.ServiceAccount{}
	for _, name := range requirement.ServiceAccounts(csv) {
		account := &corev1.ServiceAccount{}
		key := client.ObjectKey{Namespace: csv.Namespace, Name: name}
		err := r.client.Get(ctx, key, account)
		if apierrors.IsNotFound(err) {
			err = r.live.Get(ctx, key, account) // one that a person made has no label
		}
		switch {
		case err == nil:
			found[name] = account
		case !apierrors.IsNotFound(err):
			return nil, err
		}
	}
	return found, nil
}

// serverVersion remembers the version of the API server for a while.
type serverVersion struct {
	reader VersionReader
	clock  clock.PassiveClock
	mu     sync.Mutex
	last   string
	asked  time.Time
}

const versionLifetime = time.Minute

// get returns the version, empty if it cannot be had.
func (v *serverVersion) get() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last != "" && v.clock.Since(v.asked) < versionLifetime {
		return v.last
	}
	if info, err := v.reader.ServerVersion(); err == nil {
		v.last, v.asked = info.GitVersion, v.clock.Now()
	}
	return v.last
}

func isAvailable(c apiregistrationv1.APIServiceCondition) bool {
	return c.Type == apiregistrationv1.Available && c.Status == apiregistrationv1.ConditionTrue
}
