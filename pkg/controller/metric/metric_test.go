package metric

import (
	"strings"
	"testing"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func csv(name string, phase v1alpha1.ClusterServiceVersionPhase, reason v1alpha1.ConditionReason) *v1alpha1.ClusterServiceVersion {
	return &v1alpha1.ClusterServiceVersion{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Status:     v1alpha1.ClusterServiceVersionStatus{Phase: phase, Reason: reason},
	}
}

func catalogs() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("CatalogSourceList"))
	return list
}

func catalog(name, state string) client.Object {
	u := &unstructured.Unstructured{Object: map[string]any{
		"status": map[string]any{"connectionState": map[string]any{"lastObservedState": state}},
	}}
	u.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("CatalogSource"))
	u.SetNamespace("olm")
	u.SetName(name)
	return u
}

func TestState(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		csv("good", v1alpha1.CSVPhaseSucceeded, v1alpha1.CSVReasonInstallSuccessful),
		csv("bad", v1alpha1.CSVPhaseFailed, v1alpha1.CSVReasonUnsupportedOperatorGroup),
		catalog("ready", "READY"), catalog("away", "TRANSIENT_FAILURE"),
		&v1alpha1.Subscription{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}},
	).Build()
	const want = `
# HELP catalog_source_count Number of CatalogSources
# TYPE catalog_source_count gauge
catalog_source_count 2
# HELP catalogsource_ready 1 for a CatalogSource whose content has been read, 0 for any other
# TYPE catalogsource_ready gauge
catalogsource_ready{name="away",namespace="olm"} 0
catalogsource_ready{name="ready",namespace="olm"} 1
# HELP csv_abnormal 1 for each ClusterServiceVersion that is not in phase Succeeded
# TYPE csv_abnormal gauge
csv_abnormal{name="bad",namespace="ns",phase="Failed",reason="UnsupportedOperatorGroup",version="0.0.0"} 1
# HELP csv_count Number of ClusterServiceVersions, copies not counted
# TYPE csv_count gauge
csv_count 2
# HELP csv_succeeded 1 for a ClusterServiceVersion in phase Succeeded, 0 for any other
# TYPE csv_succeeded gauge
csv_succeeded{name="bad",namespace="ns",version="0.0.0"} 0
csv_succeeded{name="good",namespace="ns",version="0.0.0"} 1
# HELP install_plan_count Number of InstallPlans
# TYPE install_plan_count gauge
install_plan_count 0
# HELP subscription_count Number of Subscriptions
# TYPE subscription_count gauge
subscription_count 1
`
	if err := testutil.CollectAndCompare(state{reader: reader, catalog: catalogs}, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestSynced(t *testing.T) {
	const head = `
# HELP subscription_sync_total How often a Subscription was decided about
# TYPE subscription_sync_total counter
`
	one := Sync{Name: "s", Channel: "stable", Package: "p", Approval: "Automatic"}
	other := one
	other.Channel = "fast"
	series := func(channel, count string) string {
		return `subscription_sync_total{approval="Automatic",channel="` + channel + `",installed="",name="s",package="p"} ` + count + "\n"
	}
	steps := []struct {
		namespace string
		list      []Sync
		want      string
	}{
		{"a", []Sync{one}, series("stable", "1")},
		{"a", []Sync{one}, series("stable", "2")},
		{"b", []Sync{one}, series("stable", "3")},
		{"a", []Sync{other}, series("fast", "1") + series("stable", "3")}, // b still has it
		{"b", nil, series("fast", "1")},
		{"a", nil, ""},
	}
	for i, step := range steps {
		Synced(step.namespace, step.list)
		want := head + step.want
		if step.want == "" {
			want = ""
		}
		if err := testutil.CollectAndCompare(syncs, strings.NewReader(want)); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
}

func TestUpgradesAreCounted(t *testing.T) {
	before := testutil.ToFloat64(upgrades)
	countUpgrade(csv("a", v1alpha1.CSVPhasePending, ""), csv("a", v1alpha1.CSVPhaseReplacing, ""))
	countUpgrade(csv("a", v1alpha1.CSVPhaseSucceeded, ""), csv("a", v1alpha1.CSVPhaseReplacing, ""))
	countUpgrade(csv("a", v1alpha1.CSVPhaseReplacing, ""), csv("a", v1alpha1.CSVPhaseReplacing, ""))
	if got := testutil.ToFloat64(upgrades) - before; got != 1 {
		t.Errorf("%v upgrades counted, want 1", got)
	}
}
