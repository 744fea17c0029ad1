package subscription

import (
	"testing"

	"github.com/blang/semver/v4"
	"github.com/google/go-cmp/cmp"
	operatorsversion "github.com/operator-framework/api/pkg/lib/version"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
)

// TestInstalledOf covers what is concluded about an operator that runs, and
// that nobody wrote down.
func TestInstalledOf(t *testing.T) {
	plain := func() *v1alpha1.ClusterServiceVersion { return csvOf("etcd.v1", "", "") }
	versioned := func() *v1alpha1.ClusterServiceVersion {
		csv := plain()
		csv.Spec.Version = operatorsversion.OperatorVersion{Version: semver.MustParse("1.0.0")}
		return csv
	}
	served := func() *v1alpha1.ClusterServiceVersion {
		csv := plain()
		csv.Spec.APIServiceDefinitions.Owned = []v1alpha1.APIServiceDescription{{Group: "g", Version: "v", Kind: "Served"}}
		csv.Spec.APIServiceDefinitions.Required = []v1alpha1.APIServiceDescription{{Group: "g", Version: "v", Kind: "Needed"}}
		return csv
	}
	defined := func() *v1alpha1.ClusterServiceVersion {
		csv := plain()
		csv.Spec.CustomResourceDefinitions.Owned = []v1alpha1.CRDDescription{{Name: "serveds.g", Version: "v", Kind: "Served"}}
		csv.Spec.CustomResourceDefinitions.Required = []v1alpha1.CRDDescription{{Name: "neededs.g", Version: "v", Kind: "Needed"}}
		return csv
	}
	apis := []string{
		`olm.gvk {"group":"g","kind":"Served","version":"v"}`,
		`olm.gvk.required {"group":"g","kind":"Needed","version":"v"}`,
	}
	for name, tt := range map[string]struct {
		csv    *v1alpha1.ClusterServiceVersion
		owners []string // packages of the Subscriptions that own it
		want   []string
	}{
		"no Subscription owns it":                   {csv: versioned()},
		"its Subscription names no package":         {csv: versioned(), owners: []string{""}},
		"two Subscriptions of different packages":   {csv: versioned(), owners: []string{"etcd", "redis"}},
		"one Subscription":                          {csv: versioned(), owners: []string{"etcd"}, want: []string{`olm.package {"packageName":"etcd","version":"1.0.0"}`}},
		"two Subscriptions of one package":          {csv: versioned(), owners: []string{"etcd", "etcd"}, want: []string{`olm.package {"packageName":"etcd","version":"1.0.0"}`}},
		"one Subscription, and no version":          {csv: plain(), owners: []string{"etcd"}, want: []string{`olm.package {"packageName":"etcd","version":""}`}},
		"what was written down comes first":         {csv: csvOf("etcd.v1", "", etcdProperties), owners: []string{"other"}, want: []string{`olm.package {"packageName":"etcd","version":"1.0.0"}`, `olm.gvk {"group":"example.com","kind":"Etcd","version":"v1"}`}},
		"definitions that it owns and requires":     {csv: defined(), want: apis},
		"served APIs count as much as definitions":  {csv: served(), want: apis},
		"what cannot be read is as if it were none": {csv: csvOf("etcd.v1", "", "{"), owners: []string{"etcd"}, want: []string{`olm.package {"packageName":"etcd","version":""}`}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range installedOf(tt.csv, tt.owners).Bundle.Properties {
				got = append(got, p.Type+" "+string(p.Value))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("installedOf() properties (-want +got):\n%s", diff)
			}
		})
	}
}
