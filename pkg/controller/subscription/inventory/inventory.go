// Package inventory knows which APIs a cluster has beside those that a namespace
// installs: defined or served by somebody who is no operator of ours, or
// claimed by the OperatorGroup of another namespace. It is told what changes, so
// that an answer lists nothing. It decides nothing about bundles.
package inventory

import (
	"slices"
	"sync"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"chandler.dev/olm/pkg/controller/providedapi"
	"chandler.dev/olm/pkg/install/render"
	"chandler.dev/olm/pkg/registry"
)

// Inventory is what is known about the APIs of a cluster. It is safe for
// concurrent use.
type Inventory struct {
	kinds Kinds

	mu      sync.Mutex
	defined map[string][]schema.GroupVersionKind // by name of the CustomResourceDefinition
	served  map[schema.GroupVersionKind]string   // the definition that serves it
	servers map[schema.GroupVersion]*server
	groups  map[types.NamespacedName]*operatorsv1.OperatorGroup
	claims  map[schema.GroupVersionKind]map[types.NamespacedName]bool // OperatorGroups by the APIs that they list
}

// server serves a group version of which there are no definitions.
type server struct {
	name    string // of the APIService
	foreign bool   // it runs outside of the API server and is no operator's
	ready   bool   // it can be asked
	asked   bool   // kinds are those that it had when it changed last
	kinds   []string
}

// New returns an empty inventory.
func New(kinds Kinds) *Inventory {
	return &Inventory{
		kinds:   kinds,
		defined: map[string][]schema.GroupVersionKind{}, served: map[schema.GroupVersionKind]string{},
		servers: map[schema.GroupVersion]*server{},
		groups:  map[types.NamespacedName]*operatorsv1.OperatorGroup{},
		claims:  map[schema.GroupVersionKind]map[types.NamespacedName]bool{},
	}
}

// Change is which APIs may be there from now on, or not any more.
type Change struct {
	APIs     []schema.GroupVersionKind
	Versions []schema.GroupVersion // all kinds of them
}

// Concerns reports whether a change is about an API.
func (c Change) Concerns(api registry.GVK) bool {
	gvk := schema.GroupVersionKind(api)
	return slices.Contains(c.APIs, gvk) || slices.Contains(c.Versions, gvk.GroupVersion())
}

// Defined takes note of a definition that is there.
func (i *Inventory) Defined(crd *apiextensionsv1.CustomResourceDefinition) Change {
	var now []schema.GroupVersionKind
	for _, v := range crd.Spec.Versions {
		if v.Served {
			now = append(now, schema.GroupVersionKind{Group: crd.Spec.Group, Version: v.Name, Kind: crd.Spec.Names.Kind})
		}
	}
	return i.define(crd.Name, now)
}

// Undefined takes note that a definition is gone.
func (i *Inventory) Undefined(crd *apiextensionsv1.CustomResourceDefinition) Change {
	return i.define(crd.Name, nil)
}

func (i *Inventory) define(name string, now []schema.GroupVersionKind) Change {
	i.mu.Lock()
	defer i.mu.Unlock()
	before := i.defined[name]
	change := Change{APIs: difference(before, now)}
	for _, api := range before {
		if i.served[api] == name {
			delete(i.served, api)
		}
	}
	for _, api := range now {
		i.served[api] = name
	}
	i.defined[name] = now
	if len(now) == 0 {
		delete(i.defined, name)
	}
	return change
}

// automanaged is set on APIServices that exist for the definitions of a group.
const (
	automanaged   = "kube-aggregator.kubernetes.io/automanaged"
	ofDefinitions = "true"
)

// Registered takes note of an APIService that is there.
func (i *Inventory) Registered(api *apiregistrationv1.APIService) Change {
	if api.Labels[automanaged] == ofDefinitions {
		return i.Unregistered(api)
	}
	return i.register(api)
}

func versionOf(api *apiregistrationv1.APIService) schema.GroupVersion {
	return schema.GroupVersion{Group: api.Spec.Group, Version: api.Spec.Version}
}

func (i *Inventory) register(api *apiregistrationv1.APIService) Change {
	s := &server{
		name: api.Name, foreign: api.Spec.Service != nil && api.Labels[render.LabelOwner] == "",
		ready: !slices.ContainsFunc(api.Status.Conditions, func(c apiregistrationv1.APIServiceCondition) bool {
			return c.Type == apiregistrationv1.Available && c.Status != apiregistrationv1.ConditionTrue
		}),
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	version := versionOf(api)
	if b := i.servers[version]; b != nil && b.name == s.name && b.foreign == s.foreign && b.ready == s.ready {
		return Change{}
	}
	i.servers[version] = s
	return Change{Versions: []schema.GroupVersion{version}}
}

// Unregistered takes note that nobody serves a group version but definitions.
func (i *Inventory) Unregistered(api *apiregistrationv1.APIService) Change {
	version := versionOf(api)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.servers[version] == nil {
		return Change{}
	}
	delete(i.servers, version)
	return Change{Versions: []schema.GroupVersion{version}}
}

// Grouped takes note of an OperatorGroup that is there.
func (i *Inventory) Grouped(group *operatorsv1.OperatorGroup) Change {
	return i.group(types.NamespacedName{Namespace: group.Namespace, Name: group.Name}, group)
}

// Ungrouped takes note that an OperatorGroup is gone.
func (i *Inventory) Ungrouped(group *operatorsv1.OperatorGroup) Change {
	return i.group(types.NamespacedName{Namespace: group.Namespace, Name: group.Name}, nil)
}

func (i *Inventory) group(name types.NamespacedName, now *operatorsv1.OperatorGroup) Change {
	i.mu.Lock()
	defer i.mu.Unlock()
	before := i.groups[name]
	listed, lists := claimsOf(before), claimsOf(now)
	for _, api := range listed {
		delete(i.claims[api], name)
		if len(i.claims[api]) == 0 {
			delete(i.claims, api)
		}
	}
	for _, api := range lists {
		if i.claims[api] == nil {
			i.claims[api] = map[types.NamespacedName]bool{}
		}
		i.claims[api][name] = true
	}
	i.groups[name] = now
	if now == nil {
		delete(i.groups, name)
	}
	if before != nil && now != nil && slices.Equal(before.Status.Namespaces, now.Status.Namespaces) {
		return Change{APIs: difference(listed, lists)}
	}
	return Change{APIs: slices.Concat(listed, lists)}
}

func claimsOf(group *operatorsv1.OperatorGroup) []schema.GroupVersionKind {
	if group == nil {
		return nil
	}
	return providedapi.Sorted(providedapi.Parse(group.Annotations[providedapi.Annotation]))
}

// difference returns what is in one of two lists only.
func difference(a, b []schema.GroupVersionKind) []schema.GroupVersionKind {
	var only []schema.GroupVersionKind
	for _, api := range a {
		if !slices.Contains(b, api) {
			only = append(only, api)
		}
	}
	for _, api := range b {
		if !slices.Contains(a, api) {
			only = append(only, api)
		}
	}
	return only
}
