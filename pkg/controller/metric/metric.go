// Package metric tells monitoring systems what the lifecycle sees and did, under
// the names that alerts for OLM v0 use. It decides nothing and writes nothing to
// the cluster.
package metric

import (
	"context"
	"errors"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Register adds the metrics to registry. The gauges are answered from the
// caches of mgr; catalogs returns an empty list of CatalogSources as they are
// cached.
func Register(ctx context.Context, mgr ctrl.Manager, registry prometheus.Registerer, catalogs func() *unstructured.UnstructuredList) error {
	errs := []error{registry.Register(state{reader: mgr.GetCache(), catalog: catalogs})}
	for _, c := range []prometheus.Collector{upgrades, warnings, snapshots, resolutions, syncs} {
		errs = append(errs, registry.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	informer, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.ClusterServiceVersion{})
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{UpdateFunc: countUpgrade})
	return err
}

func countUpgrade(before, after any) {
	old, ok := before.(*v1alpha1.ClusterServiceVersion)
	if !ok {
		return
	}
	csv, ok := after.(*v1alpha1.ClusterServiceVersion)
	if ok && old.Status.Phase == v1alpha1.CSVPhaseSucceeded && csv.Status.Phase == v1alpha1.CSVPhaseReplacing {
		upgrades.Inc()
	}
}
