package metric

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

// What happened since the program started. The names are those of OLM v0.
var (
	upgrades = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "csv_upgrade_count",
		Help: "How often a ClusterServiceVersion began to be replaced by its successor",
	})
	warnings = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "installplan_warnings_total",
		Help: "How many warnings the API server gave about objects of InstallPlans",
	})
	snapshots = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "catalog_source_snapshots_total",
		Help: "How often new content of a CatalogSource was read",
	}, []string{"namespace", "name"})
	resolutions = prometheus.NewSummaryVec(prometheus.SummaryOpts{
		Name:       "olm_resolution_duration_seconds",
		Help:       "How long it took to decide about the Subscriptions of a namespace",
		Objectives: map[float64]float64{0.9: 0.01, 0.95: 0.005, 0.99: 0.001},
	}, []string{"outcome"})
	syncs = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "subscription_sync_total",
		Help: "How often a Subscription was decided about",
	}, []string{"name", "installed", "channel", "package", "approval"})
)

// Warned counts warnings of the API server about an object of an InstallPlan.
func Warned(n int) { warnings.Add(float64(n)) }

// Read counts that new content of a CatalogSource was read.
func Read(catalog types.NamespacedName) {
	snapshots.WithLabelValues(catalog.Namespace, catalog.Name).Inc()
}

// Outcome says how a decision ended: Succeeded if every Subscription got an
// answer that it can be satisfied with, else Failed.
type Outcome string

// The outcomes, as OLM v0 names them.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
)

// Resolved records how long a decision took.
func Resolved(took time.Duration, outcome Outcome) {
	resolutions.WithLabelValues(string(outcome)).Observe(took.Seconds())
}

// Sync is a Subscription at the time of a decision.
type Sync struct {
	Name, Installed, Channel, Package, Approval string
}

func (s Sync) labels() []string {
	return []string{s.Name, s.Installed, s.Channel, s.Package, s.Approval}
}

// known holds what was counted last for the Subscriptions of a namespace, so
// that series of former values and of deleted Subscriptions go away.
var known = struct {
	sync.Mutex

	syncs map[string][]Sync // by namespace
}{syncs: map[string][]Sync{}}

// Synced counts a decision about all Subscriptions of a namespace; an empty
// list if it has none any more.
func Synced(namespace string, list []Sync) {
	known.Lock()
	defer known.Unlock()
	former := known.syncs[namespace]
	if len(list) == 0 {
		delete(known.syncs, namespace)
	} else {
		known.syncs[namespace] = slices.Clone(list)
	}
	for _, s := range former {
		if !slices.Contains(list, s) && !elsewhere(s) {
			syncs.DeleteLabelValues(s.labels()...)
		}
	}
	for _, s := range list {
		syncs.WithLabelValues(s.labels()...).Inc()
	}
}

// elsewhere reports whether a Subscription of another namespace has the same
// labels, of which the namespace is none.
func elsewhere(s Sync) bool {
	for _, list := range known.syncs {
		if slices.Contains(list, s) {
			return true
		}
	}
	return false
}
