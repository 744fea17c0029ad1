package subscription_test

import (
	"context"
	"fmt"
	"iter"
	"net"
	"strings"
	"testing"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"google.golang.org/grpc"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/rpc"
)

// release is the only bundle of a package, that requires or brings an API.
type release struct{ pkg, requires, brings string } // APIs as Kind.version.group

type releases []release

func (all releases) Items(context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		for _, r := range all {
			b := registry.Bundle{Package: r.pkg, Name: r.pkg + ".v1.0.0", Version: "1.0.0"}
			for kind, api := range map[string]string{registry.PropertyGVKRequired: r.requires, registry.PropertyGVK: r.brings} {
				if parts := strings.SplitN(api, ".", 3); len(parts) == 3 {
					value := fmt.Sprintf(`{"group":%q,"kind":%q,"version":%q}`, parts[2], parts[0], parts[1])
					b.Properties = append(b.Properties, registry.Property{Type: kind, Value: []byte(value)})
				}
			}
			b.Properties = append(b.Properties, registry.Property{Type: registry.PropertyPackage, Value: []byte(`{"packageName":"` + r.pkg + `","version":"1.0.0"}`)})
			b.Content.CSV = []byte(`{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","metadata":{"name":"` + b.Name + `"},` +
				`"spec":{"displayName":"x","install":{"strategy":"deployment","spec":{"deployments":[]}}}}`)
			b.Content.Objects = [][]byte{b.Content.CSV}
			p := registry.Package{Name: r.pkg, DefaultChannel: "stable", Channels: []registry.Channel{
				{Name: "stable", Head: b.Name, Entries: []registry.Entry{{Name: b.Name}}},
			}}
			if !yield(registry.Item{Bundle: &b}, nil) || !yield(registry.Item{Package: &p}, nil) {
				return
			}
		}
	}
}

// offering serves releases and returns the address.
func offering(t *testing.T, all ...release) string {
	t.Helper()
	store, err := memory.New(t.Context(), releases(all))
	if err != nil {
		t.Fatal(err)
	}
	hosts, server := rpc.NewHosts(), grpc.NewServer()
	if err := hosts.Swap(t.Context(), "", store, nil); err != nil {
		t.Fatal(err)
	}
	rpc.RegisterHosts(server, hosts)
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

func subscribe(namespace, pkg string) *v1alpha1.Subscription {
	sub := prometheus(namespace)
	sub.Name, sub.Spec.Package, sub.Spec.Channel = pkg, pkg, "stable"
	return sub
}

// becomes waits until a Subscription is as check wants it.
func becomes(t *testing.T, env *testkit.Env, sub *v1alpha1.Subscription, check func(*v1alpha1.Subscription) error) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		var now v1alpha1.Subscription
		if err := env.Client.Get(ctx, client.ObjectKeyFromObject(sub), &now); err != nil {
			return err
		}
		if err := check(&now); err != nil {
			return fmt.Errorf("%s: %w: %+v", sub.Name, err, now.Status)
		}
		return nil
	})
}

func remove(t *testing.T, env *testkit.Env, obj client.Object) {
	t.Helper()
	if err := env.Client.Delete(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
}

// TestAPIsFromElsewhereOnACluster has a namespace follow what others define,
// serve and claim.
func TestAPIsFromElsewhereOnACluster(t *testing.T) {
	env := testkit.Cluster(t)
	ns, other := env.Namespace(t, "apis"), env.Namespace(t, "elsewhere")
	domain := ns + ".example.com" // definitions belong to the whole cluster
	widget := "Widget.v1." + domain
	served := "Gadget.v1.served." + domain
	backup, cron, maker, gadget := subscribe(ns, "backup"), subscribe(ns, "cron"), subscribe(ns, "maker"), subscribe(ns, "gadget")
	address := offering(t, release{"backup", widget, ""}, release{"cron", "CronJob.v1.batch", ""}, release{"gadget", "", served})
	start(t, env, t.TempDir())
	mine := &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "mine"}}
	create(t, env, mine, catalogSource(ns, address), backup, cron, gadget)
	mine.Status = operatorsv1.OperatorGroupStatus{Namespaces: []string{ns}, LastUpdated: new(metav1.Now())}
	if err := env.Client.Status().Update(t.Context(), mine); err != nil {
		t.Fatal(err)
	}

	becomes(t, env, cron, planned("cron.v1.0.0")) // the API server has it itself
	becomes(t, env, gadget, planned("gadget.v1.0.0"))
	becomes(t, env, backup, has(v1alpha1.SubscriptionResolutionFailed, "requires an operator providing an API with group: "+domain))
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "widgets." + domain}}
	crd.Spec = apiextensionsv1.CustomResourceDefinitionSpec{
		Group: domain, Scope: apiextensionsv1.NamespaceScoped,
		Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: "Widget", Plural: "widgets"},
		Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
			Name: "v1", Served: true, Storage: true,
			Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}},
		}},
	}
	create(t, env, crd)
	t.Cleanup(func() { _ = env.Client.Delete(context.Background(), crd) })
	becomes(t, env, backup, planned("backup.v1.0.0"))
	becomes(t, env, backup, hasNot(v1alpha1.SubscriptionResolutionFailed))

	// Somebody who looks after all namespaces claims what another one brings.
	all := &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "all", Annotations: map[string]string{"olm.providedAPIs": "Part.v1." + domain}}}
	create(t, env, all)
	all.Status = operatorsv1.OperatorGroupStatus{Namespaces: []string{""}, LastUpdated: new(metav1.Now())}
	if err := env.Client.Status().Update(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	var cs v1alpha1.CatalogSource
	if err := env.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "main"}, &cs); err != nil {
		t.Fatal(err)
	}
	cs.Spec.Address = offering(t, release{"backup", widget, ""}, release{"cron", "CronJob.v1.batch", ""}, release{"gadget", "", served}, release{"maker", "", "Part.v1." + domain})
	if err := env.Client.Update(t.Context(), &cs); err != nil {
		t.Fatal(err)
	}
	create(t, env, maker)
	becomes(t, env, maker, has(v1alpha1.SubscriptionResolutionFailed,
		"is not allowed to bring Part ("+domain+"/v1), which operator group all in namespace "+other+" provides"))
	becomes(t, env, backup, hasNot(v1alpha1.SubscriptionResolutionFailed))
	remove(t, env, all)
	becomes(t, env, maker, planned("maker.v1.0.0"))

	// Somebody serves a group version from outside.
	server := &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1.served." + domain}, Spec: apiregistrationv1.APIServiceSpec{
		Group: "served." + domain, Version: "v1", GroupPriorityMinimum: 100, VersionPriority: 10, InsecureSkipTLSVerify: true,
		Service: &apiregistrationv1.ServiceReference{Namespace: other, Name: "server"},
	}}
	create(t, env, server)
	t.Cleanup(func() { _ = env.Client.Delete(context.Background(), server) })
	becomes(t, env, gadget, has(v1alpha1.SubscriptionResolutionFailed, "which APIService v1.served."+domain+" provides"))
	remove(t, env, server)
	becomes(t, env, gadget, hasNot(v1alpha1.SubscriptionResolutionFailed))
}
