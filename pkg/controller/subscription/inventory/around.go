package inventory

import (
	"cmp"
	"maps"
	"slices"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"chandler.dev/olm/pkg/controller/providedapi"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
)

// Concern is what the APIs of others mean to a namespace.
type Concern struct {
	Group     *operatorsv1.OperatorGroup // its one OperatorGroup; nil if there is none
	Installed []registry.GVK             // that its own operators provide
	Required  []registry.GVK             // that somebody asks for who is there or may come
	Brought   []registry.GVK             // that somebody brings who is there or may come
}

// Around says which of the APIs that concern a namespace the cluster has from
// elsewhere, and which belong to others. What an operator brought is never
// from elsewhere: it belongs to others where the OperatorGroups intersect, and
// is nothing to the namespace where they do not. The function describe names
// who of an OperatorGroup brought an API.
func (i *Inventory) Around(c Concern, describe func(group types.NamespacedName, api registry.GVK) string) (apis []registry.GVK, taken []resolver.TakenAPI) {
	i.learn(c.Required)
	var rivals []rival
	i.mu.Lock()
	for _, api := range sorted(slices.Concat(c.Required, c.Brought)) {
		owners := i.ownersOf(schema.GroupVersionKind(api))
		group, contested := i.first(owners, c.Group)
		required := slices.Contains(c.Required, api) && !slices.Contains(c.Installed, api)
		switch {
		case contested:
			rivals = append(rivals, rival{api, group})
		case len(owners) == 0 && required && i.isServed(schema.GroupVersionKind(api)):
			apis = append(apis, api)
		}
		if name := i.foreignServer(api); name != "" && !contested && slices.Contains(c.Brought, api) {
			taken = append(taken, resolver.TakenAPI{API: api, Owner: "APIService " + name, Release: "delete APIService " + name})
		}
	}
	i.mu.Unlock()
	for _, r := range rivals {
		owner := describe(r.group, r.api)
		taken = append(taken, resolver.TakenAPI{
			API: r.api, Owner: owner,
			Release: "uninstall " + owner + ", or have its OperatorGroup and that of this namespace choose namespaces that do not overlap",
		})
	}
	slices.SortFunc(taken, func(a, b resolver.TakenAPI) int { return compareAPIs(a.API, b.API) })
	return apis, taken
}

// rival is an OperatorGroup that lists an API which this namespace is concerned with.
type rival struct {
	api   registry.GVK
	group types.NamespacedName
}

func sorted(apis []registry.GVK) []registry.GVK {
	slices.SortFunc(apis, compareAPIs)
	return slices.Compact(apis)
}

func compareAPIs(a, b registry.GVK) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Kind, b.Kind))
}

// ownersOf returns the OperatorGroups that list an API, by name.
func (i *Inventory) ownersOf(api schema.GroupVersionKind) []types.NamespacedName {
	return slices.SortedFunc(maps.Keys(i.claims[api]), func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// first returns the first of some OperatorGroups that is that of another
// namespace and intersects own.
func (i *Inventory) first(groups []types.NamespacedName, own *operatorsv1.OperatorGroup) (types.NamespacedName, bool) {
	for _, name := range groups {
		if own != nil && name.Namespace != own.Namespace && providedapi.Intersect(own, i.groups[name]) {
			return name, true
		}
	}
	return types.NamespacedName{}, false
}

// foreignServer names the APIService of somebody else that has the group
// version of an API to itself; empty if there is none.
func (i *Inventory) foreignServer(api registry.GVK) string {
	s := i.servers[schema.GroupVersion{Group: api.Group, Version: api.Version}]
	if s == nil || !s.foreign {
		return ""
	}
	return s.name
}

func (i *Inventory) isServed(api schema.GroupVersionKind) bool {
	if i.served[api] != "" {
		return true
	}
	s := i.servers[api.GroupVersion()]
	return s != nil && slices.Contains(s.kinds, api.Kind)
}

// learn asks those who serve without definitions for their kinds, each once until it changes.
func (i *Inventory) learn(required []registry.GVK) {
	for _, api := range required {
		version := schema.GroupVersion{Group: api.Group, Version: api.Version}
		i.mu.Lock()
		s := i.servers[version]
		known := s == nil || s.asked || !s.ready
		i.mu.Unlock()
		if known {
			continue
		}
		kinds, err := i.kinds(version)
		i.mu.Lock()
		s.kinds, s.asked = kinds, err == nil
		i.mu.Unlock()
	}
}
