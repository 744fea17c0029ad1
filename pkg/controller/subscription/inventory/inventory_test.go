package inventory_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"chandler.dev/olm/pkg/controller/subscription/inventory"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
)

var (
	etcd  = registry.GVK{Group: "example.com", Version: "v1", Kind: "Etcd"}
	old   = registry.GVK{Group: "example.com", Version: "v1beta1", Kind: "Etcd"}
	nodes = registry.GVK{Group: "metrics.k8s.io", Version: "v1beta1", Kind: "NodeMetrics"}
)

const etcdClaim = "Etcd.v1.example.com"

// definition serves Etcd in some versions.
func definition(versions ...string) *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "etcds.example.com"}}
	crd.Spec.Group, crd.Spec.Names.Kind = "example.com", "Etcd"
	for _, v := range versions {
		crd.Spec.Versions = append(crd.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{Name: v, Served: true})
	}
	return crd
}

func group(namespace, claim string, targets ...string) *operatorsv1.OperatorGroup {
	return &operatorsv1.OperatorGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "g", Annotations: map[string]string{"olm.providedAPIs": claim}},
		Status:     operatorsv1.OperatorGroupStatus{Namespaces: targets},
	}
}

// server is an APIService; with labels it belongs to somebody.
func server(service *apiregistrationv1.ServiceReference, labels map[string]string, available apiregistrationv1.ConditionStatus) *apiregistrationv1.APIService {
	return &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: "v1beta1.metrics.k8s.io", Labels: labels},
		Spec:       apiregistrationv1.APIServiceSpec{Group: nodes.Group, Version: nodes.Version, Service: service},
		Status: apiregistrationv1.APIServiceStatus{Conditions: []apiregistrationv1.APIServiceCondition{
			{Type: apiregistrationv1.Available, Status: available},
		}},
	}
}

func TestAround(t *testing.T) {
	const yes, no = apiregistrationv1.ConditionTrue, apiregistrationv1.ConditionFalse
	service := &apiregistrationv1.ServiceReference{Name: "metrics-server"}
	all := []registry.GVK{etcd, old, nodes}
	byEtcd := []resolver.TakenAPI{{API: etcd, Owner: "the operator of b", Release: "uninstall the operator of b, or have its OperatorGroup and that of this namespace choose namespaces that do not overlap"}}
	byServer := []resolver.TakenAPI{{API: nodes, Owner: "APIService v1beta1.metrics.k8s.io", Release: "delete APIService v1beta1.metrics.k8s.io"}}
	tests := map[string]struct {
		tell      func(i *inventory.Inventory)
		concern   inventory.Concern
		wantAPIs  []registry.GVK
		wantTaken []resolver.TakenAPI
	}{
		"nothing is there": {tell: func(*inventory.Inventory) {}, concern: inventory.Concern{Required: all, Brought: all}},
		"a definition that nobody brought, in the versions that it serves": {
			tell:    func(i *inventory.Inventory) { i.Defined(definition("v1")) },
			concern: inventory.Concern{Required: all}, wantAPIs: []registry.GVK{etcd},
		},
		"a definition that nobody asks for": {
			tell:    func(i *inventory.Inventory) { i.Defined(definition("v1")) },
			concern: inventory.Concern{Brought: all},
		},
		"a definition that an operator of the namespace brought": {
			tell:    func(i *inventory.Inventory) { i.Defined(definition("v1")) },
			concern: inventory.Concern{Required: all, Installed: []registry.GVK{etcd}},
		},
		"a definition that is claimed in the namespace already": {
			tell:    func(i *inventory.Inventory) { i.Defined(definition("v1")); i.Grouped(group("a", etcdClaim, "a")) },
			concern: inventory.Concern{Required: all, Brought: all},
		},
		"a version that is served no more": {
			tell:    func(i *inventory.Inventory) { i.Defined(definition("v1", "v1beta1")); i.Defined(definition("v1")) },
			concern: inventory.Concern{Required: []registry.GVK{old}},
		},
		"a definition that is gone": {
			tell:    func(i *inventory.Inventory) { i.Defined(definition("v1")); i.Undefined(definition()) },
			concern: inventory.Concern{Required: all},
		},
		"an operator elsewhere for everybody": {
			tell:    func(i *inventory.Inventory) { i.Defined(definition("v1")); i.Grouped(group("b", etcdClaim, "")) },
			concern: inventory.Concern{Required: all, Brought: all}, wantTaken: byEtcd,
		},
		"an operator elsewhere for others is nothing to this namespace": {
			tell:    func(i *inventory.Inventory) { i.Defined(definition("v1")); i.Grouped(group("b", etcdClaim, "b")) },
			concern: inventory.Concern{Required: all, Brought: all},
		},
		"an operator elsewhere that claims no more": {
			tell:    func(i *inventory.Inventory) { i.Grouped(group("b", etcdClaim, "")); i.Grouped(group("b", "", "")) },
			concern: inventory.Concern{Required: all, Brought: all},
		},
		"an operator group that is gone": {
			tell: func(i *inventory.Inventory) {
				i.Grouped(group("b", etcdClaim, ""))
				i.Ungrouped(group("b", ""))
			},
			concern: inventory.Concern{Required: all, Brought: all},
		},
		"a server that is no operator's serves its kinds and has its group version to itself": {
			tell:    func(i *inventory.Inventory) { i.Registered(server(service, nil, yes)) },
			concern: inventory.Concern{Required: all, Brought: all}, wantAPIs: []registry.GVK{nodes}, wantTaken: byServer,
		},
		"a server that is down is not asked": {
			tell:    func(i *inventory.Inventory) { i.Registered(server(service, nil, no)) },
			concern: inventory.Concern{Required: all, Brought: all}, wantTaken: byServer,
		},
		"a server of an operator": {
			tell: func(i *inventory.Inventory) {
				i.Registered(server(service, map[string]string{"olm.owner": "metrics.v1"}, yes))
			},
			concern: inventory.Concern{Brought: all},
		},
		"what the API server serves itself": {
			tell:    func(i *inventory.Inventory) { i.Registered(server(nil, nil, yes)) },
			concern: inventory.Concern{Required: all, Brought: all}, wantAPIs: []registry.GVK{nodes},
		},
		"what the API server serves of definitions": {
			tell: func(i *inventory.Inventory) {
				i.Registered(server(nil, map[string]string{"kube-aggregator.kubernetes.io/automanaged": "true"}, yes))
			},
			concern: inventory.Concern{Required: all, Brought: all},
		},
		"a server that is gone": {
			tell: func(i *inventory.Inventory) {
				i.Registered(server(service, nil, yes))
				i.Unregistered(server(service, nil, yes))
			},
			concern: inventory.Concern{Required: all, Brought: all},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i := inventory.New(func(schema.GroupVersion) ([]string, error) { return []string{"PodMetrics", "NodeMetrics"}, nil })
			tt.tell(i)
			tt.concern.Group = group("a", "", "a")
			apis, taken := i.Around(tt.concern, func(g types.NamespacedName, _ registry.GVK) string { return "the operator of " + g.Namespace })
			if diff := cmp.Diff(tt.wantAPIs, apis); diff != "" {
				t.Errorf("from elsewhere (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantTaken, taken); diff != "" {
				t.Errorf("taken (-want +got):\n%s", diff)
			}
		})
	}
}

// TestServersAreAskedOnce covers that an answer costs a request only when
// something changed since the last one.
func TestServersAreAskedOnce(t *testing.T) {
	asked, fails := 0, true
	i := inventory.New(func(schema.GroupVersion) ([]string, error) {
		asked++
		if fails {
			return nil, errors.New("timeout")
		}
		return []string{"NodeMetrics"}, nil
	})
	service := &apiregistrationv1.ServiceReference{Name: "metrics-server"}
	around := func() int {
		apis, _ := i.Around(inventory.Concern{Required: []registry.GVK{nodes}}, nil)
		return len(apis)
	}
	i.Registered(server(service, nil, apiregistrationv1.ConditionTrue))
	if got := around(); got != 0 || asked != 1 {
		t.Errorf("%d APIs after %d requests, want none after one that fails", got, asked)
	}
	fails = false
	for range 3 {
		if got := around(); got != 1 || asked != 2 {
			t.Errorf("%d APIs after %d requests, want one after the second", got, asked)
		}
	}
	i.Registered(server(service, nil, apiregistrationv1.ConditionFalse))
	i.Registered(server(service, nil, apiregistrationv1.ConditionTrue))
	if got := around(); got != 1 || asked != 3 {
		t.Errorf("%d APIs after %d requests, want one after it came back", got, asked)
	}
}

func TestChanges(t *testing.T) {
	i := inventory.New(nil)
	service := &apiregistrationv1.ServiceReference{Name: "metrics-server"}
	tests := []struct {
		what                string
		change              inventory.Change
		etcd, v1beta1, node bool
	}{
		{"a new definition", i.Defined(definition("v1")), true, false, false},
		{"the same one again", i.Defined(definition("v1")), false, false, false},
		{"another version", i.Defined(definition("v1", "v1beta1")), false, true, false},
		{"a definition that goes", i.Undefined(definition()), true, true, false},
		{"a new claim", i.Grouped(group("b", etcdClaim, "b")), true, false, false},
		{"the same claim again", i.Grouped(group("b", etcdClaim, "b")), false, false, false},
		{"a claim for more namespaces", i.Grouped(group("b", etcdClaim, "b", "c")), true, false, false},
		{"a claim that is given up", i.Ungrouped(group("b", "")), true, false, false},
		{"a new server", i.Registered(server(service, nil, apiregistrationv1.ConditionTrue)), false, false, true},
		{"the same server again", i.Registered(server(service, nil, apiregistrationv1.ConditionTrue)), false, false, false},
		{"a server that goes down", i.Registered(server(service, nil, apiregistrationv1.ConditionFalse)), false, false, true},
		{"a server that goes", i.Unregistered(server(service, nil, apiregistrationv1.ConditionFalse)), false, false, true},
	}
	for _, tt := range tests {
		if tt.change.Concerns(etcd) != tt.etcd || tt.change.Concerns(old) != tt.v1beta1 || tt.change.Concerns(nodes) != tt.node {
			t.Errorf("%s concerns %+v", tt.what, tt.change)
		}
	}
}
