package subscription

import (
	"context"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/memory"
)

// offer is a bundle of a test catalog in one channel.
type offer struct {
	pkg, name, channel, replaces string
	provides, requires           string // kinds of group example.com, version v1, with spaces between
	deprecated                   string
	content                      string // instead of a good ClusterServiceVersion; "none": only the image has it
	image                        string
}

// serve gives catalog main new content, as the catalog controller would.
func (w *world) serve(offers ...offer) {
	w.t.Helper()
	store, err := memory.New(w.t.Context(), items(offers))
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := store.Digest(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	w.contents[key] = store
	name := types.NamespacedName{Namespace: "olm", Name: "main"}
	err = w.snapshots.Put(w.t.Context(), name, key, func(_ context.Context, path string) error {
		return os.WriteFile(path, []byte(key), 0o600)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

type items []offer

func (all items) Items(context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		packages := map[string]*registry.Package{}
		for _, o := range all {
			b := o.bundle()
			if !yield(registry.Item{Bundle: &b}, nil) {
				return
			}
			p := packages[o.pkg]
			if p == nil {
				p = &registry.Package{Name: o.pkg, DefaultChannel: o.channel}
				packages[o.pkg] = p
			}
			i := slices.IndexFunc(p.Channels, func(c registry.Channel) bool { return c.Name == o.channel })
			if i < 0 {
				p.Channels, i = append(p.Channels, registry.Channel{Name: o.channel}), len(p.Channels)
			}
			ch := &p.Channels[i]
			ch.Entries = append(ch.Entries, registry.Entry{Name: o.name, Replaces: o.replaces})
			ch.Head = o.name // offers come oldest first
		}
		for _, p := range packages {
			if !yield(registry.Item{Package: p}, nil) {
				return
			}
		}
	}
}

func (o offer) bundle() registry.Bundle {
	_, version, _ := strings.Cut(o.name, ".v")
	version += ".0.0"
	b := registry.Bundle{Package: o.pkg, Name: o.name, Version: version, Deprecation: o.deprecated, Image: o.image}
	b.Properties = []registry.Property{property(registry.PropertyPackage, packageValue{Name: o.pkg, Version: version})}
	if o.provides != "" {
		b.Properties = append(b.Properties, property(registry.PropertyGVK, gvkValue{Group: "example.com", Kind: o.provides, Version: "v1"}))
	}
	for kind := range strings.FieldsSeq(o.requires) {
		b.Properties = append(b.Properties, property(registry.PropertyGVKRequired, gvkValue{Group: "example.com", Kind: kind, Version: "v1"}))
	}
	csv := o.content
	if csv == "none" {
		return b
	}
	if csv == "" {
		csv = fmt.Sprintf(`{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","metadata":{"name":%q},`+
			`"spec":{"displayName":"x","install":{"strategy":"deployment","spec":{"deployments":[]}}}}`, o.name)
	}
	b.Content = registry.Content{CSV: []byte(csv), Objects: [][]byte{[]byte(csv)}}
	return b
}

func group(name string) *operatorsv1.OperatorGroup {
	return &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
}

// catalogSource is a CatalogSource that is connected.
func catalogSource(name string) *v1alpha1.CatalogSource {
	return &v1alpha1.CatalogSource{
		ObjectMeta: metav1.ObjectMeta{Namespace: "olm", Name: name},
		Spec:       v1alpha1.CatalogSourceSpec{SourceType: v1alpha1.SourceTypeGrpc, Address: "a:1"},
		Status:     v1alpha1.CatalogSourceStatus{GRPCConnectionState: &v1alpha1.GRPCConnectionState{LastObservedState: "READY"}},
	}
}

func subscription(pkg string, changes ...func(*v1alpha1.Subscription)) *v1alpha1.Subscription {
	sub := &v1alpha1.Subscription{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: pkg},
		Spec: &v1alpha1.SubscriptionSpec{
			Package: pkg, CatalogSource: "main", CatalogSourceNamespace: "olm", Channel: "stable",
		},
	}
	for _, change := range changes {
		change(sub)
	}
	return sub
}

func startingWith(csv string) func(*v1alpha1.Subscription) {
	return func(s *v1alpha1.Subscription) { s.Spec.StartingCSV = csv }
}

func manual(s *v1alpha1.Subscription) { s.Spec.InstallPlanApproval = v1alpha1.ApprovalManual }
func automatic(s *v1alpha1.Subscription) {
	s.Spec.InstallPlanApproval = v1alpha1.ApprovalAutomatic
}

// foreignPlan is a plan that waits for an approval and holds manifests.
func foreignPlan(sub *v1alpha1.Subscription, name string, csvs ...string) *v1alpha1.InstallPlan {
	plan := &v1alpha1.InstallPlan{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: name,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "operators.coreos.com/v1alpha1", Kind: "Subscription", Name: sub.Name, UID: sub.UID}},
		},
		Spec: v1alpha1.InstallPlanSpec{Approval: v1alpha1.ApprovalManual, ClusterServiceVersionNames: csvs, Generation: 7},
		Status: v1alpha1.InstallPlanStatus{
			Phase: v1alpha1.InstallPlanPhaseRequiresApproval, CatalogSources: []string{},
			Plan: []*v1alpha1.Step{{Resource: v1alpha1.StepResource{Kind: "ClusterServiceVersion", Manifest: "{}"}}},
		},
	}
	for _, csv := range csvs {
		pkg, _, _ := strings.Cut(csv, ".")
		plan.Status.BundleLookups = append(plan.Status.BundleLookups, v1alpha1.BundleLookup{
			Identifier: csv, Properties: strings.ReplaceAll(etcdProperties, "etcd", pkg),
		})
	}
	return plan
}
