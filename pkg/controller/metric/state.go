package metric

import (
	"context"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// readTimeout bounds how long a scrape waits for the cache.
const readTimeout = 5 * time.Second

var (
	csvCount     = prometheus.NewDesc("csv_count", "Number of ClusterServiceVersions, copies not counted", nil, nil)
	csvSucceeded = prometheus.NewDesc("csv_succeeded", "1 for a ClusterServiceVersion in phase Succeeded, 0 for any other",
		[]string{"namespace", "name", "version"}, nil)
	csvAbnormal = prometheus.NewDesc("csv_abnormal", "1 for each ClusterServiceVersion that is not in phase Succeeded",
		[]string{"namespace", "name", "version", "phase", "reason"}, nil)
	planCount         = prometheus.NewDesc("install_plan_count", "Number of InstallPlans", nil, nil)
	subscriptionCount = prometheus.NewDesc("subscription_count", "Number of Subscriptions", nil, nil)
	catalogCount      = prometheus.NewDesc("catalog_source_count", "Number of CatalogSources", nil, nil)
	catalogReady      = prometheus.NewDesc("catalogsource_ready", "1 for a CatalogSource whose content has been read, 0 for any other",
		[]string{"namespace", "name"}, nil)
)

// state answers a scrape from the caches of the controllers, so that no series
// outlives its object.
type state struct {
	reader  client.Reader
	catalog func() *unstructured.UnstructuredList // an empty list of CatalogSources
}

// Describe implements prometheus.Collector.
func (s state) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{csvCount, csvSucceeded, csvAbnormal, planCount, subscriptionCount, catalogCount, catalogReady} {
		out <- d
	}
}

// Collect implements prometheus.Collector. What the caches do not have yet is
// left out.
func (s state) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	s.operators(ctx, out)
	s.catalogs(ctx, out)
	plans := &v1alpha1.InstallPlanList{}
	if err := s.reader.List(ctx, plans, client.UnsafeDisableDeepCopy); err == nil {
		out <- gauge(planCount, len(plans.Items))
	}
	subscriptions := &v1alpha1.SubscriptionList{}
	if err := s.reader.List(ctx, subscriptions, client.UnsafeDisableDeepCopy); err == nil {
		out <- gauge(subscriptionCount, len(subscriptions.Items))
	}
}

func (s state) operators(ctx context.Context, out chan<- prometheus.Metric) {
	list := &v1alpha1.ClusterServiceVersionList{}
	if err := s.reader.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	out <- gauge(csvCount, len(list.Items))
	for i := range list.Items {
		csv := &list.Items[i]
		version := csv.Spec.Version.String()
		if csv.Status.Phase == v1alpha1.CSVPhaseSucceeded {
			out <- gauge(csvSucceeded, 1, csv.Namespace, csv.Name, version)
			continue
		}
		out <- gauge(csvSucceeded, 0, csv.Namespace, csv.Name, version)
		out <- gauge(csvAbnormal, 1, csv.Namespace, csv.Name, version, string(csv.Status.Phase), string(csv.Status.Reason))
	}
}

func (s state) catalogs(ctx context.Context, out chan<- prometheus.Metric) {
	list := s.catalog()
	if err := s.reader.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	out <- gauge(catalogCount, len(list.Items))
	for i := range list.Items {
		u := &list.Items[i]
		seen, _, err := unstructured.NestedString(u.Object, "status", "connectionState", "lastObservedState")
		ready := 0
		if err == nil && seen == "READY" {
			ready = 1
		}
		out <- gauge(catalogReady, ready, u.GetNamespace(), u.GetName())
	}
}

func gauge(d *prometheus.Desc, value int, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
}
